// Owns the grouping of messages into exchanges. Knows roles and texts, neither files nor vectors.

/** Role of a message; `system` states what is in force from there on, `context` (tools) is stored and not scored. */
export type Role = 'user' | 'assistant' | 'system' | 'context'

/** One message of a transcript. */
export interface Message {
  readonly role: Role
  readonly text: string
  /** Its turn number in the transcript; null without one. */
  readonly turn: number | null
  /** When it was said, in milliseconds since 1970, if the transcript says it in a form that is the same everywhere. */
  readonly time?: number
}

/** One exchange of a transcript: the user's messages since the last reply, and the reply. */
export interface TranscriptExchange {
  /** User messages since the last reply, joined by newlines; empty without any. */
  readonly user: string
  readonly assistant: string
  /** System and tool messages since the last reply. */
  readonly context: readonly string[]
  /** The system prompt in force, if the transcript has one. */
  readonly system?: string
}

/** An assembler's state between two messages; plain JSON. */
export interface SavedAssembler {
  readonly user: readonly string[]
  readonly context: readonly string[]
  readonly system: readonly string[]
  readonly inSystem: boolean
  readonly turn: number | null
  readonly seen: readonly string[]
}

/**
 * Groups the messages of one conversation into exchanges: each assistant message ends one, so that the n-th exchange has the
 * n-th reply. A system message replaces the system prompt in force; several in a row are one.
 *
 * A message with the same turn number, role and text as another is dropped: logs with at-least-once delivery contain such
 * duplicates.
 */
export class ExchangeAssembler {
  #user: string[]
  #context: string[]
  #system: readonly string[]
  /** The last message was a system one: the next one continues it instead of replacing it. */
  #inSystem: boolean
  #turn: number | null
  readonly #seen: Set<string>
  #repeated = 0

  /** @param saved - what {@link toJSON} returned */
  constructor(saved?: SavedAssembler) {
    this.#user = [...(saved?.user ?? [])]
    this.#context = [...(saved?.context ?? [])]
    this.#system = saved?.system ?? []
    this.#inSystem = saved?.inSystem ?? false
    this.#turn = saved?.turn ?? null
    this.#seen = new Set(saved?.seen)
  }

  /** The state between two messages, to continue from. */
  toJSON(): SavedAssembler {
    const seen = [...this.#seen]
    return { user: this.#user, context: this.#context, system: this.#system, inSystem: this.#inSystem, turn: this.#turn, seen }
  }

  /** User messages without a reply yet. */
  get pending(): readonly string[] {
    return this.#user
  }

  /** Messages dropped as duplicates. */
  get repeated(): number {
    return this.#repeated
  }

  /** Takes the next message; returns the exchange that it completes, or null. */
  push(message: Message): TranscriptExchange | null {
    if (this.#isRepetition(message)) {
      this.#repeated++
      return null
    }
    const inSystem = this.#inSystem
    this.#inSystem = message.role === 'system'
    switch (message.role) {
      case 'user':
        this.#user.push(message.text)
        return null
      case 'system':
        this.#system = inSystem ? [...this.#system, message.text] : [message.text]
        this.#context.push(message.text)
        return null
      case 'context':
        this.#context.push(message.text)
        return null
      case 'assistant':
        return this.#complete(message.text)
    }
  }

  #complete(assistant: string): TranscriptExchange {
    const exchange = {
      user: this.#user.join('\n'),
      assistant,
      context: this.#context,
      ...(this.#system.length > 0 && { system: this.#system.join('\n') }),
    }
    this.#user = []
    this.#context = []
    return exchange
  }

  #isRepetition({ role, text, turn }: Message): boolean {
    if (turn !== this.#turn) this.#seen.clear()
    this.#turn = turn
    if (turn === null) return false
    const key = `${role} ${text}`
    if (this.#seen.has(key)) return true
    this.#seen.add(key)
    return false
  }
}
