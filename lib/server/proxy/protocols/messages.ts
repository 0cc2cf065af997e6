// Anthropic's messages.

import { randomUUID } from 'node:crypto'
import { Calls } from './calls.js'
import { messagesOf, readContent, textOfPart } from './content.js'
import { callOfBlock, MessageStream } from './messages-stream.js'
import {
  copied,
  eventOf,
  fieldsOf,
  stringOf,
  type ChatProtocol,
  type CompletionInfo,
  type ReadCompletion,
  type ReplyReader,
} from './protocol.js'

class MessageReader implements ReplyReader {
  #text = ''
  readonly #calls = new Calls()
  /** Had any content, or is an error. */
  #known = false
  #failed = false
  #info: CompletionInfo = {}

  whole(response: unknown): void {
    const { type, content, error } = fieldsOf(response)
    if (type === 'error' || (error !== undefined && error !== null)) {
      this.#known = true
      return
    }
    this.#note(response)
    const read = readContent(content, '')
    if (read === null || !Array.isArray(content)) {
      this.#failed = true
      return
    }
    this.#text += read.text
    for (const [index, block] of content.entries()) this.#addCall(index, block)
    this.#known ||= content.length > 0
    if (!read.whole) this.#failed = true
  }

  part(data: unknown): void {
    const { type, index, message, content_block: block, delta } = fieldsOf(data)
    if (type === 'message_start') this.#note(message)
    else if (type === 'content_block_start') {
      this.#take(textOfPart(block))
      this.#addCall(index, block)
    } else if (type === 'content_block_delta') {
      const { type: kind, text, partial_json: json } = fieldsOf(delta)
      if (kind === 'text_delta') this.#take(stringOf(text) ?? null)
      if (kind === 'input_json_delta') this.#calls.add({ key: index, args: json })
    } else if (type === 'error') this.#known = true
    else if (typeof type !== 'string') this.#failed = true
  }

  read(): ReadCompletion {
    const replies = this.#known ? [{ words: this.#text, calls: this.#calls.text() }] : []
    return { replies, readable: this.#known && !this.#failed, info: this.#info }
  }

  #note(message: unknown): void {
    const { id, model } = fieldsOf(message)
    this.#info = { id: stringOf(id), model: stringOf(model) }
  }

  #addCall(index: unknown, block: unknown): void {
    const call = callOfBlock(index, block)
    if (call !== null) this.#calls.add(call)
  }

  #take(text: string | undefined | null): void {
    this.#known = true
    if (text === null) this.#failed = true
    else this.#text += text ?? ''
  }
}

const USAGE = { input_tokens: 0, output_tokens: 0 }

/** `/v1/messages`. */
export const anthropicMessages: ChatProtocol = {
  framing: 'events',
  readRequest(body) {
    const { messages, system, stream, model } = fieldsOf(body)
    const read = messagesOf(messages)
    const prompt = readContent(system, '\n')?.text ?? ''
    return {
      messages: read === null ? null : [...(prompt === '' ? [] : [{ role: 'system', text: prompt }]), ...read],
      stream: stream === true,
      model: stringOf(model),
    }
  },
  reader: () => new MessageReader(),
  stream: () => new MessageStream(wholeStream),
  replacement(info, message, response) {
    const { usage } = fieldsOf(response)
    return {
      ...messageOf(info),
      ...copied(response, ['id', 'model']),
      content: [{ type: 'text', text: message }],
      stop_reason: 'refusal',
      usage: usage ?? USAGE,
    }
  },
  replacementStream: wholeStream,
  failure: (code, message) => eventOf({ type: 'error', error: { type: 'api_error', message: `${code}: ${message}` } }, 'error'),
}

function messageOf({ id, model }: CompletionInfo): object {
  return {
    id: id ?? `msg_${randomUUID()}`,
    type: 'message',
    role: 'assistant',
    model: model ?? '',
    content: [],
    stop_reason: null,
    stop_sequence: null,
  }
}

function wholeStream(info: CompletionInfo, message: string): string {
  const event = (data: { type: string }): string => eventOf(data, data.type)
  return [
    event({ type: 'message_start', ...{ message: { ...messageOf(info), usage: USAGE } } }),
    event({ type: 'content_block_start', ...{ index: 0, content_block: { type: 'text', text: '' } } }),
    event({ type: 'content_block_delta', ...{ index: 0, delta: { type: 'text_delta', text: message } } }),
    event({ type: 'content_block_stop', ...{ index: 0 } }),
    event({ type: 'message_delta', ...{ delta: { stop_reason: 'refusal', stop_sequence: null }, usage: { output_tokens: 0 } } }),
    event({ type: 'message_stop' }),
  ].join('')
}
