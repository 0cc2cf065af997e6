// OpenAI's responses. The upstream may store a chat: a request then names the response that it continues after.

import { randomUUID } from 'node:crypto'
import type { ChatMessage } from '../../../monitor/chat.js'
import { callOfItem, Calls, isCallItem } from './calls.js'
import { readContent } from './content.js'
import { ResponseStream } from './responses-stream.js'
import {
  copied,
  eventOf,
  fieldsOf,
  listOf,
  now,
  stringOf,
  type ChatProtocol,
  type CompletionInfo,
  type ReadCompletion,
  type ReplyReader,
} from './protocol.js'

class ResponseReader implements ReplyReader {
  /** Texts of a stream, by output item and part. */
  readonly #streamed = new Map<string, string>()
  readonly #streamedCalls = new Calls()
  #final = { words: '', calls: '' }
  #known = false
  #failed = false
  #info: CompletionInfo = {}

  whole(response: unknown): void {
    const { output, error, status } = fieldsOf(response)
    this.#note(response)
    const failed = error !== undefined && error !== null
    if (failed || status === 'queued' || status === 'in_progress') this.#known = true
    if (!Array.isArray(output)) {
      if (!failed) this.#failed = true
      return
    }
    const texts: string[] = []
    const calls = new Calls()
    for (const [index, item] of (output as unknown[]).entries()) {
      if (isCallItem(item)) calls.add(callOfItem(index, item))
      const { type, content } = fieldsOf(item)
      if (typeof type !== 'string') this.#failed = true
      else if (type !== 'message') this.#known ||= type !== 'reasoning'
      else {
        const read = readContent(content, '')
        texts.push(read?.text ?? '')
        this.#known = true
        if (read?.whole !== true) this.#failed = true
      }
    }
    this.#final = { words: texts.join('\n'), calls: calls.text() }
  }

  part(data: unknown): void {
    const { type, response, delta, output_index: index, content_index: part, item } = fieldsOf(data)
    if (typeof type !== 'string') {
      this.#failed = true
      return
    }
    if (type === 'response.output_text.delta' || type === 'response.refusal.delta') {
      const key = `${String(index)} ${String(part)}`
      this.#streamed.set(key, (this.#streamed.get(key) ?? '') + (stringOf(delta) ?? ''))
      this.#known = true
      if (typeof delta !== 'string') this.#failed = true
    } else if (/^response\.(created|in_progress|queued)$/.test(type)) this.#note(response)
    else if (/^response\.(completed|incomplete|failed)$/.test(type)) this.whole(response)
    else if (type === 'error') this.#known = true
    else if (/_call_(arguments|input|code)\.delta$/.test(type)) this.#streamedCalls.add({ key: index, args: delta })
    else if (isCallItem(item)) this.#streamedCalls.complete(callOfItem(index, item))
    if (type.includes('_call') || isCallItem(item)) this.#known = true
  }

  read(): ReadCompletion {
    // A stream may be broken off, and its last event may leave the output out.
    const words = longer([...this.#streamed.values()].join('\n'), this.#final.words)
    const calls = longer(this.#streamedCalls.text(), this.#final.calls)
    return { replies: this.#known ? [{ words, calls }] : [], readable: this.#known && !this.#failed, info: this.#info }
  }

  #note(response: unknown): void {
    const { id, model } = fieldsOf(response)
    const known = stringOf(id) ?? this.#info.id
    this.#info = { id: known, model: stringOf(model) ?? this.#info.model, continuesAs: known }
  }
}

function longer(one: string, other: string): string {
  return one.length >= other.length ? one : other
}

/** `/v1/responses`. */
export const openaiResponses: ChatProtocol = {
  framing: 'events',
  readRequest(body) {
    const { input, instructions, stream, model, previous_response_id: previous, conversation } = fieldsOf(body)
    const messages = inputMessages(input)
    const system = typeof instructions === 'string' ? [{ role: 'system', text: instructions }] : []
    return {
      messages: messages === null ? null : [...system, ...messages],
      stream: stream === true,
      model: stringOf(model),
      continues: stringOf(previous),
      conversation: stringOf(conversation) ?? stringOf(fieldsOf(conversation).id),
    }
  },
  reader: () => new ResponseReader(),
  stream: () =>
    new ResponseStream({
      whole: wholeStream,
      response: (info, output, begun) => responseOf(info, 'incomplete', output, begun),
      item: messageItem,
    }),
  replacement: (info, message, response) => responseOf(info, 'incomplete', [messageItem(message)], response),
  replacementStream: wholeStream,
  failure: (code, message, number = 0) => eventOf({ type: 'error', code, message, param: null, sequence_number: number }, 'error'),
}

function wholeStream(info: CompletionInfo, message: string): string {
  const item = messageItem(message)
  const open = { ...item, status: 'in_progress', content: [] }
  const at = { item_id: item.id, output_index: 0, content_index: 0 }
  const part = { type: 'output_text', text: '', annotations: [] }
  const response = responseOf(info, 'in_progress', [], undefined)
  const events = [
    { type: 'response.created', response },
    { type: 'response.output_item.added', output_index: 0, item: open },
    { type: 'response.content_part.added', ...at, part },
    { type: 'response.output_text.delta', ...at, delta: message },
    { type: 'response.output_text.done', ...at, text: message },
    { type: 'response.content_part.done', ...at, part: { ...part, text: message } },
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.incomplete', response: responseOf({ ...info, id: response.id }, 'incomplete', [item], undefined) },
  ]
  return events.map((event, index) => eventOf({ ...event, sequence_number: index }, event.type)).join('')
}

/** The messages of a request's input; null for an unknown form. Other items, such as results of tools, are no messages. */
function inputMessages(input: unknown): ChatMessage[] | null {
  if (typeof input === 'string') return [{ role: 'user', text: input }]
  if (!Array.isArray(input)) return null
  return listOf(input).flatMap((item) => {
    const { type, role, content } = fieldsOf(item)
    if ((type !== undefined && type !== 'message') || typeof role !== 'string') return []
    return [{ role, text: readContent(content, '\n')?.text ?? '' }]
  })
}

function messageItem(text: string): { id: string; type: string } & Record<string, unknown> {
  const content = [{ type: 'output_text', text, annotations: [] }]
  return { id: `msg_${randomUUID()}`, type: 'message', status: 'incomplete', role: 'assistant', content }
}

// Fields that echo the request or count; `output` and all unknown ones are left out.
const COPIED_FIELDS = [
  'created_at',
  'model',
  'usage',
  'previous_response_id',
  'parallel_tool_calls',
  'tool_choice',
  'tools',
  'temperature',
  'top_p',
  'max_output_tokens',
  'store',
  'truncation',
  'service_tier',
  'metadata',
]

function responseOf(
  { id, model }: CompletionInfo,
  status: string,
  output: readonly object[],
  response: unknown,
): { id: string } & Record<string, unknown> {
  return {
    object: 'response',
    created_at: now(),
    model: model ?? '',
    parallel_tool_calls: true,
    tool_choice: 'auto',
    tools: [],
    ...copied(response, COPIED_FIELDS),
    id: id ?? `resp_${randomUUID()}`,
    ...{ status, error: null, incomplete_details: status === 'incomplete' ? { reason: 'content_filter' } : null, output },
  }
}
