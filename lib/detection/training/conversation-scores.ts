// Owns the way from exchange logits to conversations: the highest statistic of each, the benign scale, thresholds.
// Knows logits; heads and vectors are elsewhere.

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

/** Puts the logits of exchanges together by conversation, in the order of their turns. */
export function byConversation(
  exchanges: readonly { readonly conversation: string; readonly turn: number }[],
  logits: ArrayLike<number>,
): ConversationLogits[] {
  const turns = new Map<string, { turn: number; logit: number }[]>()
  for (const [index, { conversation, turn }] of exchanges.entries()) {
    const entry = { turn, logit: logits[index] as number }
    const list = turns.get(conversation)
    if (list === undefined) turns.set(conversation, [entry])
    else list.push(entry)
  }
  return [...turns].map(([conversation, list]) => ({
    conversation,
    logits: list.sort((a, b) => a.turn - b.turn).map(({ logit }) => logit),
  }))
}

/**
 * Median, deviation and ninth decile of benign exchanges.
 *
 * @throws GabionError `INVALID_ARGUMENT` when all exchanges score alike
 */
export function benignScale(logits: ArrayLike<number>): BenignScale {
  const sorted = Float64Array.from(logits).sort()
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number
  const median = medianOf(sorted)
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length
  const deviation = Math.sqrt(sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sorted.length)
  if (!(deviation > 0)) throw new GabionError('INVALID_ARGUMENT', 'the benign exchanges all score alike: no scale can be taken from them')
  return { median, deviation, ninth: (at(0.9) - median) / deviation }
}

/** The highest statistic that a conversation reaches. */
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
 * Thresholds of every aggregate from benign conversations.
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
