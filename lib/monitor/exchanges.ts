// Owns the rules by which messages become exchanges. Knows roles and texts, not files and not vectors.

/** Who wrote a message, as far as scoring is concerned: `context` is kept and not scored (system, tool). */
export type Role = 'user' | 'assistant' | 'context'

/** One message of a transcript. */
export interface Message {
  readonly role: Role
  readonly text: string
  /** The number that the transcript gives it, when it gives one. */
  readonly turn: number | null
}

/** One exchange of a transcript: what the user wrote since the last reply, and the reply. */
export interface TranscriptExchange {
  /** User messages since the last reply, joined by newlines; empty when there were none. */
  readonly user: string
  readonly assistant: string
  /** System and tool messages since the last reply. */
  readonly context: readonly string[]
}

/**
 * Puts messages together to exchanges, one conversation at a time: an exchange ends with each assistant message, so that
 * the n-th exchange is the n-th reply.
 *
 * A message that repeats another one of the same turn number, role and text is dropped: logs that deliver at least once
 * contain such repetitions.
 */
export class ExchangeAssembler {
  #user: string[] = []
  #context: string[] = []
  #turn: number | null = null
  readonly #seen = new Set<string>()
  #repeated = 0

  /** User messages that no reply has followed yet. */
  get pending(): readonly string[] {
    return this.#user
  }

  /** Messages dropped as repetitions. */
  get repeated(): number {
    return this.#repeated
  }

  /** Takes the next message; gives the exchange that it completes, or null. */
  push(message: Message): TranscriptExchange | null {
    if (this.#isRepetition(message)) {
      this.#repeated++
      return null
    }
    if (message.role === 'user') this.#user.push(message.text)
    else if (message.role === 'context') this.#context.push(message.text)
    else {
      const exchange = { user: this.#user.join('\n'), assistant: message.text, context: this.#context }
      this.#user = []
      this.#context = []
      return exchange
    }
    return null
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

/**
 * Messages in the order of their turn numbers; those of one turn keep theirs. A transcript in which some message has no
 * number is left as it is, since its numbers cannot be trusted to order it.
 */
export function inTurnOrder(messages: readonly Message[]): { messages: readonly Message[]; moved: boolean } {
  const turnOf = (message: Message): number => message.turn ?? NaN
  const moved = messages.some((message, index) => index > 0 && turnOf(message) < turnOf(messages[index - 1] as Message))
  if (!moved || messages.some(({ turn }) => turn === null)) return { messages, moved: false }
  return { messages: messages.toSorted((a, b) => turnOf(a) - turnOf(b)), moved: true }
}
