// Streams of OpenAI's responses that may be cut.

import { callOfItem, isCallItem } from './calls.js'
import { readContent } from './content.js'
import { eventOf, fieldsOf, listOf, stringOf, type CompletionInfo } from './protocol.js'
import type { PieceWords } from '../../../monitor/stream/reply-gate.js'
import { CALL_PART, messageAfter, NO_WORDS, OpenCalls, type StreamPart, type StreamParts } from './stream-parts.js'

type Fields = Readonly<Record<string, unknown>>

/** How a response ends that is filtered. */
export interface FilteredResponse {
  /** A stream with the message alone. */
  readonly whole: (info: CompletionInfo, message: string) => string
  /** The response as the last event has it. */
  readonly response: (info: CompletionInfo, output: readonly object[], begun: unknown) => object
  /** A message of the assistant. */
  readonly item: (text: string) => { readonly id: string }
}

/** A text that the client has got a part of. */
interface OpenText {
  readonly item: Fields
  readonly at: { readonly item_id: unknown; readonly output_index: unknown; readonly content_index: unknown }
  text: string
}

/** One stream; output items have an index each. */
export class ResponseStream implements StreamParts {
  isOver = false
  nextNumber = 0
  readonly #form: FilteredResponse
  /** Characters of each text that came as deltas. */
  readonly #streamed = new Map<string, number>()
  /** By output item. */
  readonly #calls = new OpenCalls()
  /** The client's view. */
  #begun: unknown
  #nextItem = 0
  #hasWords = false
  readonly #items = new Map<unknown, Fields>()
  readonly #done: object[] = []
  #open: OpenText | null = null

  constructor(form: FilteredResponse) {
    this.#form = form
  }

  read(data: unknown): StreamPart {
    const fields = fieldsOf(data)
    const { type, output_index: index, item } = fields
    this.isOver ||= isLast(type)
    const words = this.#wordsOf(fields)
    if (words !== null) return { ...NO_WORDS, words: [words] }
    // Not every service tells that an item is added.
    const isDone = type === 'response.output_item.done'
    if (isCallItem(item) && !this.#calls.has(index)) this.#calls.begin({ ...callOfItem(index, item), args: '' })
    if (!this.#calls.has(index) || index === undefined) return NO_WORDS
    if (isDone) return this.#calls.end(callOfItem(index, item))
    return typeof fields.delta === 'string' ? this.#calls.add(index, fields.delta) : CALL_PART
  }

  /** What a part adds to the text of an item; null for other parts. */
  #wordsOf({ type, delta, text, refusal, output_index: index, content_index: part, response }: Fields): PieceWords[number] | null {
    const reply = `${String(index)} ${String(part)}`
    const streamed = this.#streamed.get(reply) ?? 0
    if (type === 'response.output_text.delta' || type === 'response.refusal.delta') {
      const added = stringOf(delta) ?? ''
      this.#streamed.set(reply, streamed + added.length)
      return { reply, text: added }
    }
    // Not every service sends deltas.
    if (type === 'response.output_text.done' || type === 'response.refusal.done') {
      const whole = stringOf(text) ?? stringOf(refusal) ?? ''
      this.#streamed.set(reply, Math.max(streamed, whole.length))
      return { reply, text: whole.slice(streamed) }
    }
    if (!isLast(type) || this.#streamed.size > 0) return null
    const texts = listOf(fieldsOf(response).output).map((one) => readContent(fieldsOf(one).content, '\n')?.text ?? '')
    return { reply, text: texts.join('\n') }
  }

  passed(data: unknown): void {
    const fields = fieldsOf(data)
    const { type, response, item, output_index: index, item_id: id, content_index: part, delta } = fields
    if (typeof fields.sequence_number === 'number') this.nextNumber = fields.sequence_number + 1
    if (typeof index === 'number') this.#nextItem = Math.max(this.#nextItem, index + 1)
    if (type === 'response.created') this.#begun = response
    else if (type === 'response.output_item.added') this.#items.set(index, fieldsOf(item))
    else if (type === 'response.output_item.done') {
      this.#done.push(fieldsOf(item))
      this.#items.delete(index)
    } else if (type === 'response.content_part.added') {
      const at = { item_id: id, output_index: index, content_index: part }
      this.#open = { item: this.#items.get(index) ?? {}, at, text: '' }
    } else if (type === 'response.content_part.done') this.#open = null
    else if (type === 'response.output_text.delta' && typeof delta === 'string') {
      this.#hasWords ||= delta !== ''
      if (this.#open !== null) this.#open.text += delta
    }
  }

  end(info: CompletionInfo, message: string): string {
    if (this.#begun === undefined) return this.#form.whole(info, message)
    const words = messageAfter(this.#hasWords, message)
    const open = this.#open
    const events = open === null ? this.#newMessage(words) : this.#rest(open, words)
    const response = this.#form.response(info, this.#done, this.#begun)
    const all = [...events, { type: 'response.incomplete', response }]
    return all.map((event, index) => eventOf({ ...event, sequence_number: this.nextNumber + index }, event.type)).join('')
  }

  /** The events that end an open text. */
  #rest({ item, at, text }: OpenText, words: string): { type: string }[] {
    const part = { type: 'output_text', text: text + words, annotations: [] }
    const done = { ...item, status: 'incomplete', content: [part] }
    this.#done.push(done)
    return [
      { type: 'response.output_text.delta', ...{ ...at, delta: words } },
      { type: 'response.output_text.done', ...{ ...at, text: part.text } },
      { type: 'response.content_part.done', ...{ ...at, part } },
      { type: 'response.output_item.done', ...{ output_index: at.output_index, item: done } },
    ]
  }

  #newMessage(words: string): { type: string }[] {
    const item = this.#form.item('')
    const at = { item_id: item.id, output_index: this.#nextItem, content_index: 0 }
    const part = { type: 'output_text', text: '', annotations: [] }
    return [
      { type: 'response.output_item.added', ...{ output_index: this.#nextItem, item: { ...item, status: 'in_progress', content: [] } } },
      { type: 'response.content_part.added', ...{ ...at, part } },
      ...this.#rest({ item: { ...item }, at, text: '' }, words),
    ]
  }
}

/** Whether an event of this type ends a response. */
function isLast(type: unknown): boolean {
  return /^response\.(completed|incomplete|failed)$/.test(stringOf(type) ?? '')
}
