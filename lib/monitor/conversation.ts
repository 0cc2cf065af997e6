// Owns one conversation: order of exchanges, detector state, saving and forking. Knows that exchanges become verdicts, not how.

import type { Detector } from '../detection/detector.js'
import type { DetectorVerdict, ExchangeVerdict } from '../detection/verdict.js'
import { checkOptions, checkSignal, checkString, invalidArgument } from '../options.js'
import { embedExchange, judgeExchange, type ConversationEmbedder, type Exchange } from './judge.js'
import { saveConversation, type SavedConversation } from './saved-conversation.js'

export type { ConversationEmbedder, Exchange } from './judge.js'
export type { SavedConversation } from './saved-conversation.js'

/** Options of {@link Conversation.addExchange}. */
export interface AddExchangeOptions {
  signal?: AbortSignal
  /** Id of the exchange, copied to the verdict. */
  exchangeId?: string
}

/**
 * The exchanges of one conversation. Texts of several exchanges may be embedded concurrently; the detector sees the exchanges
 * strictly in the order of the calls. An exchange that fails leaves the conversation unchanged.
 */
export class Conversation<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> {
  readonly id: string
  readonly #embedder: ConversationEmbedder
  readonly #detector: Detector<State, Verdict>
  #state: State
  #exchanges: number
  /** Settles after all earlier exchanges. */
  #last: Promise<unknown> = Promise.resolve()
  #pending = 0

  /** Use `Monitor.conversation` instead. */
  constructor(
    embedder: ConversationEmbedder,
    detector: Detector<State, Verdict>,
    id: string,
    from?: { readonly state: State; readonly exchanges: number },
  ) {
    this.id = id
    this.#embedder = embedder
    this.#detector = detector
    this.#state = from?.state ?? detector.start()
    this.#exchanges = from?.exchanges ?? 0
  }

  /** Exchanges judged so far. */
  get exchanges(): number {
    return this.#exchanges
  }

  /**
   * Judges the next exchange.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `ABORTED`, and the errors of `embedBatch` and the detector; always as a rejection
   */
  async addExchange(exchange: Exchange, options?: AddExchangeOptions): Promise<ExchangeVerdict<Verdict>> {
    const started = performance.now()
    const texts = checkExchange(exchange)
    const given = checkOptions('options', options, ['signal', 'exchangeId'])
    const signal = given.signal === undefined ? undefined : checkSignal('signal', given.signal)
    const exchangeId = given.exchangeId === undefined ? null : checkString('exchangeId', given.exchangeId)
    const embedding = embedExchange(this.#embedder, this.#detector, texts, signal)
    // A rejection is handled below, possibly after earlier exchanges; until then it must not count as unhandled.
    embedding.catch(() => undefined)
    return this.#inOrder(async () => {
      const identity = { conversation: this.id, exchange: this.#exchanges + 1, exchangeId, started }
      const { verdict, state } = await judgeExchange(this.#detector, this.#state, await embedding, identity, signal)
      this.#state = state
      this.#exchanges++
      return verdict
    })
  }

  /** Resets to the initial state, pending exchanges included. Takes effect at once if none is pending. */
  async reset(): Promise<void> {
    const restart = (): void => {
      this.#state = this.#detector.start()
      this.#exchanges = 0
    }
    if (this.#pending === 0) restart()
    else await this.#inOrder(() => Promise.resolve().then(restart))
  }

  /** An independent copy without the pending exchanges; no monitor stores it. */
  fork(id: string = this.id): Conversation<State, Verdict> {
    const from = { state: this.#state, exchanges: this.#exchanges }
    return new Conversation(this.#embedder, this.#detector, checkString('id', id), from)
  }

  /** Saves the conversation after the exchanges judged so far; see `Monitor.restore`. */
  toJSON(): SavedConversation {
    return saveConversation(this.#detector, this.id, this.#exchanges, structuredClone(this.#state))
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
