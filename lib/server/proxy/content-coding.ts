// Decodes HTTP content codings. Knows bytes and headers, no body formats.

import { pipeline, Transform, type Readable } from 'node:stream'
import { promisify } from 'node:util'
import { brotliDecompress, createBrotliDecompress, createGunzip, createInflate, gunzip, inflate } from 'node:zlib'
import { Decompress } from 'fzstd'

interface Decoder {
  readonly whole: (bytes: Buffer, limits: { maxOutputLength: number }) => Promise<Buffer>
  readonly stream: () => Transform
}

// Expands to at most some 40 MB at once.
const ZSTD_SLICE = 1024

/** Node has zstd from 22.15 on only. */
class ZstdDecoder extends Transform {
  readonly #decompress = new Decompress((chunk) => void this.push(Buffer.from(chunk)))

  override _transform(chunk: Buffer, _: BufferEncoding, done: (error?: Error) => void): void {
    this.#run(() => {
      for (let at = 0; at < chunk.length; at += ZSTD_SLICE) this.#decompress.push(chunk.subarray(at, at + ZSTD_SLICE))
    }, done)
  }

  override _flush(done: (error?: Error) => void): void {
    this.#run(() => {
      this.#decompress.push(new Uint8Array(), true)
    }, done)
  }

  #run(step: () => void, done: (error?: Error) => void): void {
    try {
      step()
    } catch (error) {
      done(error as Error)
      return
    }
    done()
  }
}

const ZSTD: Decoder = {
  whole: async (bytes, { maxOutputLength }) => {
    const decoder = new ZstdDecoder()
    const decoded: Buffer[] = []
    let length = 0
    decoder.end(bytes)
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > maxOutputLength) throw new RangeError('the decoded body is too long')
      decoded.push(chunk)
    }
    return Buffer.concat(decoded)
  },
  stream: () => new ZstdDecoder(),
}

const GZIP: Decoder = { whole: promisify(gunzip), stream: createGunzip }
const DECODERS = new Map<string, Decoder>([
  ['gzip', GZIP],
  ['x-gzip', GZIP],
  ['deflate', { whole: promisify(inflate), stream: createInflate }],
  ['zstd', ZSTD],
  ['br', { whole: promisify(brotliDecompress), stream: createBrotliDecompress }],
])

// Each coding of a chain multiplies the possible expansion.
const MAX_CODINGS = 3

/** The decoders of a `Content-Encoding` in the order of application; null for an unknown coding. */
function decodersOf(header: string | string[] | undefined): Decoder[] | null {
  const names = codingsOf(header).filter((name) => name !== 'identity')
  const decoders = names.reverse().flatMap((name) => DECODERS.get(name) ?? [])
  return decoders.length === names.length && names.length <= MAX_CODINGS ? decoders : null
}

/** Whether a body with this `Content-Encoding` can be decoded. */
export function canDecode(header: string | string[] | undefined): boolean {
  return decodersOf(header) !== null
}

/** Decodes a body; null if a coding is unknown, the data is malformed, or the result exceeds `maxBytes`. */
export async function decodeBody(bytes: Buffer, header: string | string[] | undefined, maxBytes: number): Promise<Buffer | null> {
  const decoders = decodersOf(header)
  if (decoders === null) return null
  let decoded = bytes
  try {
    for (const { whole } of decoders) decoded = await whole(decoded, { maxOutputLength: maxBytes })
  } catch {
    return null
  }
  return decoded
}

/** Decodes a streamed body; malformed data destroys the stream. */
export function decodeStream(body: Readable, header: string | string[] | undefined): Readable {
  const decoders = (decodersOf(header) ?? []).map(({ stream }) => stream())
  if (decoders.length === 0) return body
  return pipeline([body, ...decoders], () => undefined) as unknown as Readable
}

/** Whether a client accepts a response with this `Content-Encoding`. */
export function accepts(acceptEncoding: string | string[] | undefined, encoding: string | string[] | undefined): boolean {
  const wanted = new Map(
    codingsOf(acceptEncoding).map((coding) => {
      const [name = '', ...parameters] = coding.split(';').map((part) => part.trim())
      return [name, !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))] as const
    }),
  )
  return codingsOf(encoding).every((name) => name === 'identity' || (wanted.get(name) ?? wanted.get('*') ?? false))
}

function codingsOf(header: string | string[] | undefined): string[] {
  return [header ?? []]
    .flat()
    .flatMap((value) => value.toLowerCase().split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '')
}
