// Owns the numerical part of fitting: principal components of the centred (optionally standardised) matrix of vectors.
// Knows plain arrays of numbers only: no models, no files, no Projection.

import type * as Matrices from 'ml-matrix'
import { GabionError } from '../errors.js'
import { checkInteger, invalidArgument } from '../options.js'
import { symmetricEigen, transposed, transposeTimes } from './linear.js'
import { VectorMoments } from './moments.js'
import { flooredScales } from './scaler.js'
import { checkFinite, checkShape, columnMeans, columnVariances, type VectorRows } from './vectors.js'
import { lazily } from '../lazy.js'

const matrices = lazily<typeof Matrices>('ml-matrix')

/** What is to be found. */
export interface ComponentsWish {
  /** Number of components to keep. */
  components: number
  /** What each dimension is divided by first: nothing, its standard deviation with a floor, or what is given. */
  scaling: 'none' | 'floored' | Float64Array
  /** Divide each component by its standard deviation, so that all vary alike. */
  whiten: boolean
}

/** What {@link fitPrincipalComponents} finds. Maps a vector x to `axes · (x − mean)`. */
export interface PrincipalComponents {
  /** Column means, `dimensions` values. */
  readonly mean: Float64Array
  /** `components * dimensions` values, one component a row; a scale and a whitening are already divided in. */
  readonly axes: Float64Array
  /** Variance along each component (divisor rows − 1), largest first. */
  readonly explainedVariance: Float64Array
  /** The same as shares of the total variance over all dimensions. */
  readonly explainedVarianceRatio: Float64Array
}

/**
 * Up to this many multiplications the singular values of the matrix itself are found, which is the most exact way; beyond, the
 * eigenvalues of its covariance matrix, as scikit-learn does, which is as exact as vectors of single precision are.
 */
const DIRECT_LIMIT = 1e8

/**
 * Principal components by exact decomposition, with scikit-learn's conventions (`sklearn.decomposition.PCA`): variances
 * divide by rows − 1, ratios are of the total variance, and each component's largest absolute loading is positive.
 *
 * @throws GabionError `INVALID_ARGUMENT` for fewer than 2 rows, a wrong length, a value that is not finite, too many
 *   components, or vectors that are all equal
 */
export function fitPrincipalComponents(vectors: VectorRows, wish: ComponentsWish): PrincipalComponents {
  const { rows, dimensions } = checkShape(vectors, 2)
  const least = Math.min(rows, dimensions)
  checkComponents(wish.components, rows, dimensions)
  if (rows * dimensions * least > DIRECT_LIMIT && rows >= dimensions) {
    const moments = new VectorMoments(vectors)
    moments.add(vectors)
    return componentsOfMoments(moments, wish)
  }
  checkFinite(vectors)
  const mean = columnMeans(vectors)
  const scale = scalesFor(wish, dimensions, () => columnVariances(vectors, mean))
  const decomposition =
    rows * dimensions * least > DIRECT_LIMIT
      ? fromRowProducts(vectors, mean, scale, wish.components)
      : fromSingularValues(vectors, mean, scale)
  return assemble(decomposition, mean, scale, wish, rows)
}

/**
 * The same from sums over vectors that have passed by.
 *
 * @throws GabionError `INVALID_ARGUMENT` as {@link fitPrincipalComponents}
 */
export function componentsOfMoments(moments: VectorMoments, wish: ComponentsWish): PrincipalComponents {
  const { rows, dimensions } = moments
  checkInteger('rows', rows, 2)
  checkComponents(wish.components, rows, dimensions)
  const scale = scalesFor(wish, dimensions, () => moments.variances())
  const covariance = { rows: dimensions, columns: dimensions, data: moments.covariance(scale) }
  const { values, vectors } = symmetricEigen(covariance, wish.components)
  return assemble({ directions: vectors.data, variances: values }, moments.means(), scale, wish, rows)
}

function checkComponents(components: number, rows: number, dimensions: number): void {
  const most = Math.min(rows, dimensions)
  if (checkInteger('components', components, 1) <= most) return
  throw invalidArgument(
    'components',
    `at most ${String(most)}, the smaller of ${String(rows)} rows and ${String(dimensions)} dimensions`,
    components,
  )
}

function scalesFor({ scaling }: ComponentsWish, dimensions: number, variances: () => Float64Array): Float64Array {
  if (scaling === 'none') return new Float64Array(dimensions).fill(1)
  if (scaling === 'floored') return flooredScales(variances())
  if (scaling.length !== dimensions) throw invalidArgument('scaler', `one for ${String(dimensions)} dimensions`, scaling.length)
  return scaling
}

interface Decomposition {
  /** Unit vectors, row after row, largest variance first; as many as are kept or more. */
  directions: Float64Array
  /** Variances of all directions, largest first. */
  variances: Float64Array
}

function assemble(
  { directions, variances }: Decomposition,
  mean: Float64Array,
  scale: Float64Array,
  { components, whiten }: ComponentsWish,
  rows: number,
): PrincipalComponents {
  const dimensions = mean.length
  // Rounding may leave a variance that is really zero a little below it.
  const positive = variances.map((value) => Math.max(value, 0))
  const total = positive.reduce((sum, value) => sum + value, 0)
  if (!(total > 0)) throw new GabionError('INVALID_ARGUMENT', `vectors must differ from each other, got ${String(rows)} equal rows`)
  const explainedVariance = positive.slice(0, components)
  const axes = new Float64Array(components * dimensions)
  for (let component = 0; component < components; component++) {
    const direction = directions.subarray(component * dimensions, (component + 1) * dimensions)
    const length = whiten ? whiteningScale(explainedVariance[component]!) : 1
    const sign = signOfLargest(direction) / length
    for (let j = 0; j < dimensions; j++) axes[component * dimensions + j] = (sign * direction[j]!) / scale[j]!
  }
  return { mean, axes, explainedVariance, explainedVarianceRatio: explainedVariance.map((value) => value / total) }
}

/** What whitening divides a component by; as in scikit-learn never less than the smallest step from 1. */
export function whiteningScale(variance: number): number {
  return Math.max(Math.sqrt(variance), Number.EPSILON)
}

/** Rows centred and scaled, row-major. */
function centred({ rows, dimensions, data }: VectorRows, mean: Float64Array, scale: Float64Array): Float64Array {
  const values = new Float64Array(rows * dimensions)
  for (let row = 0, at = 0; row < rows; row++) {
    for (let j = 0; j < dimensions; j++, at++) values[at] = (data[at]! - mean[j]!) / scale[j]!
  }
  return values
}

function fromSingularValues(vectors: VectorRows, mean: Float64Array, scale: Float64Array): Decomposition {
  const { rows, dimensions } = vectors
  const values = centred(vectors, mean, scale)
  const { Matrix, SVD } = matrices()
  const matrix = new Matrix(rows, dimensions)
  for (let row = 0, at = 0; row < rows; row++) for (let j = 0; j < dimensions; j++, at++) matrix.set(row, j, values[at]!)
  const svd = new SVD(matrix, { computeLeftSingularVectors: false, autoTranspose: true })
  const count = Math.min(rows, dimensions)
  const directions = new Float64Array(count * dimensions)
  for (let index = 0; index < count; index++) directions.set(svd.rightSingularVectors.getColumn(index), index * dimensions)
  return { directions, variances: Float64Array.from(svd.diagonal.slice(0, count), (value) => value ** 2 / (rows - 1)) }
}

/** For more dimensions than rows: the products of rows with each other make a smaller matrix with the same eigenvalues. */
function fromRowProducts(vectors: VectorRows, mean: Float64Array, scale: Float64Array, components: number): Decomposition {
  const { rows, dimensions } = vectors
  const values = centred(vectors, mean, scale)
  const columns = transposed({ rows, columns: dimensions, data: values })
  const eigen = symmetricEigen(transposeTimes(columns, columns), components)
  const directions = new Float64Array(components * dimensions)
  for (let component = 0; component < components; component++) {
    const direction = directions.subarray(component * dimensions, (component + 1) * dimensions)
    for (let row = 0, at = 0; row < rows; row++) {
      const factor = eigen.vectors.data[component * rows + row]!
      for (let j = 0; j < dimensions; j++, at++) direction[j]! += factor * values[at]!
    }
    const length = Math.sqrt(direction.reduce((sum, value) => sum + value * value, 0))
    if (length > 0) for (let j = 0; j < dimensions; j++) direction[j]! /= length
  }
  return { directions, variances: eigen.values.map((value) => value / (rows - 1)) }
}

/** +1 or −1, the sign of the entry with the largest absolute value (the first one of equals). */
function signOfLargest(values: Float64Array): 1 | -1 {
  let largest = 0
  for (const value of values) if (Math.abs(value) > Math.abs(largest)) largest = value
  return largest < 0 ? -1 : 1
}
