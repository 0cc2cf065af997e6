// Reads a streamed response as it passes: server-sent events or lines of JSON. Changes no byte.

import { dataOf, EventSplitter, isEnd, linesOf } from './event-splitter.js'
import { parseJson, type ReadCompletion, type ReplyReader } from './protocols/protocol.js'

/** Reads a stream, passed in chunks. */
export interface StreamReader {
  push(chunk: Buffer): void
  /** Reads what follows the last complete event or line. True if nothing did, and there was a complete one. */
  finish(): boolean
  read(): ReadCompletion
}

/** Reads server-sent events. */
export class EventReader implements StreamReader {
  readonly #splitter = new EventSplitter()
  readonly #reader: ReplyReader
  #events = 0
  #ended = false

  constructor(reader: ReplyReader) {
    this.#reader = reader
  }

  push(chunk: Buffer): void {
    for (const event of this.#splitter.push(chunk)) this.#take(event)
  }

  finish(): boolean {
    const { rest, whole } = this.#splitter.finish()
    const complete = this.#events > 0 || whole
    if (whole || isComplete(dataOf(linesOf(rest)))) this.#take(rest)
    return complete && (rest.length === 0 || whole)
  }

  read(): ReadCompletion {
    return this.#reader.read()
  }

  #take(event: Buffer): void {
    this.#events++
    if (this.#ended) return
    const lines = linesOf(event)
    this.#ended = isEnd(lines)
    const data = this.#ended ? null : dataOf(lines)
    if (data !== null && data.trim() !== '') this.#reader.part(parseJson(data))
  }
}

const LF = 0x0a

/** Reads lines of JSON. */
export class LineReader implements StreamReader {
  readonly #reader: ReplyReader
  #partial: Buffer[] = []

  constructor(reader: ReplyReader) {
    this.#reader = reader
  }

  push(chunk: Buffer): void {
    let start = 0
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      this.#take(Buffer.concat([...this.#partial, chunk.subarray(start, end)]))
      this.#partial = []
      start = end + 1
    }
    if (start < chunk.length) this.#partial.push(chunk.subarray(start))
  }

  finish(): boolean {
    const rest = Buffer.concat(this.#partial)
    this.#partial = []
    if (isComplete(rest.toString())) this.#take(rest)
    return rest.length === 0
  }

  read(): ReadCompletion {
    return this.#reader.read()
  }

  #take(line: Buffer): void {
    const text = line.toString()
    if (text.trim() !== '') this.#reader.part(parseJson(text))
  }
}

/** Whether the data of a last event without its end is complete: clients read it then, and drop it otherwise. */
function isComplete(data: string | null): boolean {
  return data !== null && parseJson(data) !== undefined
}
