// Owns the aggregation of exchange logits by conversation: the highest statistic of each, the benign scale, thresholds.
// Knows logits; no heads or vectors.

import type { EmbedderFingerprint, ThresholdSet } from '../erosion/artifact.js'
import { EROSION_START, nextLevel, type BenignScale, type ErosionState } from '../erosion/level.js'
import { AGGREGATES, thresholdFor, type Aggregate } from '../erosion/thresholds.js'
import { GabionError } from '../../errors.js'
import { median as medianOf } from '../../statistics/quantile.js'

/** The logits of a conversation's exchanges, in order. */
export interface ConversationLogits {
  readonly conversation: string
  readonly logits: readonly number[]
}

/** Groups the logits of exchanges by conversation, in the order of the exchanges. */
export function byConversation(
  exchanges: readonly { readonly conversation: string; readonly exchange: number }[],
  logits: ArrayLike<number>,
): ConversationLogits[] {
  const conversations = new Map<string, { exchange: number; logit: number }[]>()
  for (const [index, { conversation, exchange }] of exchanges.entries()) {
    const entry = { exchange, logit: logits[index] as number }
    const list = conversations.get(conversation)
    if (list === undefined) conversations.set(conversation, [entry])
    else list.push(entry)
  }
  return [...conversations].map(([conversation, list]) => ({
    conversation,
    logits: list.sort((a, b) => a.exchange - b.exchange).map(({ logit }) => logit),
  }))
}

/**
 * Median, standard deviation and p90 of benign exchanges.
 *
 * @throws GabionError `INVALID_ARGUMENT` when all exchanges score alike
 */
export function benignScale(logits: ArrayLike<number>): BenignScale {
  const sorted = Float64Array.from(logits).sort()
  const p90 = sorted[Math.min(sorted.length - 1, Math.floor(0.9 * sorted.length))] as number
  const median = medianOf(sorted)
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length
  const deviation = Math.sqrt(sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sorted.length)
  if (!(deviation > 0)) throw new GabionError('INVALID_ARGUMENT', 'the benign exchanges all score alike: no scale can be taken from them')
  return { median, deviation, p90: (p90 - median) / deviation }
}

/** A conversation's highest statistic. */
export function highestStatistic({ logits }: ConversationLogits, scale: BenignScale, aggregate: Aggregate): number {
  let state: ErosionState = EROSION_START
  let highest = -Infinity
  for (const logit of logits) {
    const step = nextLevel(state, logit, scale, { aggregate, elevated: Infinity, alert: Infinity })
    state = step.state
    highest = Math.max(highest, step.statistic)
  }
  return highest
}

/**
 * Sets the thresholds of every aggregate on benign conversations.
 *
 * @throws GabionError `INVALID_ARGUMENT` when there are too few for the budgets
 */
export function thresholdsFrom(
  benign: readonly ConversationLogits[],
  budgets: { readonly elevated: number; readonly alert: number },
  origin: { readonly source: string; readonly embedder: EmbedderFingerprint },
): ThresholdSet {
  if (budgets.alert > budgets.elevated) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `the alert budget (${String(budgets.alert)}) may not exceed the elevated one (${String(budgets.elevated)})`,
    )
  }
  const scale = benignScale(benign.flatMap(({ logits }) => logits))
  const levels = Object.fromEntries(
    AGGREGATES.map((aggregate) => {
      const maxima = benign.map((conversation) => highestStatistic(conversation, scale, aggregate))
      return [aggregate, { elevated: thresholdFor(maxima, budgets.elevated), alert: thresholdFor(maxima, budgets.alert) }]
    }),
  ) as unknown as ThresholdSet['levels']
  return { source: origin.source, embedder: origin.embedder, scale, levels }
}
