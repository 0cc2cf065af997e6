// Ollama's chat and generate: whole responses, and streams of JSON lines, which are its default.

import { createHash } from 'node:crypto'
import { Calls, callsOf } from './calls.js'
import { messagesOf } from './content.js'
import { LineStream } from './ollama-stream.js'
import { copied, fieldsOf, stringOf, type ChatProtocol, type CompletionInfo, type ReadCompletion, type ReplyReader } from './protocol.js'

/** Reads both forms: a whole response has the fields of a stream's line. */
class LineReader implements ReplyReader {
  readonly #textOf: (response: Readonly<Record<string, unknown>>) => string | null
  #text = ''
  readonly #calls = new Calls()
  #parts = 0
  #known = false
  #failed = false
  #info: CompletionInfo = {}

  /** @param textOf - the text of a line; null if it is missing */
  constructor(textOf: (response: Readonly<Record<string, unknown>>) => string | null) {
    this.#textOf = textOf
  }

  whole(response: unknown): void {
    this.part(response)
  }

  part(data: unknown): void {
    const fields = fieldsOf(data)
    const { model, error, context } = fields
    if (typeof data !== 'object' || data === null) {
      this.#failed = true
      return
    }
    this.#info = {
      model: this.#info.model ?? stringOf(model),
      continuesAs: Array.isArray(context) ? contextMark(context) : this.#info.continuesAs,
    }
    const text = this.#textOf(fields)
    this.#known ||= text !== null || error !== undefined
    if (text === null && error === undefined) this.#failed = true
    this.#text += text ?? ''
    // Calls are whole; a line's place in the stream tells them apart.
    for (const call of callsOf(fields.message)) this.#calls.add({ ...call, key: `${String(this.#parts)} ${String(call.key)}` })
    this.#parts++
  }

  read(): ReadCompletion {
    const replies = this.#known ? [{ words: this.#text, calls: this.#calls.text() }] : []
    return { replies, readable: this.#known && !this.#failed, info: this.#info }
  }
}

const COPIED_FIELDS = ['total_duration', 'load_duration', 'prompt_eval_count', 'prompt_eval_duration', 'eval_count', 'eval_duration']

function protocolOf(
  textOf: (response: Readonly<Record<string, unknown>>) => string | null,
  reply: (message: string) => object,
  readRequest: ChatProtocol['readRequest'],
): ChatProtocol {
  const replacement: ChatProtocol['replacement'] = ({ model }, message, response) => ({
    model: model ?? '',
    created_at: new Date().toISOString(),
    ...reply(message),
    done: true,
    done_reason: 'content_filter',
    ...copied(response, COPIED_FIELDS),
  })
  const last: ChatProtocol['replacementStream'] = (info, message) => `${JSON.stringify(replacement(info, message, undefined))}\n`
  return {
    framing: 'lines',
    readRequest,
    reader: () => new LineReader(textOf),
    stream: () => new LineStream(textOf, last),
    replacement,
    replacementStream: last,
    failure: (code, message) => `${JSON.stringify({ error: `${code}: ${message}` })}\n`,
  }
}

/** `/api/chat`. */
export const ollamaChat = protocolOf(
  ({ message }) => {
    const { content, tool_calls: tools } = fieldsOf(message)
    return stringOf(content) ?? (Array.isArray(tools) ? '' : null)
  },
  (content) => ({ message: { role: 'assistant', content } }),
  (body) => {
    const { messages, stream, model } = fieldsOf(body)
    return { messages: messagesOf(messages), stream: stream !== false, model: stringOf(model) }
  },
)

/** `/api/generate`: a request may continue an earlier one by its context, a list of tokens. */
export const ollamaGenerate = protocolOf(
  ({ response }) => stringOf(response) ?? null,
  (response) => ({ response }),
  (body) => {
    const { prompt, system, stream, model, context } = fieldsOf(body)
    const systems = typeof system === 'string' && system !== '' ? [{ role: 'system', text: system }] : []
    return {
      messages: typeof prompt === 'string' ? [...systems, { role: 'user', text: prompt }] : null,
      stream: stream !== false,
      model: stringOf(model),
      continues: Array.isArray(context) && context.length > 0 ? contextMark(context) : undefined,
    }
  },
)

function contextMark(context: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(context)).digest('hex').slice(0, 32)
}
