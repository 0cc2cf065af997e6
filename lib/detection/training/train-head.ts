// Owns the fit of one head on embedded exchanges. Knows no sets, files or thresholds.

import { scoreExchange, type HeadWeights } from '../erosion/head.js'
import type { EmbeddedExchange } from './exchanges.js'
import { featureRows, foldHead, learnScale, type FeatureScale } from './features.js'
import { dealFolds } from '../../statistics/groups.js'
import { pairsWithinGroups } from './group-pairs.js'
import { fitLogistic, type LogisticModel, type Weights } from '../fitting/logistic.js'
import type { HeadRecipe } from './recipe.js'

/** Options of {@link fitHead}. */
export interface HeadFit {
  readonly recipe: HeadRecipe
  readonly dimensions: number
  /** Initial weights, from a fit on nearly the same rows; saves time and changes results only within the fit's tolerance. */
  readonly start?: Weights
  readonly signal?: AbortSignal
}

/** A fitted head, folded and unfolded. */
export interface FittedHead {
  readonly head: HeadWeights
  readonly scale: FeatureScale
  readonly model: LogisticModel
}

/** Fits a head; `weights` has one value per exchange. */
export function fitHead(exchanges: readonly EmbeddedExchange[], weights: ArrayLike<number>, fit: HeadFit): FittedHead {
  const rows = exchanges.map(trainingVectors)
  const scale = learnScale(rows, fit.recipe, fit.dimensions)
  const model = fitLogistic({
    features: featureRows(rows, scale),
    targets: exchanges.map(({ label }) => (label === 'unsafe' ? 1 : 0)),
    weights,
    c: fit.recipe.c,
    ...(fit.recipe.pairShare > 0 && { pairs: pairsWithinGroups(exchanges, fit.recipe.pairShare) }),
    ...(fit.start !== undefined && { start: fit.start }),
    ...(fit.signal !== undefined && { signal: fit.signal }),
  })
  return { head: foldHead(model, scale), scale, model }
}

/** The vectors for training, where a reply is the mean of its windows. */
export function trainingVectors({ userVector, replyVector, flags }: EmbeddedExchange): {
  user: ArrayLike<number>
  reply: ArrayLike<number>
  flags: EmbeddedExchange['flags']
} {
  return { user: userVector, reply: replyVector, flags }
}

/** Logits as at run time: of each reply's highest-scoring window; `empty` for an empty reply. */
export function logitsAtRunTime(head: HeadWeights, exchanges: readonly EmbeddedExchange[], empty = head.intercept): Float64Array {
  return Float64Array.from(exchanges, ({ userVector, replyWindows, flags }) =>
    replyWindows.length === 0 ? empty : scoreExchange(head, userVector, replyWindows, flags).logit,
  )
}

/** Logits of every exchange by a head that was fitted without its group. */
export function outOfFold(
  exchanges: readonly EmbeddedExchange[],
  folds: { count: number; seed: number },
  make: (rest: readonly EmbeddedExchange[]) => HeadWeights,
): Float64Array {
  const groups = exchanges.map(({ group }) => group)
  const dealt = dealFolds(groups, Math.min(folds.count, new Set(groups).size), folds.seed)
  const logits = new Float64Array(exchanges.length)
  for (const fold of new Set(dealt.values())) {
    const rows = groups.flatMap((group, row) => (dealt.get(group) === fold ? [row] : []))
    const made = make(exchanges.filter((_, row) => dealt.get(groups[row]!) !== fold))
    const found = logitsAtRunTime(
      made,
      rows.map((row) => exchanges[row]!),
    )
    for (const [index, row] of rows.entries()) logits[row] = found[index]!
  }
  return logits
}
