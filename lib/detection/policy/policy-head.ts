// Owns the few-shot head of a policy: similarity to examples that break it, refined by a ridge-penalized logistic regression on the
// same vectors. Knows vectors and numbers; no files or conversations.

import type { RefusalFlags } from '../erosion/lexicon.js'
import { dot } from '../../statistics/vectors.js'
import { fitLogistic, type Weights } from '../fitting/logistic.js'

/** An exchange as vectors. */
export interface PolicyVectors {
  /** Unit vector of the user's message; null without one, as in an example that is a sentence. */
  readonly user: ArrayLike<number> | null
  /** Unit vectors of the reply's windows. */
  readonly windows: readonly ArrayLike<number>[]
  readonly flags: RefusalFlags
}

/** An example: one vector for the whole reply. */
export interface ExampleVectors {
  readonly user: ArrayLike<number> | null
  readonly reply: ArrayLike<number>
  readonly flags: RefusalFlags
}

/** A fitted head. */
export interface PolicyHead {
  readonly dimensions: number
  readonly breaks: readonly ExampleVectors[]
  readonly allowed: readonly ExampleVectors[]
  /** Weights: of the lead of breaking examples over allowed ones, of reply and user vectors, of the two flags. */
  readonly lead: number
  readonly reply: Float64Array
  readonly user: Float64Array
  readonly flags: readonly [number, number]
  readonly intercept: number
}

/** A head's score of an exchange. */
export interface PolicyScore {
  readonly score: number
  /** Index of the closest breaking example, and its similarity. */
  readonly nearest: number
  readonly similarity: number
  /** Index of the reply's highest-scoring window. */
  readonly window: number
}

/** Weight of the replies in the similarity of two exchanges; the user's messages have the rest. */
const REPLY_SHARE = 0.7
/** Scales the lead in similarity so that its prior weight is 1; with few examples a policy rests on it. */
const LEAD_SCALE = 3
const FLAG_SCALE = 12
/** Inverse strength of the penalty towards that prior. */
const RIDGE_C = 1e-2
/**
 * Below this similarity to every breaking example the score falls steeply, whatever the regression gives. On service dialogues of
 * other subjects this removes nine of ten false alarms.
 */
const RESEMBLANCE = 0.3
const DISSIMILARITY_PENALTY = 30
/** Total weights of the kinds of rows. */
const MASS = { breaks: 1, allowed: 1, ordinary: 1 } as const

/** Fits a head on examples and on ordinary exchanges, which count as allowed. */
export function fitPolicyHead(
  breaks: readonly ExampleVectors[],
  allowed: readonly ExampleVectors[],
  ordinary: readonly ExampleVectors[],
  dimensions: number,
  start?: PolicyHead,
): PolicyHead {
  const rows = [...breaks, ...allowed, ...ordinary]
  const columns = 2 * dimensions + 3
  const values = new Float32Array(rows.length * columns)
  for (const [index, row] of rows.entries()) {
    // An example's similarity to itself, 1, is left out.
    const lead = leadOf(row.user, row.reply, breaks, allowed, row)
    writeFeatures(values.subarray(index * columns, (index + 1) * columns), row, lead.value, dimensions)
  }
  const mass = (count: number, total: number): number[] => Array.from({ length: count }, () => total / count)
  const weights = [...mass(breaks.length, MASS.breaks), ...mass(allowed.length, MASS.allowed), ...mass(ordinary.length, MASS.ordinary)]
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length
  const prior: Weights = { weights: new Float64Array(columns), intercept: 0 }
  prior.weights[0] = 1
  const { weights: fitted, intercept } = fitLogistic({
    features: { rows: rows.length, columns, values },
    targets: rows.map((_, index) => (index < breaks.length ? 1 : 0)),
    weights: weights.map((weight) => weight / mean),
    c: RIDGE_C,
    prior,
    ...(start !== undefined && { start: toWeights(start) }),
  })
  const root = Math.sqrt(dimensions)
  return {
    dimensions,
    breaks,
    allowed,
    lead: fitted[0]! * LEAD_SCALE,
    reply: fitted.slice(1, 1 + dimensions).map((value) => value * root),
    user: fitted.slice(1 + dimensions, 1 + 2 * dimensions).map((value) => value * root),
    flags: [fitted[columns - 2]! * FLAG_SCALE, fitted[columns - 1]! * FLAG_SCALE],
    intercept,
  }
}

/** Scores an exchange by the highest-scoring window of the reply, which must have at least one. */
export function scorePolicy(head: PolicyHead, { user, windows, flags }: PolicyVectors): PolicyScore {
  const fixed =
    head.intercept + (user === null ? 0 : dot(head.user, user)) + (flags.opening ? head.flags[0] : 0) + (flags.anywhere ? head.flags[1] : 0)
  let best: PolicyScore = { score: -Infinity, nearest: 0, similarity: 0, window: 0 }
  for (const [window, reply] of windows.entries()) {
    const lead = leadOf(user, reply, head.breaks, head.allowed)
    const score =
      fixed + head.lead * lead.value + dot(head.reply, reply) - DISSIMILARITY_PENALTY * Math.max(0, RESEMBLANCE - lead.similarity)
    if (score > best.score) best = { score, nearest: lead.nearest, similarity: lead.similarity, window }
  }
  return best
}

/** Similarity of two exchanges, from -1 to 1; where one has no user message, of the replies alone. */
export function similarity(user: ArrayLike<number> | null, reply: ArrayLike<number>, example: ExampleVectors): number {
  const replies = dot(reply, example.reply)
  if (user === null || example.user === null) return replies
  return REPLY_SHARE * replies + (1 - REPLY_SHARE) * dot(user, example.user)
}

interface Lead {
  value: number
  nearest: number
  similarity: number
}

function leadOf(
  user: ArrayLike<number> | null,
  reply: ArrayLike<number>,
  breaks: readonly ExampleVectors[],
  allowed: readonly ExampleVectors[],
  self?: ExampleVectors,
): Lead {
  let [nearest, closest] = [0, -1]
  for (const [index, example] of breaks.entries()) {
    if (example === self) continue
    const found = similarity(user, reply, example)
    if (found > closest) [nearest, closest] = [index, found]
  }
  let other = 0
  for (const example of allowed) if (example !== self) other = Math.max(other, similarity(user, reply, example))
  return { value: closest - other, nearest, similarity: closest }
}

function writeFeatures(row: Float32Array, { user, reply, flags }: ExampleVectors, lead: number, dimensions: number): void {
  const root = Math.sqrt(dimensions)
  row[0] = LEAD_SCALE * lead
  for (let i = 0; i < dimensions; i++) {
    row[1 + i] = root * (reply[i] as number)
    row[1 + dimensions + i] = user === null ? 0 : root * (user[i] as number)
  }
  row[row.length - 2] = flags.opening ? FLAG_SCALE : 0
  row[row.length - 1] = flags.anywhere ? FLAG_SCALE : 0
}

function toWeights(head: PolicyHead): Weights {
  const root = Math.sqrt(head.dimensions)
  const weights = Float64Array.of(
    head.lead / LEAD_SCALE,
    ...head.reply.map((value) => value / root),
    ...head.user.map((value) => value / root),
    head.flags[0] / FLAG_SCALE,
    head.flags[1] / FLAG_SCALE,
  )
  return { weights, intercept: head.intercept }
}
