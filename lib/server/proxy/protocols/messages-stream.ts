// Streams of Anthropic's messages that may be cut.

import type { CallPart } from './calls.js'
import { textOfPart } from './content.js'
import { eventOf, fieldsOf, stringOf, type CompletionInfo } from './protocol.js'
import { messageAfter, NO_WORDS, OpenCalls, type StreamPart, type StreamParts } from './stream-parts.js'

/** One stream; content blocks have an index each. */
export class MessageStream implements StreamParts {
  isOver = false
  readonly #whole: (info: CompletionInfo, message: string) => string
  /** By block. */
  readonly #calls = new OpenCalls()
  #hasBegun = false
  #hasWords = false
  /** The blocks that the client has open, and whether each is a text. */
  readonly #open = new Map<number, boolean>()
  #nextBlock = 0
  #usage: Record<string, unknown> = { output_tokens: 0 }

  /** @param whole - a stream with the message alone */
  constructor(whole: (info: CompletionInfo, message: string) => string) {
    this.#whole = whole
  }

  read(data: unknown): StreamPart {
    const { type, index, content_block: block, delta } = fieldsOf(data)
    if (type === 'message_stop' || (type === 'message_delta' && Boolean(fieldsOf(delta).stop_reason))) this.isOver = true
    if (type === 'content_block_start') {
      const call = callOfBlock(index, block)
      return call === null ? wordsOf(textOfPart(block)) : this.#calls.begin(call)
    }
    if (type === 'content_block_delta') {
      const { type: kind, text, partial_json: json } = fieldsOf(delta)
      if (!this.#calls.has(index)) return kind === 'text_delta' ? wordsOf(stringOf(text)) : NO_WORDS
      return this.#calls.add(index, stringOf(json) ?? '')
    }
    return type === 'content_block_stop' && this.#calls.has(index) ? this.#calls.end({ key: index, args: undefined }) : NO_WORDS
  }

  passed(data: unknown): void {
    const { type, index, content_block: block, delta, message, usage } = fieldsOf(data)
    const at = typeof index === 'number' ? index : 0
    if (type === 'message_start') {
      this.#hasBegun = true
      this.#noteUsage(fieldsOf(message).usage)
    } else if (type === 'content_block_start') {
      this.#nextBlock = Math.max(this.#nextBlock, at + 1)
      this.#open.set(at, fieldsOf(block).type === 'text')
      this.#hasWords ||= (stringOf(fieldsOf(block).text) ?? '') !== ''
    } else if (type === 'content_block_delta') this.#hasWords ||= (stringOf(fieldsOf(delta).text) ?? '') !== ''
    else if (type === 'content_block_stop') this.#open.delete(at)
    else if (type === 'message_delta') this.#noteUsage(usage)
  }

  end(info: CompletionInfo, message: string): string {
    if (!this.#hasBegun) return this.#whole(info, message)
    const event = (type: string, fields: object): string => eventOf({ type, ...fields }, type)
    const stops = [...this.#open].filter(([, isText]) => !isText).map(([index]) => event('content_block_stop', { index }))
    const text = [...this.#open].find(([, isText]) => isText)?.[0]
    const index = text ?? this.#nextBlock
    const words = messageAfter(this.#hasWords, message)
    return [
      ...stops,
      text === undefined ? event('content_block_start', { index, content_block: { type: 'text', text: '' } }) : '',
      event('content_block_delta', { index, delta: { type: 'text_delta', text: words } }),
      event('content_block_stop', { index }),
      event('message_delta', { delta: { stop_reason: 'refusal', stop_sequence: null }, usage: this.#usage }),
      event('message_stop', {}),
    ].join('')
  }

  #noteUsage(usage: unknown): void {
    this.#usage = { ...this.#usage, ...fieldsOf(usage) }
  }
}

function wordsOf(text: string | null | undefined): StreamPart {
  return { ...NO_WORDS, words: [{ reply: '', text: text ?? '' }] }
}

/** The call of a tool in a content block; null for other blocks. In a stream, its input follows in parts. */
export function callOfBlock(index: unknown, block: unknown): CallPart | null {
  const { type, name, input } = fieldsOf(block)
  if (typeof type !== 'string' || !type.endsWith('tool_use')) return null
  return { key: index, name: stringOf(name), args: Object.keys(fieldsOf(input)).length > 0 ? input : '' }
}
