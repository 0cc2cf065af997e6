// Streams of Ollama's that may be cut: lines of JSON, in which calls of tools are whole.

import { Calls, callsOf } from './calls.js'
import { fieldsOf, type CompletionInfo } from './protocol.js'
import { messageAfter, type StreamPart, type StreamParts } from './stream-parts.js'

/** One stream. */
export class LineStream implements StreamParts {
  isOver = false
  readonly #textOf: (line: Readonly<Record<string, unknown>>) => string | null
  readonly #last: (info: CompletionInfo, message: string) => string
  #hasWords = false

  /**
   * @param textOf - the text of a line; null if it is missing
   * @param last - the last line of a stream that is filtered
   */
  constructor(textOf: (line: Readonly<Record<string, unknown>>) => string | null, last: (info: CompletionInfo, message: string) => string) {
    this.#textOf = textOf
    this.#last = last
  }

  read(data: unknown): StreamPart {
    const fields = fieldsOf(data)
    const calls = new Calls()
    for (const call of callsOf(fields.message)) calls.add(call)
    this.isOver ||= fields.done === true
    const words = [{ reply: '', text: this.#textOf(fields) ?? '' }]
    return { words, isCall: !calls.isEmpty, calls: calls.isEmpty ? null : [{ reply: '', text: calls.text() }] }
  }

  passed(data: unknown): void {
    this.#hasWords ||= (this.#textOf(fieldsOf(data)) ?? '') !== ''
  }

  end(info: CompletionInfo, message: string): string {
    return this.#last(info, messageAfter(this.#hasWords, message))
  }
}
