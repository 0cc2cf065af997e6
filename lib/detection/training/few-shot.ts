// Owns the few-shot adaptation of a trained head to a deployment's own conversations: a ridge penalty centered at the shipped weights.
// Knows vectors and a head; reports when there is no gain.

import { GabionError } from '../../errors.js'
import type { HeadWeights } from '../erosion/head.js'
import type { EmbeddedExchange } from './exchanges.js'
import { fitLogistic, type FeatureRows, type Weights } from '../fitting/logistic.js'
import { auroc } from '../../statistics/ranking.js'
import { bootstrapInterval } from '../../statistics/groups.js'
import { logitsAtRunTime, outOfFold, trainingVectors } from './train-head.js'

/** Candidate values of C; the first leaves the shipped head nearly unchanged. */
const STRENGTHS = [1e-5, 1e-4, 1e-3, 1e-2] as const
const FOLDS = 5
const FOLD_SEED = 13
/** Folds of the inner cross-validation, which chooses the strength. */
const INNER_FOLDS = 4
const INNER_SEED = 14
/** Minimum number of conversations per class. */
const MIN_CONVERSATIONS = 5

/** An adapted head with its cross-validated gain. */
export interface Adaptation {
  readonly head: HeadWeights
  /** Inverse penalty strength, chosen in cross-validation; 0: the shipped head was best and is returned. */
  readonly c: number
  /** Conversations passed. */
  readonly conversations: number
  /**
   * AUROC of nested cross-validation over five folds of groups: for each fold, the strength is chosen and the head adapted on the
   * others alone.
   */
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
  if (safe < MIN_CONVERSATIONS || unsafe < MIN_CONVERSATIONS) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `adapting needs at least ${String(MIN_CONVERSATIONS)} conversations of each class, got ${String(safe)} safe and ${String(unsafe)} unsafe`,
    )
  }
  const groups = exchanges.map(({ group }) => group)
  if (new Set(groups).size < 2) throw new GabionError('INVALID_ARGUMENT', 'adapting needs conversations of two groups or more')
  const labels = targetsOf(exchanges)
  const shipped = logitsAtRunTime(head, exchanges)
  const heldBack = outOfFold(exchanges, { count: FOLDS, seed: FOLD_SEED }, (rest) => adaptWith(chooseStrength(head, rest), head, rest))
  const c = chooseStrength(head, exchanges)
  const part = (scores: ArrayLike<number>, rows: readonly number[]): number =>
    auroc({ scores: rows.map((row) => scores[row]!), labels: rows.map((row) => labels[row]!) })
  return {
    head: adaptWith(c, head, exchanges),
    c,
    conversations: safe + unsafe,
    shipped: auroc({ scores: shipped, labels }),
    adapted: auroc({ scores: heldBack, labels }),
    gain: bootstrapInterval(groups, (rows) => part(heldBack, rows) - part(shipped, rows)),
  }
}

/** The strength with the best out-of-fold AUROC; 0 when none beats the shipped head. */
function chooseStrength(head: HeadWeights, exchanges: readonly EmbeddedExchange[]): number {
  const labels = targetsOf(exchanges)
  let [best, chosen] = [auroc({ scores: logitsAtRunTime(head, exchanges), labels }), 0]
  for (const c of STRENGTHS) {
    const logits = outOfFold(exchanges, { count: INNER_FOLDS, seed: INNER_SEED }, (rest) => adapt(head, rest, c))
    const area = auroc({ scores: logits, labels })
    if (area > best) [best, chosen] = [area, c]
  }
  return chosen
}

function adaptWith(c: number, head: HeadWeights, exchanges: readonly EmbeddedExchange[]): HeadWeights {
  return c === 0 ? head : adapt(head, exchanges, c)
}

function targetsOf(exchanges: readonly EmbeddedExchange[]): number[] {
  return exchanges.map(({ label }) => (label === 'unsafe' ? 1 : 0))
}

/**
 * One fit. Features are the raw vectors times the root of their dimensions (unit variance), so that no deviation is estimated
 * from few rows. The intercept is set to keep the mean score of safe exchanges, so that thresholds stay valid.
 */
function adapt(head: HeadWeights, exchanges: readonly EmbeddedExchange[], c: number): HeadWeights {
  const counts = { safe: 0, unsafe: 0 }
  for (const { label } of exchanges) counts[label]++
  const weights = exchanges.map(({ label }) => exchanges.length / (2 * Math.max(1, counts[label])))
  const { weights: fitted } = fitLogistic({
    features: rawFeatures(exchanges, head.dimensions),
    targets: targetsOf(exchanges),
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
