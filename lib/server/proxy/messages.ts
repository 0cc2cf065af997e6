// Reads OpenAI's chat form: messages of a request, the words of an answer, whole or as a stream. What it cannot read it says, so that
// nothing passes as judged that was not.

import type { ChatMessage } from '../../monitor/chat.js'
import { dataOf, isEnd, linesOf } from './event-splitter.js'
import type { AnswerFacts } from './replacement.js'

/** What could be read of an answer. */
export interface ReadAnswer {
  /** The words of each choice; none for a choice that only calls tools. */
  readonly replies: readonly string[]
  /** False where a part of the answer that a client may show was not understood. */
  readonly readable: boolean
  readonly facts: AnswerFacts
}

/** An answer of which nothing could be read. */
export const UNREADABLE: ReadAnswer = { replies: [], readable: false, facts: {} }

/** The texts of a request's messages; null for a body that is not of this form: it is upstream's to judge. */
export function messagesOf(body: unknown): ChatMessage[] | null {
  const messages = (body as { messages?: unknown } | null)?.messages
  if (!Array.isArray(messages)) return null
  return messages.flatMap((message: { role?: unknown; content?: unknown } | null) =>
    typeof message?.role === 'string' ? [{ role: message.role, text: readContent(message.content)?.text ?? '' }] : [],
  )
}

/** The words of a whole answer. */
export function readAnswer(answer: unknown): ReadAnswer {
  const reader = new ChoiceReader()
  reader.take(answer, 'message')
  return reader.read()
}

/** Gathers the words of a stream, event by event. */
export class StreamedAnswer {
  readonly #reader = new ChoiceReader()

  /** Takes an event, or what is left of one where the stream broke off; true for the one that ends the stream. */
  push(event: Uint8Array): boolean {
    const lines = linesOf(event)
    if (isEnd(lines)) return true
    const data = dataOf(lines)
    if (data !== null && data.trim() !== '') this.#reader.take(parseJson(data), 'delta')
    return false
  }

  read(): ReadAnswer {
    return this.#reader.read()
  }
}

/** JSON of any text; undefined where it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

interface Choice {
  words: string
  /** There were words, if only empty ones, or calls of tools: what a client shows of the choice is known. */
  understood: boolean
}

/** Gathers the words of every choice from a whole answer or from the events of a stream. */
class ChoiceReader {
  readonly #choices = new Map<unknown, Choice>()
  #facts: AnswerFacts = {}
  #failed = false
  #isError = false

  take(answer: unknown, field: 'message' | 'delta'): void {
    if (typeof answer !== 'object' || answer === null) {
      this.#failed = true
      return
    }
    const { id, model, choices, error } = answer as Record<string, unknown>
    this.#facts = {
      id: this.#facts.id ?? (typeof id === 'string' ? id : undefined),
      model: this.#facts.model ?? (typeof model === 'string' ? model : undefined),
    }
    if (error !== undefined && error !== null) this.#isError = true
    if (Array.isArray(choices)) for (const choice of choices as unknown[]) this.#takeChoice(choice, field)
    else if (!this.#isError) this.#failed = true
  }

  read(): ReadAnswer {
    const choices = [...this.#choices.values()]
    const understood = choices.length > 0 ? choices.every((choice) => choice.understood) : this.#isError
    return { replies: choices.map(({ words }) => words), readable: understood && !this.#failed, facts: this.#facts }
  }

  #takeChoice(choice: unknown, field: 'message' | 'delta'): void {
    const { index, [field]: said } = (choice ?? {}) as Record<string, unknown>
    const kept = this.#choices.get(index ?? 0) ?? { words: '', understood: false }
    this.#choices.set(index ?? 0, kept)
    const { content, refusal, tool_calls: tools, function_call: call } = (said ?? {}) as Record<string, unknown>
    if (content !== undefined && content !== null) {
      const read = readContent(content)
      kept.words += read?.text ?? ''
      kept.understood ||= read !== null
      if (read?.whole !== true) this.#failed = true
    }
    if (typeof refusal === 'string') {
      kept.words += refusal
      kept.understood = true
    }
    if (Array.isArray(tools) || (call !== undefined && call !== null)) kept.understood = true
  }
}

/** The words of a message's content; null where it is of no known form. A list with parts of other kinds is not whole. */
function readContent(content: unknown): { text: string; whole: boolean } | null {
  if (typeof content === 'string') return { text: content, whole: true }
  if (!Array.isArray(content)) return null
  const parts = (content as unknown[]).map(textOfPart)
  return { text: parts.filter((part) => typeof part === 'string').join('\n'), whole: !parts.includes(null) }
}

/** The words of a part; undefined for thoughts, which are not judged, and null for a part of another kind. */
function textOfPart(part: unknown): string | undefined | null {
  if (typeof part === 'string') return part
  const { type, text, refusal } = (part ?? {}) as Record<string, unknown>
  if (typeof text === 'string') return text
  if (typeof refusal === 'string') return refusal
  return type === 'thinking' || type === 'reasoning' ? undefined : null
}
