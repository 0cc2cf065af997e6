// Owns the training features of exchanges, their centering and scaling, and the folding of a fitted model into a head.
// Knows vectors and flags, not the source of exchanges.

import type { HeadWeights } from '../erosion/head.js'
import type { RefusalFlags } from '../erosion/lexicon.js'
import { median } from '../../statistics/quantile.js'
import type { FeatureRows, LogisticModel } from '../fitting/logistic.js'

/** The trainer's view of an exchange. */
export interface ExchangeVectors {
  /** Unit vectors of the whole texts; zeros for an empty one. */
  readonly user: ArrayLike<number>
  readonly reply: ArrayLike<number>
  readonly flags: RefusalFlags
}

/** A head's blocks of features, and the relative penalties. */
export interface FeatureRecipe {
  /** Whether the user's vector is a separate block (it is always part of the product). */
  readonly userBlock: boolean
  /** The ridge penalty of the two flags is this many times weaker than that of the vectors. */
  readonly flagFreedom: number
  /** Factor of the product block's features; below 1 they are penalized more than the others. */
  readonly productScale: number
}

/** Centering and scaling learned from training rows. */
export interface FeatureScale {
  readonly recipe: FeatureRecipe
  readonly dimensions: number
  /** Mean of all user and reply vectors. */
  readonly center: Float64Array
  /** Mean of each feature, and its (floored) standard deviation divided by the scale of its block. */
  readonly means: Float64Array
  readonly deviations: Float64Array
}

/**
 * Floor of a deviation, as a share of its block's median. Some outputs of a model are constant up to rounding noise, which a
 * division by their deviation would scale up to a signal.
 */
const DEVIATION_FLOOR = 0.2

function columnsOf({ userBlock }: FeatureRecipe, dimensions: number): number {
  return (userBlock ? 3 : 2) * dimensions + 2
}

/** Learns centering and scaling from training rows. */
export function learnScale(exchanges: readonly ExchangeVectors[], recipe: FeatureRecipe, dimensions: number): FeatureScale {
  const center = new Float64Array(dimensions)
  for (const { user, reply } of exchanges) {
    for (let i = 0; i < dimensions; i++) center[i]! += (user[i] as number) + (reply[i] as number)
  }
  for (let i = 0; i < dimensions; i++) center[i]! /= 2 * exchanges.length

  const columns = columnsOf(recipe, dimensions)
  const row = new Float64Array(columns)
  const means = new Float64Array(columns)
  const deviations = new Float64Array(columns)
  for (const exchange of exchanges) {
    writeFeatures(exchange, recipe, center, row)
    for (let i = 0; i < columns; i++) means[i]! += row[i] as number
  }
  for (let i = 0; i < columns; i++) means[i]! /= exchanges.length
  for (const exchange of exchanges) {
    writeFeatures(exchange, recipe, center, row)
    for (let i = 0; i < columns; i++) deviations[i]! += ((row[i] as number) - (means[i] as number)) ** 2
  }
  for (let i = 0; i < columns; i++) deviations[i] = Math.sqrt((deviations[i] as number) / exchanges.length)
  const productBlock = columns - 2 - dimensions
  for (let block = 0; block <= productBlock; block += dimensions) {
    const part = deviations.subarray(block, block + dimensions)
    const floor = DEVIATION_FLOOR * median(part)
    const factor = block === productBlock ? recipe.productScale : 1
    for (let i = 0; i < dimensions; i++) part[i] = Math.max(part[i] as number, floor) / factor
  }
  for (const flag of [columns - 2, columns - 1]) if (deviations[flag] === 0) deviations[flag] = 1
  return { recipe, dimensions, center, means, deviations }
}

/** Scaled features of exchanges: blocks of reply, user (if any), product, and the two flags. */
export function featureRows(exchanges: readonly ExchangeVectors[], scale: FeatureScale): FeatureRows {
  const columns = scale.means.length
  const values = new Float32Array(exchanges.length * columns)
  const row = new Float64Array(columns)
  const flagFactor = Math.sqrt(scale.recipe.flagFreedom)
  for (const [index, exchange] of exchanges.entries()) {
    writeFeatures(exchange, scale.recipe, scale.center, row)
    const at = index * columns
    for (let i = 0; i < columns; i++) {
      const standard = ((row[i] as number) - (scale.means[i] as number)) / (scale.deviations[i] as number)
      values[at + i] = i < columns - 2 ? standard : standard * flagFactor
    }
  }
  return { rows: exchanges.length, columns, values }
}

/** Folds scaling into the weights: the same logit as one affine function of the raw vectors and flags. */
export function foldHead(model: Pick<LogisticModel, 'weights' | 'intercept'>, scale: FeatureScale): HeadWeights {
  const { recipe, dimensions, center, means, deviations } = scale
  const columns = means.length
  const flagFactor = Math.sqrt(recipe.flagFreedom)
  const root = Math.sqrt(dimensions)
  let intercept = model.intercept
  const slopes = new Float64Array(columns)
  for (let i = 0; i < columns; i++) {
    slopes[i] = ((model.weights[i] as number) * (i < columns - 2 ? 1 : flagFactor)) / (deviations[i] as number)
    intercept -= (slopes[i] as number) * (means[i] as number)
  }
  const reply = new Float64Array(dimensions)
  const user = new Float64Array(dimensions)
  const product = new Float64Array(dimensions)
  const productBlock = recipe.userBlock ? 2 * dimensions : dimensions
  for (let i = 0; i < dimensions; i++) {
    const mean = center[i] as number
    const onReply = root * (slopes[i] as number)
    const onUser = recipe.userBlock ? root * (slopes[dimensions + i] as number) : 0
    const onProduct = root * root * (slopes[productBlock + i] as number)
    // onProduct * (r - mean) * (u - mean) leaves linear terms in r and u and a constant
    reply[i] = onReply - onProduct * mean
    user[i] = onUser - onProduct * mean
    product[i] = onProduct
    intercept += onProduct * mean * mean - (onReply + onUser) * mean
  }
  return { dimensions, reply, user, product, flags: [slopes[columns - 2] as number, slopes[columns - 1] as number], intercept }
}

function writeFeatures({ user, reply, flags }: ExchangeVectors, recipe: FeatureRecipe, center: Float64Array, row: Float64Array): void {
  const dimensions = center.length
  const root = Math.sqrt(dimensions)
  const productBlock = recipe.userBlock ? 2 * dimensions : dimensions
  for (let i = 0; i < dimensions; i++) {
    const fromReply = root * ((reply[i] as number) - (center[i] as number))
    const fromUser = root * ((user[i] as number) - (center[i] as number))
    row[i] = fromReply
    if (recipe.userBlock) row[dimensions + i] = fromUser
    row[productBlock + i] = fromReply * fromUser
  }
  row[row.length - 2] = flags.opening ? 1 : 0
  row[row.length - 1] = flags.anywhere ? 1 : 0
}
