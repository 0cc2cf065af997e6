// Owns the encodings of transcripts: UTF-8 and UTF-16 with or without a mark, and Windows-1252 for what is neither. Knows no form.

import { linesOf, type Line } from '../files/lines.js'
import { transcriptInvalid } from './problem.js'

/** What the bytes 0x80 to 0x9F are in Windows-1252; all others are those of ISO-8859-1. */
const WINDOWS_1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ'

/** Decodes Windows-1252. */
export function windows1252(bytes: Buffer): string {
  return bytes.toString('latin1').replaceAll(/[\u0080-\u009f]/g, (character) => WINDOWS_1252[character.charCodeAt(0) - 0x80] as string)
}

/** Bytes that tell UTF-16. */
const PROBE_BYTES = 64

/** The byte order of UTF-16, by its mark or by the zeros of Latin letters; null for other encodings. */
export function utf16Of(start: Uint8Array): 'utf-16le' | 'utf-16be' | null {
  const [first, second] = start
  if (first === 0xff && second === 0xfe) return 'utf-16le'
  if (first === 0xfe && second === 0xff) return 'utf-16be'
  const zeros = [0, 0]
  for (const [index, byte] of start.subarray(0, PROBE_BYTES).entries()) if (byte === 0) zeros[index % 2] = (zeros[index % 2] as number) + 1
  const [high = 0, low = 0] = zeros
  const quarter = Math.min(start.length, PROBE_BYTES) / 4
  if (low > quarter && high === 0) return 'utf-16le'
  return high > quarter && low === 0 ? 'utf-16be' : null
}

/**
 * The lines of a transcript in whatever encoding it is.
 *
 * @param name for errors and notes
 * @throws GabionError `TRANSCRIPT_INVALID` for bytes that are no text
 */
export async function* decodedLines(
  chunks: AsyncIterable<Uint8Array | string>,
  name: string,
  onNote: (note: string) => void,
): AsyncGenerator<Line> {
  const iterator = chunks[Symbol.asyncIterator]()
  const first = await firstChunk(iterator)
  const all = startingWith(first, iterator)
  const order = typeof first === 'string' ? null : utf16Of(first)
  if (order !== null) {
    yield* utf16Lines(all as AsyncGenerator<Uint8Array>, order)
    return
  }
  let noted = false
  yield* linesOf(all, (line, cause, bytes) => {
    const where = `${name}: line ${String(line)}`
    if (bytes.includes(0)) return transcriptInvalid(where, 'it is not text', cause)
    if (!noted) onNote(`${where} is not UTF-8; it and others like it were read as Windows-1252`)
    noted = true
    return windows1252(bytes)
  })
}

/** The first chunk with enough bytes to tell the encoding, or all there is. */
async function firstChunk(iterator: AsyncIterator<Uint8Array | string>): Promise<Uint8Array | string> {
  let start: Uint8Array = new Uint8Array(0)
  for (;;) {
    const next = await iterator.next()
    if (next.done === true) return start
    if (typeof next.value === 'string') return start.length === 0 ? next.value : `${Buffer.from(start).toString()}${next.value}`
    start = Buffer.concat([start, next.value])
    if (start.length >= 4) return start
  }
}

async function* startingWith(first: Uint8Array | string, rest: AsyncIterator<Uint8Array | string>): AsyncGenerator<Uint8Array | string> {
  if (first.length > 0) yield first
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value
}

async function* utf16Lines(chunks: AsyncGenerator<Uint8Array>, order: 'utf-16le' | 'utf-16be'): AsyncGenerator<Line> {
  const decoder = new TextDecoder(order, { ignoreBOM: true })
  let rest = ''
  let number = 0
  let end = 0
  const line = (text: string, lineEnd: number): Line => {
    number++
    // UTF-16 has two bytes for each unit of a string.
    end += 2 * (text.length + lineEnd)
    return { text: text.replace(/\r$/, '').replace(/^\ufeff/, ''), number, end }
  }
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const text of lines) yield line(text, 1)
  }
  rest += decoder.decode()
  if (rest !== '') yield line(rest, 0)
}
