// Owns the relative score that people see: a logistic curve fitted to out-of-fold logits. Not a probability of harm.

import type { ErosionArtifact } from '../erosion/artifact.js'
import { rowWeights, type ClassMass, type EmbeddedExchange } from './exchanges.js'
import { fitLogistic } from '../fitting/logistic.js'
import { auroc } from '../../statistics/ranking.js'
import { fitHead, outOfFold, type HeadFit } from './train-head.js'

const FOLDS = 5
const FOLD_SEED = 7
/** C of a negligible penalty. */
const UNPENALIZED_C = 1e6

/** Out-of-fold logits of all exchanges: each group is scored by a head that was fitted without it. */
export function outOfFoldLogits(
  exchanges: readonly EmbeddedExchange[],
  masses: Readonly<Record<string, ClassMass>>,
  fit: HeadFit,
  onFold?: () => void,
): Float64Array {
  return outOfFold(exchanges, { count: FOLDS, seed: FOLD_SEED }, (rest) => {
    const { head } = fitHead(rest, rowWeights(rest, masses), fit)
    onFold?.()
    return head
  })
}

/** Cross-validated AUROC of each set that has both classes. */
export function crossValidated(exchanges: readonly EmbeddedExchange[], logits: ArrayLike<number>): { set: string; auroc: number }[] {
  return [...new Set(exchanges.map(({ set }) => set))].flatMap((set) => {
    const rows = exchanges.flatMap((exchange, row) => (exchange.set === set ? [row] : []))
    const area = auroc({ scores: rows.map((row) => logits[row]!), labels: rows.map((row) => (exchanges[row]!.label === 'unsafe' ? 1 : 0)) })
    return Number.isNaN(area) ? [] : [{ set, auroc: area }]
  })
}

/** Fits the curve; both classes of each set have equal weight. */
export function fitRelativeScore(exchanges: readonly EmbeddedExchange[], logits: ArrayLike<number>): ErosionArtifact['relativeScore'] {
  const masses = Object.fromEntries(exchanges.map(({ set }) => [set, { unsafe: 0.5, safe: 0.5 }]))
  const { weights, intercept } = fitLogistic({
    features: { rows: exchanges.length, columns: 1, values: Float32Array.from(logits) },
    targets: exchanges.map(({ label }) => (label === 'unsafe' ? 1 : 0)),
    weights: rowWeights(exchanges, masses),
    c: UNPENALIZED_C,
  })
  return { slope: weights[0]!, offset: intercept }
}
