// Owns the rule that sets a threshold from benign conversations.
// Knows scores, not their source.

import { GabionError, wrongRange } from '../../errors.js'
import { upperBound } from '../../statistics/binomial.js'
import { nextAbove } from '../../statistics/quantile.js'

/** Statistics over exchanges that are compared with a threshold; `level.ts` has the formulas. */
export const AGGREGATES = ['max', 'ewma', 'decayedCusum'] as const
export type Aggregate = (typeof AGGREGATES)[number]

/** Default share of benign conversations that may reach each level. */
export const BUDGETS = { elevated: 0.05, alert: 0.01 } as const

/** A threshold with its evidence. */
export interface Threshold {
  /** Reached or exceeded: the level is entered. */
  readonly value: number
  /** Share of benign conversations that may reach it. */
  readonly budget: number
  /** Benign conversations it was set on. */
  readonly conversations: number
  /** How many of them reach it. */
  readonly reached: number
  /** Upper end of the one-sided 95 % Clopper-Pearson interval of the share of benign conversations that reach it. */
  readonly upperBound: number
}

/** Minimum number of benign conversations for a budget; with fewer, no conversation would support the threshold. */
export function fewestConversations(budget: number): number {
  return Math.ceil(1 / budget - 1e-9)
}

/**
 * The smallest threshold that at most `floor(budget * n)` of the benign conversations reach.
 *
 * It is the next double above the highest score that must stay below it, so that conversations with equal scores are all
 * below or all above.
 *
 * @param maxima - highest statistic of each benign conversation
 * @throws GabionError `INVALID_ARGUMENT` when there are too few conversations for the budget
 */
export function thresholdFor(maxima: ArrayLike<number>, budget: number): Threshold {
  if (!(budget > 0 && budget < 1)) throw wrongRange(`a budget must be between 0 and 1, got ${String(budget)}`)
  const conversations = maxima.length
  const fewest = fewestConversations(budget)
  if (conversations < fewest) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `a budget of ${String(budget * 100)} % needs at least ${String(fewest)} benign conversations, got ${String(conversations)}`,
    )
  }
  const sorted = Float64Array.from(maxima).sort().reverse()
  const allowed = Math.floor(budget * conversations + 1e-9)
  const highestBelow = sorted[allowed] as number
  const value = nextAbove(highestBelow)
  const reached = sorted.filter((score) => score >= value).length
  return { value, budget, conversations, reached, upperBound: upperBound(reached, conversations) }
}
