// Streams of Ollama's that may be cut: lines of JSON, in which calls of tools are whole.

import { fieldsOf, listOf, type CompletionInfo } from './protocol.js'
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
    const tools = listOf(fieldsOf(fields.message).tool_calls).map((call) => fieldsOf(fieldsOf(call).function).arguments)
    const isCall = tools.length > 0
    this.isOver ||= fields.done === true
    return { words: [{ reply: '', text: this.#textOf(fields) ?? '' }], isCall, calls: isCall ? tools : null }
  }

  passed(data: unknown): void {
    this.#hasWords ||= (this.#textOf(fieldsOf(data)) ?? '') !== ''
  }

  end(info: CompletionInfo, message: string): string {
    return this.#last(info, messageAfter(this.#hasWords, message))
  }
}
