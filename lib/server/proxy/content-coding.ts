// Decodes HTTP content codings that Node supports. Knows bytes and headers, no body formats.

import { pipeline, type Readable, type Transform } from 'node:stream'
import { promisify } from 'node:util'
import { brotliDecompress, createBrotliDecompress, createGunzip, createInflate, gunzip, inflate } from 'node:zlib'

interface Decoder {
  readonly whole: (bytes: Buffer, limits: { maxOutputLength: number }) => Promise<Buffer>
  readonly stream: () => Transform
}

const GZIP: Decoder = { whole: promisify(gunzip), stream: createGunzip }
const DECODERS = new Map<string, Decoder>([
  ['gzip', GZIP],
  ['x-gzip', GZIP],
  ['deflate', { whole: promisify(inflate), stream: createInflate }],
  ['br', { whole: promisify(brotliDecompress), stream: createBrotliDecompress }],
])

// Each coding of a chain multiplies the possible expansion.
const MAX_CODINGS = 3

/** The decoders of a `Content-Encoding` in the order of application; null for an unknown coding. */
function decodersOf(header: string | string[] | undefined): Decoder[] | null {
  const names = [header ?? []]
    .flat()
    .flatMap((value) => value.toLowerCase().split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity')
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
