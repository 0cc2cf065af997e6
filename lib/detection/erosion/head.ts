// Owns the trained head in its folded form: one affine function of reply vector, user vector, their product and two flags.
// Knows vectors and numbers; neither training nor conversations.

import type { RefusalFlags } from './lexicon.js'

/**
 * `logit = intercept + reply·r + user·u + product·(r∘u) + flags·f`, where r and u are unit vectors and ∘ multiplies them
 * elementwise. Centering and scaling of the training features are folded in.
 */
export interface HeadWeights {
  readonly dimensions: number
  /** `dimensions` values each. */
  readonly reply: Float64Array
  readonly user: Float64Array
  readonly product: Float64Array
  /** Weights of the refusal flags: in the opening, anywhere. */
  readonly flags: readonly [number, number]
  readonly intercept: number
}

/** Each part's addend of a logit; their sum is the logit. */
export interface Contributions {
  readonly reply: number
  readonly user: number
  readonly product: number
  readonly openingRefusal: number
  readonly refusal: number
  readonly intercept: number
}

/** The score of an exchange. */
export interface HeadScore {
  readonly logit: number
  readonly contributions: Contributions
  /** Index of the reply's highest-scoring window. */
  readonly window: number
}

/**
 * Scores an exchange by the highest-scoring window of the reply.
 *
 * @param user - unit vector of the user's message; zeros for an empty one
 * @param windows - unit vectors of the reply's windows, at least one
 */
export function scoreExchange(
  weights: HeadWeights,
  user: ArrayLike<number>,
  windows: readonly ArrayLike<number>[],
  flags: RefusalFlags,
): HeadScore {
  let [best, window] = [-Infinity, 0]
  let [bestReply, bestProduct] = [0, 0]
  for (const [index, vector] of windows.entries()) {
    let [reply, product] = [0, 0]
    for (let i = 0; i < weights.dimensions; i++) {
      const value = vector[i] as number
      reply += (weights.reply[i] as number) * value
      product += (weights.product[i] as number) * value * (user[i] as number)
    }
    if (reply + product > best) [best, window, bestReply, bestProduct] = [reply + product, index, reply, product]
  }
  let fromUser = 0
  for (let i = 0; i < weights.dimensions; i++) fromUser += (weights.user[i] as number) * (user[i] as number)
  const openingRefusal = flags.opening ? weights.flags[0] : 0
  const refusal = flags.anywhere ? weights.flags[1] : 0
  const logit = weights.intercept + fromUser + bestReply + bestProduct + openingRefusal + refusal
  const contributions = {
    reply: bestReply,
    user: fromUser,
    product: bestProduct,
    openingRefusal,
    refusal,
    intercept: weights.intercept,
  }
  return { logit, contributions, window }
}

/** The unit vector of a text: the mean of its windows' vectors, scaled to length 1. Zeros for a text without windows. */
export function textVector(windows: readonly ArrayLike<number>[], dimensions: number): ArrayLike<number> {
  if (windows.length === 1) return windows[0] as ArrayLike<number>
  const mean = new Float64Array(dimensions)
  for (const vector of windows) for (let i = 0; i < dimensions; i++) mean[i]! += vector[i] as number
  const length = Math.hypot(...mean)
  return length === 0 ? mean : mean.map((value) => value / length)
}
