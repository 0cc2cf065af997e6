// Owns reading lines of a file, of standard input or of any stream, in bounded memory. Knows no format of the lines.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { GabionError } from '../errors.js'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** A line and its end offset. */
export interface Line {
  text: string
  /** Counted from 1. */
  number: number
  /** Bytes of the source up to the end of this line. */
  end: number
}

/** A name for messages: `-` is standard input. */
export function sourceName(file: string): string {
  return file === '-' ? 'standard input' : file
}

/** Size in bytes of a regular file; null for standard input, pipes and devices. */
export async function sourceSize(file: string): Promise<number | null> {
  if (file === '-') return null
  const found = await stat(file)
  if (found.isDirectory()) throw new GabionError('INVALID_ARGUMENT', `${file}: expected a file, got a folder`)
  return found.isFile() ? found.size : null
}

/**
 * The lines of a stream of UTF-8, each as soon as it is complete. Lines end with LF or CR LF only: node:readline also breaks at U+2028
 * and U+2029, which texts may contain. A last line without a line end counts; an empty one after the last does not. Buffers one line.
 *
 * @param notText for bytes that are not UTF-8: makes the error, or the text that stands for them
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array | string>,
  notText: (line: number, cause: unknown, bytes: Buffer) => Error | string,
): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let number = 0
  const lineOf = (bytes: Buffer, end: number): Line => {
    number++
    try {
      const text = decoder.decode(bytes)
      return { text: number === 1 && text.startsWith('\ufeff') ? text.slice(1) : text, number, end }
    } catch (cause) {
      const instead = notText(number, cause, bytes)
      if (typeof instead !== 'string') throw instead
      return { text: instead, number, end }
    }
  }
  let rest: Buffer[] = []
  let before = 0
  for await (const part of chunks) {
    const chunk = typeof part === 'string' ? Buffer.from(part) : Buffer.from(part.buffer, part.byteOffset, part.byteLength)
    let from = 0
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
      yield lineOf(withoutReturn(Buffer.concat([...rest, chunk.subarray(from, at)])), before + at + 1)
      rest = []
      from = at + 1
    }
    rest.push(chunk.subarray(from))
    before += chunk.length
  }
  const last = Buffer.concat(rest)
  if (last.length > 0) yield lineOf(last, before)
}

/**
 * The lines of a file or, for `-`, of standard input.
 *
 * @throws GabionError INVALID_ARGUMENT for bytes that are not UTF-8
 */
export async function* readLines(file: string, signal?: AbortSignal): AsyncGenerator<Line> {
  const stream: AsyncIterable<Buffer> = file === '-' ? process.stdin : createReadStream(file, { highWaterMark: 1 << 16 })
  const leave = (): void => {
    if (file === '-') process.stdin.destroy()
  }
  signal?.addEventListener('abort', leave, { once: true })
  // The event fires once, so a signal that fired before would be awaited forever.
  if (signal?.aborted === true) leave()
  const notText = (line: number, cause: unknown): GabionError =>
    new GabionError('INVALID_ARGUMENT', `${sourceName(file)}: line ${String(line)} is not UTF-8 text`, { cause })
  try {
    yield* linesOf(stream, notText)
  } catch (error) {
    if (signal?.aborted !== true) throw error
  } finally {
    signal?.removeEventListener('abort', leave)
  }
  if (signal?.aborted === true) throw new GabionError('ABORTED', 'interrupted')
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line
}
