// Reads OpenAI's chat format: messages of requests, and reply texts of responses, streamed or not. Reports parts that it cannot read,
// so that nothing counts as judged that was not.

import type { ChatMessage } from '../../monitor/chat.js'
import { dataOf, isEnd, linesOf } from './event-splitter.js'
import type { CompletionInfo } from './replacement.js'

/** The readable content of a response. */
export interface ReadCompletion {
  /** The text of each choice; empty for a choice with tool calls only. */
  readonly replies: readonly string[]
  /** False if a part that a client may show could not be read. */
  readonly readable: boolean
  readonly info: CompletionInfo
}

/** A response without readable content. */
export const UNREADABLE: ReadCompletion = { replies: [], readable: false, info: {} }

/** The texts of a request's messages; null for a body of another format, which is left to the upstream. */
export function messagesOf(body: unknown): ChatMessage[] | null {
  const messages = (body as { messages?: unknown } | null)?.messages
  if (!Array.isArray(messages)) return null
  return messages.flatMap((message: { role?: unknown; content?: unknown } | null) =>
    typeof message?.role === 'string' ? [{ role: message.role, text: readContent(message.content)?.text ?? '' }] : [],
  )
}

/** Reads a non-streamed response. */
export function readCompletion(response: unknown): ReadCompletion {
  const reader = new ChoiceReader()
  reader.take(response, 'message')
  return reader.read()
}

/** Collects the reply texts of a stream, event by event. */
export class StreamedCompletion {
  readonly #reader = new ChoiceReader()

  /** Takes an event, or the rest of one where the stream was aborted; true for the event that ends the stream. */
  push(event: Uint8Array): boolean {
    const lines = linesOf(event)
    if (isEnd(lines)) return true
    const data = dataOf(lines)
    if (data !== null && data.trim() !== '') this.#reader.take(parseJson(data), 'delta')
    return false
  }

  read(): ReadCompletion {
    return this.#reader.read()
  }
}

/** Parses JSON; undefined for malformed text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

interface Choice {
  text: string
  /** Had text, even if empty, or tool calls: what a client shows of the choice is known. */
  readable: boolean
}

/** Collects the text of every choice from a complete response or from the events of a stream. */
class ChoiceReader {
  readonly #choices = new Map<unknown, Choice>()
  #info: CompletionInfo = {}
  #failed = false
  #isError = false

  take(response: unknown, field: 'message' | 'delta'): void {
    if (typeof response !== 'object' || response === null) {
      this.#failed = true
      return
    }
    const { id, model, choices, error } = response as Record<string, unknown>
    this.#info = {
      id: this.#info.id ?? (typeof id === 'string' ? id : undefined),
      model: this.#info.model ?? (typeof model === 'string' ? model : undefined),
    }
    if (error !== undefined && error !== null) this.#isError = true
    if (Array.isArray(choices)) for (const choice of choices as unknown[]) this.#takeChoice(choice, field)
    else if (!this.#isError) this.#failed = true
  }

  read(): ReadCompletion {
    const choices = [...this.#choices.values()]
    const readable = choices.length > 0 ? choices.every((choice) => choice.readable) : this.#isError
    return { replies: choices.map(({ text }) => text), readable: readable && !this.#failed, info: this.#info }
  }

  #takeChoice(choice: unknown, field: 'message' | 'delta'): void {
    const { index, [field]: message } = (choice ?? {}) as Record<string, unknown>
    const collected = this.#choices.get(index ?? 0) ?? { text: '', readable: false }
    this.#choices.set(index ?? 0, collected)
    const { content, refusal, tool_calls: tools, function_call: call } = (message ?? {}) as Record<string, unknown>
    if (content !== undefined && content !== null) {
      const read = readContent(content)
      collected.text += read?.text ?? ''
      collected.readable ||= read !== null
      if (read?.whole !== true) this.#failed = true
    }
    if (typeof refusal === 'string') {
      collected.text += refusal
      collected.readable = true
    }
    if (Array.isArray(tools) || (call !== undefined && call !== null)) collected.readable = true
  }
}

/** The text of a message's content; null for an unknown format. `whole` is false for a list with parts of unknown kinds. */
function readContent(content: unknown): { text: string; whole: boolean } | null {
  if (typeof content === 'string') return { text: content, whole: true }
  if (!Array.isArray(content)) return null
  const parts = (content as unknown[]).map(textOfPart)
  return { text: parts.filter((part) => typeof part === 'string').join('\n'), whole: !parts.includes(null) }
}

/** The text of a part; undefined for reasoning, which is not judged, and null for unknown kinds. */
function textOfPart(part: unknown): string | undefined | null {
  if (typeof part === 'string') return part
  const { type, text, refusal } = (part ?? {}) as Record<string, unknown>
  if (typeof text === 'string') return text
  if (typeof refusal === 'string') return refusal
  return type === 'thinking' || type === 'reasoning' ? undefined : null
}
