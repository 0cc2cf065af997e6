// Owns the adaptation of a finished head to somebody's own few conversations: a ridge that pulls towards the shipped weights.
// Knows vectors and a head; says plainly when nothing is gained.

import { GabionError } from '../../errors.js'
import type { HeadWeights } from '../erosion/head.js'
import type { EmbeddedExchange } from './exchanges.js'
import { fitLogistic, type FeatureRows, type Weights } from './logistic.js'
import { auroc } from './ranking.js'
import { bootstrapInterval, dealFolds } from './splits.js'
import { logitsAtRunTime, trainingVectors } from './train-head.js'

/** Strengths tried; the first keeps nearly all of the shipped head. */
const STRENGTHS = [1e-5, 1e-4, 1e-3, 1e-2] as const
const FOLDS = 5
const FOLD_SEED = 13
/** Fewest conversations of each class. */
const FEWEST = 5

/** An adapted head, and what the adaptation is worth. */
export interface Adaptation {
  readonly head: HeadWeights
  /** Inverse strength of the pull, chosen in cross-validation; 0: the shipped head was best and is given back. */
  readonly c: number
  /** Out-of-fold AUROC on the given conversations, which no fold's head has seen. */
  readonly shipped: number
  readonly adapted: number
  /** 95 % bootstrap interval by group of the gain; a gain whose interval holds 0 is no gain. */
  readonly gain: readonly [number, number]
}

/**
 * Adapts a head to 10 to some hundreds of conversations.
 *
 * @throws GabionError `INVALID_ARGUMENT` with fewer than 5 conversations of either class, or all of them in one group
 */
export function adaptHead(head: HeadWeights, exchanges: readonly EmbeddedExchange[]): Adaptation {
  const count = (label: 'safe' | 'unsafe'): number =>
    new Set(exchanges.filter((exchange) => exchange.label === label).map(({ conversation }) => conversation)).size
  const [safe, unsafe] = [count('safe'), count('unsafe')]
  if (safe < FEWEST || unsafe < FEWEST) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `adapting needs at least ${String(FEWEST)} conversations of each class, got ${String(safe)} safe and ${String(unsafe)} unsafe`,
    )
  }
  const groups = exchanges.map(({ group }) => group)
  const folds = dealFolds(groups, Math.min(FOLDS, new Set(groups).size), FOLD_SEED)
  if (new Set(folds.values()).size < 2) throw new GabionError('INVALID_ARGUMENT', 'adapting needs conversations of two groups or more')
  const labels = exchanges.map(({ label }) => (label === 'unsafe' ? 1 : 0))
  const shipped = logitsAtRunTime(head, exchanges)
  const tried = STRENGTHS.map((c) => ({ c, logits: outOfFold(head, exchanges, groups, folds, c) }))
  const area = (scores: ArrayLike<number>): number => auroc({ scores, labels })
  const best = tried.reduce((a, b) => (area(b.logits) > area(a.logits) ? b : a))
  const part = (scores: ArrayLike<number>, rows: readonly number[]): number =>
    auroc({ scores: rows.map((row) => scores[row]!), labels: rows.map((row) => labels[row]!) })
  const gain = bootstrapInterval(groups, (rows) => part(best.logits, rows) - part(shipped, rows))
  const better = area(best.logits) > area(shipped)
  return {
    head: better ? adapt(head, exchanges, best.c) : head,
    c: better ? best.c : 0,
    shipped: area(shipped),
    adapted: better ? area(best.logits) : area(shipped),
    gain: better ? gain : [0, 0],
  }
}

function outOfFold(
  head: HeadWeights,
  exchanges: readonly EmbeddedExchange[],
  groups: readonly string[],
  folds: ReadonlyMap<string, number>,
  c: number,
): Float64Array {
  const logits = new Float64Array(exchanges.length)
  for (const fold of new Set(folds.values())) {
    const rows = groups.flatMap((group, row) => (folds.get(group) === fold ? [row] : []))
    const adapted = adapt(
      head,
      exchanges.filter((_, row) => folds.get(groups[row]!) !== fold),
      c,
    )
    const found = logitsAtRunTime(
      adapted,
      rows.map((row) => exchanges[row]!),
    )
    for (const [index, row] of rows.entries()) logits[row] = found[index]!
  }
  return logits
}

/**
 * One fit. Features are the raw vectors times the root of their width (unit variance), so that no deviation has to be learned
 * from few rows; the intercept is set so that safe exchanges keep their mean score and thresholds keep their meaning.
 */
function adapt(head: HeadWeights, exchanges: readonly EmbeddedExchange[], c: number): HeadWeights {
  const counts = { safe: 0, unsafe: 0 }
  for (const { label } of exchanges) counts[label]++
  const weights = exchanges.map(({ label }) => exchanges.length / (2 * Math.max(1, counts[label])))
  const { weights: fitted } = fitLogistic({
    features: rawFeatures(exchanges, head.dimensions),
    targets: exchanges.map(({ label }) => (label === 'unsafe' ? 1 : 0)),
    weights,
    c,
    prior: toFeatures(head),
  })
  const adapted = fromFeatures(fitted, head)
  const safe = exchanges.filter(({ label, replyWindows }) => label === 'safe' && replyWindows.length > 0)
  const mean = (of: HeadWeights): number => logitsAtRunTime(of, safe).reduce((sum, logit) => sum + logit, 0) / Math.max(1, safe.length)
  return { ...adapted, intercept: adapted.intercept + mean(head) - mean(adapted) }
}

const FLAG_SCALE = 2

function rawFeatures(exchanges: readonly EmbeddedExchange[], dimensions: number): FeatureRows {
  const root = Math.sqrt(dimensions)
  const columns = 3 * dimensions + 2
  const values = new Float32Array(exchanges.length * columns)
  for (const [index, exchange] of exchanges.entries()) {
    const { user, reply, flags } = trainingVectors(exchange)
    const row = values.subarray(index * columns, (index + 1) * columns)
    for (let i = 0; i < dimensions; i++) {
      row[i] = root * (reply[i] as number)
      row[dimensions + i] = root * (user[i] as number)
      row[2 * dimensions + i] = root * root * (reply[i] as number) * (user[i] as number)
    }
    row[columns - 2] = flags.opening ? FLAG_SCALE : 0
    row[columns - 1] = flags.anywhere ? FLAG_SCALE : 0
  }
  return { rows: exchanges.length, columns, values }
}

function toFeatures(head: HeadWeights): Weights {
  const root = Math.sqrt(head.dimensions)
  const weights = Float64Array.of(
    ...head.reply.map((value) => value / root),
    ...head.user.map((value) => value / root),
    ...head.product.map((value) => value / (root * root)),
    head.flags[0] / FLAG_SCALE,
    head.flags[1] / FLAG_SCALE,
  )
  return { weights, intercept: head.intercept }
}

function fromFeatures(weights: Float64Array, head: HeadWeights): HeadWeights {
  const { dimensions } = head
  const root = Math.sqrt(dimensions)
  const part = (block: number, scale: number): Float64Array =>
    weights.slice(block * dimensions, (block + 1) * dimensions).map((value) => value * scale)
  return {
    dimensions,
    reply: part(0, root),
    user: part(1, root),
    product: part(2, root * root),
    flags: [weights[3 * dimensions]! * FLAG_SCALE, weights[3 * dimensions + 1]! * FLAG_SCALE],
    intercept: head.intercept,
  }
}
