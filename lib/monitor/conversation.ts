// Owns one conversation: order of exchanges, detector state and context, saving and forking. Knows that exchanges become verdicts, not how.

import type { ConversationContext, Detector } from '../detection/detector.js'
import type { ReplyReading } from '../detection/reply-reading.js'
import type { DetectorVerdict, ExchangeVerdict } from '../detection/verdict.js'
import { checkOptions, checkSignal, checkString, invalidArgument } from '../options.js'
import { checkInstructions, instructed, NO_CONTEXT, afterExchange, type Instructions } from './context.js'
import { ExchangeVectors, judgeExchange, type ConversationEmbedder, type Exchange } from './judge.js'
import { saveConversation, type SavedConversation } from './saved-conversation.js'
import { beginReply } from './stream/reply-reading.js'

export type { Instructions } from './context.js'
export type { ConversationEmbedder, Exchange } from './judge.js'
export type { SavedConversation } from './saved-conversation.js'

/** Options of {@link Conversation.addExchange}; instructions are in force from this exchange on. */
export interface AddExchangeOptions extends Instructions {
  signal?: AbortSignal
  /** Id of the exchange, copied to the verdict. */
  exchangeId?: string
}

/**
 * The exchanges of one conversation. Texts of several exchanges may be embedded concurrently; the detector sees the exchanges
 * strictly in the order of the calls. An exchange that fails leaves the conversation unchanged, except for its instructions.
 */
export class Conversation<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> {
  readonly id: string
  readonly #embedder: ConversationEmbedder
  readonly #detector: Detector<State, Verdict>
  #state: State
  #exchanges: number
  /** After the exchanges judged so far. */
  #context: ConversationContext
  /** As of the last call, in force for the next exchange. */
  #instructions: Instructions = {}
  /** Settles after all earlier exchanges. */
  #last: Promise<unknown> = Promise.resolve()
  #pending = 0

  /** Use `Monitor.conversation` instead. */
  constructor(
    embedder: ConversationEmbedder,
    detector: Detector<State, Verdict>,
    id: string,
    from?: { readonly state: State; readonly exchanges: number; readonly context: ConversationContext },
  ) {
    this.id = id
    this.#embedder = embedder
    this.#detector = detector
    this.#state = from?.state ?? detector.start()
    this.#exchanges = from?.exchanges ?? 0
    this.#context = from?.context ?? NO_CONTEXT
  }

  /** Exchanges judged so far. */
  get exchanges(): number {
    return this.#exchanges
  }

  /**
   * Sets system prompt and rules, in force from the next call of {@link addExchange} on; an omitted field stays as it is.
   *
   * @throws GabionError `INVALID_ARGUMENT`
   */
  instruct(instructions: Instructions): this {
    const given = checkOptions('instructions', instructions, ['system', 'rules'])
    this.#instructions = { ...this.#instructions, ...checkInstructions(given) }
    return this
  }

  /**
   * Judges the next exchange.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `ABORTED`, and the errors of `embedBatch` and the detector; always as a rejection
   */
  async addExchange(exchange: Exchange, options?: AddExchangeOptions): Promise<ExchangeVerdict<Verdict>> {
    const started = performance.now()
    const texts = checkExchange(exchange)
    const {
      signal: givenSignal,
      exchangeId: givenId,
      ...rest
    } = checkOptions('options', options, ['signal', 'exchangeId', 'system', 'rules'])
    const signal = givenSignal === undefined ? undefined : checkSignal('signal', givenSignal)
    const exchangeId = givenId === undefined ? null : checkString('exchangeId', givenId)
    const instructions = this.instruct(rest).#instructions
    const vectors = new ExchangeVectors(this.#embedder, this.#detector, texts, signal)
    return this.#inOrder(async () => {
      const identity = { conversation: this.id, exchange: this.#exchanges + 1, exchangeId, started }
      const context = instructed(this.#context, instructions)
      const { verdict, state } = await judgeExchange(this.#detector, { state: this.#state, context }, vectors, identity, signal)
      this.#state = state
      this.#context = afterExchange(context, texts)
      this.#exchanges++
      return verdict
    })
  }

  /**
   * Begins to read the reply to a user's message while it is being written, after all pending exchanges. Changes nothing; use
   * `StreamGuard` instead.
   */
  async beginReply(user: string, instructions: Instructions = {}): Promise<ReplyReading> {
    await this.#last
    const context = instructed(instructed(this.#context, this.#instructions), checkInstructions(instructions))
    return beginReply({ embedder: this.#embedder, detector: this.#detector }, this.#state, context, user)
  }

  /** Resets to the initial state, pending exchanges included; system prompt and rules stay. Takes effect at once if none is pending. */
  async reset(): Promise<void> {
    const restart = (): void => {
      this.#state = this.#detector.start()
      this.#context = { ...this.#context, history: [] }
      this.#exchanges = 0
    }
    if (this.#pending === 0) restart()
    else await this.#inOrder(() => Promise.resolve().then(restart))
  }

  /** An independent copy without the pending exchanges; no monitor stores it. */
  fork(id: string = this.id): Conversation<State, Verdict> {
    const from = { state: this.#state, exchanges: this.#exchanges, context: instructed(this.#context, this.#instructions) }
    return new Conversation(this.#embedder, this.#detector, checkString('id', id), from)
  }

  /** Saves the conversation after the exchanges judged so far; see `Monitor.restore`. */
  toJSON(): SavedConversation {
    const context = instructed(this.#context, this.#instructions)
    return saveConversation(this.#detector, this.id, { exchanges: this.#exchanges, state: structuredClone(this.#state), context })
  }

  /** Runs a step after all earlier ones have settled. */
  async #inOrder<T>(step: () => Promise<T>): Promise<T> {
    const run = this.#last.then(step)
    this.#last = run.catch(() => undefined)
    this.#pending++
    try {
      return await run
    } finally {
      this.#pending--
    }
  }
}

function checkExchange(exchange: unknown): Exchange {
  if (typeof exchange !== 'object' || exchange === null) throw invalidArgument('exchange', 'an object with user and assistant', exchange)
  const { user, assistant } = exchange as Partial<Exchange>
  return { user: checkString('user', user), assistant: checkString('assistant', assistant) }
}
