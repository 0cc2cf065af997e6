// Splits a stream into its events or lines with what they say. The frames concatenated are the stream, byte for byte.

import { dataOf, EventSplitter, isEnd, linesOf } from './event-splitter.js'
import { parseJson } from './protocols/protocol.js'

/** An event or a line. */
export interface Frame {
  readonly bytes: Buffer
  /** Parsed; undefined if it is malformed, null for a frame without any, such as a comment or the end. */
  readonly data: unknown
  /** It ends where another frame may begin. */
  readonly isWhole: boolean
  /** It is the line that ends a stream of OpenAI's API, or comes after it. */
  readonly isEnd: boolean
}

/** The frames of a body. What follows the last complete one is a frame, too. */
export async function* framesOf(body: AsyncIterable<Buffer>, format: 'events' | 'lines'): AsyncGenerator<Frame> {
  const splitter = format === 'events' ? new EventFrames() : new LineFrames()
  let failure: { readonly error: unknown } | null = null
  try {
    for await (const chunk of body) yield* splitter.push(chunk)
  } catch (error) {
    failure = { error }
  }
  const rest = splitter.finish()
  if (rest !== null) yield rest
  if (failure !== null) throw failure.error
}

class EventFrames {
  readonly #splitter = new EventSplitter()
  #ended = false

  push(chunk: Buffer): Frame[] {
    return this.#splitter.push(chunk).map((bytes) => this.#frameOf(bytes, true))
  }

  finish(): Frame | null {
    const { rest, whole } = this.#splitter.finish()
    return rest.length === 0 ? null : this.#frameOf(rest, whole)
  }

  #frameOf(bytes: Buffer, isWhole: boolean): Frame {
    const lines = linesOf(bytes)
    // What follows the end is not read by clients.
    const data = this.#ended ? null : dataOf(lines)
    this.#ended ||= isWhole && isEnd(lines)
    const isEmpty = data === null || this.#ended || data.trim() === ''
    return { bytes, data: isEmpty ? null : parsed(data, isWhole), isWhole, isEnd: this.#ended }
  }
}

const LF = 0x0a

class LineFrames {
  #partial: Buffer[] = []

  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = []
    let start = 0
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      frames.push(lineOf(Buffer.concat([...this.#partial, chunk.subarray(start, end + 1)]), true))
      this.#partial = []
      start = end + 1
    }
    if (start < chunk.length) this.#partial.push(chunk.subarray(start))
    return frames
  }

  finish(): Frame | null {
    const rest = Buffer.concat(this.#partial)
    return rest.length === 0 ? null : lineOf(rest, false)
  }
}

function lineOf(bytes: Buffer, isWhole: boolean): Frame {
  const text = bytes.toString()
  return { bytes, data: text.trim() === '' ? null : parsed(text, isWhole), isWhole, isEnd: false }
}

/** Of an incomplete frame, clients read complete data, and drop the rest. */
function parsed(text: string, isWhole: boolean): unknown {
  const data = parseJson(text)
  return data === undefined && !isWhole ? null : data
}
