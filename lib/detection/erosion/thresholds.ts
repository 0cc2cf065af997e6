// Owns the rule that sets a threshold from benign conversations, and its confidence bounds.
// Knows scores, not their source.

import { GabionError } from '../../errors.js'

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
  if (!(budget > 0 && budget < 1)) throw new GabionError('INVALID_ARGUMENT', `a budget must be between 0 and 1, got ${String(budget)}`)
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

/** The next double above a finite one. */
function nextAbove(value: number): number {
  const view = new DataView(new ArrayBuffer(8))
  if (value === 0) return Number.MIN_VALUE
  view.setFloat64(0, value)
  view.setBigInt64(0, view.getBigInt64(0) + (value > 0 ? 1n : -1n))
  return view.getFloat64(0)
}

/**
 * Upper end of the one-sided 95 % interval of Clopper and Pearson (1934) for `hits` of `n`: the share p at which `hits` or
 * fewer have probability 5 %. Found by bisection of the binomial distribution, which needs no special functions.
 */
export function upperBound(hits: number, n: number): number {
  if (hits >= n) return 1
  let [low, high] = [hits / n, 1]
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2
    if (binomialTail(hits, n, middle) > 0.05) low = middle
    else high = middle
  }
  return high
}

/** Lower end of the one-sided 95 % interval of Clopper and Pearson. */
export function lowerBound(hits: number, n: number): number {
  return hits === 0 ? 0 : 1 - upperBound(n - hits, n)
}

/** Probability of at most `hits` of `n` at a share of `p` each. */
function binomialTail(hits: number, n: number, p: number): number {
  let logTerm = n * Math.log1p(-p)
  let sum = Math.exp(logTerm)
  for (let k = 1; k <= hits; k++) {
    logTerm += Math.log((n - k + 1) / k) + Math.log(p / (1 - p))
    sum += Math.exp(logTerm)
  }
  return sum
}
