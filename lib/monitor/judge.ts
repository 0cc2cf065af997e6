// Owns judging of one exchange: texts, context and state give a verdict and the next state; vectors are computed where asked for.
// Stateless and unordered: callers (a Conversation, a service with stored states) own state, context and order.

import type { ConversationContext, Detector, EmbeddedExchange, EmbeddedText, EmbeddedWindow, Exchange } from '../detection/detector.js'
import type { DetectorVerdict, ExchangeTimings, ExchangeVerdict } from '../detection/verdict.js'
import type { Embedder } from '../embedding/embedder.js'
import type { EmbeddingBatch } from '../embedding/embedding-batch.js'
import { GabionError } from '../errors.js'

export type { Exchange } from '../detection/detector.js'

/** The part of an embedder that judging uses. */
export type ConversationEmbedder = Pick<Embedder, 'embedBatch' | 'embedWindows'>

type EmbedTimings = Omit<ExchangeTimings, 'detectMs' | 'totalMs'>

/** An exchange's texts as a detector gets them embedded: at its first request, or ahead of its turn. */
export class ExchangeVectors {
  readonly exchange: Exchange
  readonly #embedder: ConversationEmbedder
  readonly #detector: Pick<Detector<never>, 'projection' | 'windows' | 'normalize'>
  readonly #signal: AbortSignal | undefined
  readonly #isFinished: boolean
  #embedding: Promise<EmbeddedExchange> | null = null
  readonly #spent = { tokenizeMs: 0, queueMs: 0, encodeMs: 0, projectMs: 0 }
  #awaitedMs = 0
  #truncated = false

  /** @param isFinished - false for a reply that is still being written: what it says so far does not come again */
  constructor(
    embedder: ConversationEmbedder,
    detector: Detector<never> | Detector,
    { user, assistant }: Exchange,
    signal: AbortSignal | undefined,
    isFinished = true,
  ) {
    this.exchange = { user, assistant }
    this.#embedder = embedder
    this.#detector = detector
    this.#signal = signal
    this.#isFinished = isFinished
    if (detector.embedsAhead !== true) return
    this.#embedding = this.#compute()
    // A rejection is handled at the exchange's turn, possibly after earlier exchanges; until then it must not count as unhandled.
    this.#embedding.catch(() => undefined)
  }

  /** A text that was embedded was cut. */
  get truncated(): boolean {
    return this.#truncated
  }

  /** Summed over all texts that were embedded. */
  get timings(): EmbedTimings {
    return { ...this.#spent }
  }

  /** Milliseconds that a detector has waited for vectors. */
  get awaitedMs(): number {
    return this.#awaitedMs
  }

  /** See `ConversationExchange.embedded`. */
  read(): Promise<EmbeddedExchange> {
    return this.#awaited((this.#embedding ??= this.#compute()))
  }

  /** See `ConversationExchange.embed`. */
  async embed(texts: readonly string[]): Promise<readonly Float32Array[]> {
    const batch = await this.#awaited(this.#embedder.embedBatch(texts, this.#options()))
    this.#add(batch.timings)
    return texts.map((_, index) => batch.row(index))
  }

  /** Embeds both texts in one call; a reply that is not finished apart, without keeping its vectors. */
  async #compute(): Promise<EmbeddedExchange> {
    const { user, assistant } = this.exchange
    const calls = this.#isFinished ? [this.#windowsOf([user, assistant])] : [this.#windowsOf([user]), this.#windowsOf([assistant], false)]
    const windows = new Map((await Promise.all(calls)).flat())
    const embedded = (text: string): EmbeddedText => ({ text, windows: windows.get(text) ?? [] })
    return { user: embedded(user), assistant: embedded(assistant) }
  }

  /** The windows of texts by text; blank ones are skipped. */
  async #windowsOf(given: readonly string[], cache = true): Promise<[string, readonly EmbeddedWindow[]][]> {
    const { projection, windows: rule } = this.#detector
    const texts = given.filter(isNotBlank)
    const normalized = texts.map((text) => this.#detector.normalize?.(text) ?? text)
    const options = { ...(!cache && { cache }), ...(projection !== null && { projection }), ...this.#options() }
    if (rule !== undefined) {
      const batch = await this.#embedder.embedWindows(normalized, rule, options)
      this.#add(batch.timings)
      return texts.map((text, index) => [text, batch.windows(index)])
    }
    const batch = await this.#embedder.embedBatch(normalized, options)
    this.#add(batch.timings)
    this.#truncated ||= texts.some((_, index) => batch.truncated(index))
    return texts.map((text, index) => [text, [onlyWindow(batch, index, text)]])
  }

  #options(): { signal?: AbortSignal } {
    return this.#signal === undefined ? {} : { signal: this.#signal }
  }

  #add(timings: EmbedTimings): void {
    for (const part of ['tokenizeMs', 'queueMs', 'encodeMs', 'projectMs'] as const) this.#spent[part] += timings[part]
  }

  async #awaited<T>(pending: Promise<T>): Promise<T> {
    const started = performance.now()
    try {
      return await pending
    } finally {
      this.#awaitedMs += performance.now() - started
    }
  }
}

/**
 * The verdict on an exchange, and the next state.
 *
 * @param before - the conversation's state and context before the exchange
 * @param identity - the exchange's ids and number, and the start of the call by `performance.now()`
 * @throws GabionError `ABORTED`, and the errors of embedding and detector; the state is then unchanged
 */
export async function judgeExchange<State, Verdict extends DetectorVerdict>(
  detector: Detector<State, Verdict>,
  before: { readonly state: State; readonly context: ConversationContext },
  vectors: ExchangeVectors,
  identity: Pick<ExchangeVerdict, 'conversation' | 'exchange' | 'exchangeId'> & { readonly started: number },
  signal: AbortSignal | undefined,
): Promise<{ verdict: ExchangeVerdict<Verdict>; state: State }> {
  const { started, ...named } = identity
  refuseIfAborted(signal)
  // Vectors computed ahead are awaited here, so that detectors see the time of their own work only.
  if (detector.embedsAhead === true) await vectors.read()
  const detecting = performance.now()
  const awaitedBefore = vectors.awaitedMs
  const { verdict, state } = await detector.judge(before.state, {
    ...vectors.exchange,
    ...before.context,
    embedded: () => vectors.read(),
    embed: (texts) => vectors.embed(texts),
    signal,
  })
  refuseIfAborted(signal)
  const now = performance.now()
  const detectMs = Math.max(0, now - detecting - (vectors.awaitedMs - awaitedBefore))
  const timings = { ...vectors.timings, detectMs, totalMs: now - started }
  return { verdict: { ...verdict, ...named, truncated: vectors.truncated, timings, at: new Date().toISOString() }, state }
}

function refuseIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new GabionError('ABORTED', 'the exchange was aborted by its signal', { cause: signal.reason })
}

function isNotBlank(text: string): boolean {
  return text.trim() !== ''
}

function onlyWindow(batch: EmbeddingBatch, index: number, text: string): EmbeddedWindow {
  return { vector: batch.row(index), projected: batch.projected === null ? null : batch.projectedRow(index), start: 0, end: text.length }
}
