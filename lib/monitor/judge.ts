// Owns judging of one exchange: both texts are embedded in one call; vectors and state give a verdict and the next state.
// Stateless and unordered: callers (a Conversation, a service with stored states) own state and order.

import type { Detector, EmbeddedExchange, EmbeddedText, EmbeddedWindow } from '../detection/detector.js'
import type { DetectorVerdict, ExchangeTimings, ExchangeVerdict } from '../detection/verdict.js'
import type { Embedder } from '../embedding/embedder.js'
import type { EmbeddingBatch } from '../embedding/embedding-batch.js'
import { GabionError } from '../errors.js'

/** The part of an embedder that judging uses. */
export type ConversationEmbedder = Pick<Embedder, 'embedBatch' | 'embedWindows'>

/** One exchange: the user's message, and the assistant's reply to it. Either may be empty. */
export interface Exchange {
  readonly user: string
  readonly assistant: string
}

/** Embeds both texts in one call; empty ones are skipped and have no windows. */
export async function embedExchange(
  embedder: ConversationEmbedder,
  detector: Detector<never> | Detector,
  { user, assistant }: Exchange,
  signal: AbortSignal | undefined,
): Promise<EmbeddedExchange & { truncated: boolean; timings: Omit<ExchangeTimings, 'detectMs'> }> {
  const { projection, windows: rule } = detector
  const texts = [user, assistant].filter(isNotBlank)
  const normalized = texts.map((text) => detector.normalize?.(text) ?? text)
  const options = { ...(projection !== null && { projection }), ...(signal !== undefined && { signal }) }
  const embedded = (text: string, windowsAt: (index: number) => readonly EmbeddedWindow[]): EmbeddedText => ({
    text,
    windows: isNotBlank(text) ? windowsAt(texts.indexOf(text)) : [],
  })
  if (rule !== undefined) {
    const batch = await embedder.embedWindows(normalized, rule, options)
    const windowsAt = (index: number): readonly EmbeddedWindow[] => batch.windows(index)
    return { user: embedded(user, windowsAt), assistant: embedded(assistant, windowsAt), truncated: false, timings: batch.timings }
  }
  const batch = await embedder.embedBatch(normalized, options)
  const windowsAt = (index: number): readonly EmbeddedWindow[] => [onlyWindow(batch, index, texts[index] as string)]
  const truncated = texts.some((_, index) => batch.truncated(index))
  return { user: embedded(user, windowsAt), assistant: embedded(assistant, windowsAt), truncated, timings: batch.timings }
}

/**
 * The verdict on an embedded exchange, and the next state.
 *
 * @param identity - the exchange's ids and number, and the start of the call by `performance.now()`
 * @throws GabionError `ABORTED`, and the detector's errors; the state is then unchanged
 */
export async function judgeExchange<State, Verdict extends DetectorVerdict>(
  detector: Detector<State, Verdict>,
  before: State,
  { truncated, timings, ...exchange }: Awaited<ReturnType<typeof embedExchange>>,
  identity: Pick<ExchangeVerdict, 'conversation' | 'exchange' | 'exchangeId'> & { readonly started: number },
  signal: AbortSignal | undefined,
): Promise<{ verdict: ExchangeVerdict<Verdict>; state: State }> {
  const { started, ...named } = identity
  const detecting = performance.now()
  const { verdict, state } = await detector.judge(before, exchange)
  if (signal?.aborted === true) throw new GabionError('ABORTED', 'the exchange was aborted by its signal', { cause: signal.reason })
  const now = performance.now()
  const { tokenizeMs, queueMs, encodeMs, projectMs } = timings
  const spent = { tokenizeMs, queueMs, encodeMs, projectMs, detectMs: now - detecting, totalMs: now - started }
  return { verdict: { ...verdict, ...named, truncated, timings: spent, at: new Date().toISOString() }, state }
}

function isNotBlank(text: string): boolean {
  return text.trim() !== ''
}

function onlyWindow(batch: EmbeddingBatch, index: number, text: string): EmbeddedWindow {
  return { vector: batch.row(index), projected: batch.projected === null ? null : batch.projectedRow(index), start: 0, end: text.length }
}
