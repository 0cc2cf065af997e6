// Owns the numerical part of fitting: principal components of the centred (optionally standardised) matrix of vectors.
// Knows plain arrays of numbers only: no models, no files, no Projection.

import { EVD, Matrix, SVD } from 'ml-matrix'
import { GabionError } from '../errors.js'
import { checkInteger, invalidArgument } from '../options.js'

/** Vectors as one row-major array; an `EmbeddingBatch` fits. */
export interface VectorRows {
  /** Number of vectors. */
  readonly rows: number
  /** Values a vector. */
  readonly dimensions: number
  /** `rows * dimensions` values, row after row. */
  readonly data: Float32Array | Float64Array
}

/** What {@link fitPrincipalComponents} finds. Maps a vector x to `axes · (x − mean)`. */
export interface PrincipalComponents {
  /** Column means, `dimensions` values. */
  readonly mean: Float64Array
  /** `components * dimensions` values, one component a row; a standardising scale is already divided in. */
  readonly axes: Float64Array
  /** Variance along each component (divisor rows − 1), largest first. */
  readonly explainedVariance: Float64Array
  /** The same as shares of the total variance over all dimensions. */
  readonly explainedVarianceRatio: Float64Array
}

/** Smallest scale a dimension is divided by, as a share of the median scale; see {@link standardDeviations}. */
const SCALE_FLOOR = 0.2
/** From this many rows a dimension on, the covariance matrix is much smaller than the data and as accurate as single precision input. */
const TALL = 10
/** Rows put through one matrix product while the covariance is summed up. */
const BLOCK_ROWS = 1024

/**
 * Principal components by exact decomposition, with scikit-learn's conventions (`sklearn.decomposition.PCA`): variances
 * divide by rows − 1, ratios are of the total variance, and each component's largest absolute loading is positive.
 *
 * @param standardize divide each dimension by its standard deviation first (and fold the division into the axes)
 * @throws GabionError `INVALID_ARGUMENT` for fewer than 2 rows, a wrong length, a value that is not finite, too many
 *   components, or vectors that are all equal
 */
export function fitPrincipalComponents(vectors: VectorRows, components: number, standardize: boolean): PrincipalComponents {
  const { rows, dimensions } = checkRows(vectors)
  const most = Math.min(rows, dimensions)
  if (checkInteger('components', components, 1) > most) {
    throw invalidArgument(
      'components',
      `at most ${String(most)}, the smaller of ${String(rows)} rows and ${String(dimensions)} dimensions`,
      components,
    )
  }
  const mean = columnMeans(vectors)
  const scale = standardize ? standardDeviations(vectors, mean) : new Float64Array(dimensions).fill(1)
  const { directions, variances } =
    rows >= TALL * dimensions ? fromCovariance(vectors, mean, scale) : fromSingularValues(vectors, mean, scale)

  const total = variances.reduce((sum, value) => sum + value, 0)
  if (!(total > 0)) throw new GabionError('INVALID_ARGUMENT', `vectors must differ from each other, got ${String(rows)} equal rows`)

  const axes = new Float64Array(components * dimensions)
  for (let component = 0; component < components; component++) {
    const direction = directions[component] as Float64Array
    const sign = signOfLargest(direction)
    for (let j = 0; j < dimensions; j++) axes[component * dimensions + j] = (sign * (direction[j] as number)) / (scale[j] as number)
  }
  const explainedVariance = Float64Array.from(variances.slice(0, components))
  return { mean, axes, explainedVariance, explainedVarianceRatio: explainedVariance.map((value) => value / total) }
}

/** Checks the shape and that every value is finite. */
function checkRows(vectors: VectorRows): VectorRows {
  if (typeof vectors !== 'object' || (vectors as unknown) === null)
    throw invalidArgument('vectors', 'an object with rows, dimensions and data', vectors)
  const { data } = vectors
  const rows = checkInteger('rows', vectors.rows, 2)
  const dimensions = checkInteger('dimensions', vectors.dimensions, 1)
  if (!(data instanceof Float32Array || data instanceof Float64Array)) throw invalidArgument('data', 'a Float32Array or Float64Array', data)
  if (data.length !== rows * dimensions) {
    throw invalidArgument('data', `${String(rows)} * ${String(dimensions)} = ${String(rows * dimensions)} values long`, data.length)
  }
  const bad = data.findIndex((value: number) => !Number.isFinite(value))
  if (bad >= 0) throw invalidArgument(`data[${String(bad)}] (row ${String(Math.floor(bad / dimensions))})`, 'a finite number', data[bad])
  return vectors
}

function columnMeans({ rows, dimensions, data }: VectorRows): Float64Array {
  const mean = new Float64Array(dimensions)
  for (let i = 0; i < data.length; i++) mean[i % dimensions] = (mean[i % dimensions] as number) + (data[i] as number)
  return mean.map((sum) => sum / rows)
}

/**
 * Population standard deviation of each dimension, no smaller than a fifth of the median one. Without the floor a
 * dimension that a model leaves constant (all-MiniLM-L6-v2 has three) would have its rounding noise blown up a million times.
 */
function standardDeviations({ rows, dimensions, data }: VectorRows, mean: Float64Array): Float64Array {
  const sums = new Float64Array(dimensions)
  for (let i = 0; i < data.length; i++) {
    const j = i % dimensions
    sums[j] = (sums[j] as number) + ((data[i] as number) - (mean[j] as number)) ** 2
  }
  const deviations = sums.map((sum) => Math.sqrt(sum / rows))
  const sorted = deviations.toSorted()
  const median = ((sorted[(dimensions - 1) >> 1] as number) + (sorted[dimensions >> 1] as number)) / 2
  const floor = SCALE_FLOOR * median
  return deviations.map((value) => Math.max(value, floor) || 1)
}

/** Rows `from`…`to` (exclusive), centred and scaled. */
function centred({ dimensions, data }: VectorRows, from: number, to: number, mean: Float64Array, scale: Float64Array): Matrix {
  const matrix = new Matrix(to - from, dimensions)
  for (let i = from; i < to; i++) {
    for (let j = 0; j < dimensions; j++) {
      matrix.set(i - from, j, ((data[i * dimensions + j] as number) - (mean[j] as number)) / (scale[j] as number))
    }
  }
  return matrix
}

interface Decomposition {
  /** Unit vectors, largest variance first. */
  directions: Float64Array[]
  /** Variances of all directions, largest first. */
  variances: number[]
}

function fromSingularValues(vectors: VectorRows, mean: Float64Array, scale: Float64Array): Decomposition {
  const { rows } = vectors
  const svd = new SVD(centred(vectors, 0, rows, mean, scale), { computeLeftSingularVectors: false, autoTranspose: true })
  const count = Math.min(rows, vectors.dimensions)
  return {
    directions: Array.from({ length: count }, (_, index) => Float64Array.from(svd.rightSingularVectors.getColumn(index))),
    variances: svd.diagonal.slice(0, count).map((value) => value ** 2 / (rows - 1)),
  }
}

function fromCovariance(vectors: VectorRows, mean: Float64Array, scale: Float64Array): Decomposition {
  const { rows, dimensions } = vectors
  const covariance = Matrix.zeros(dimensions, dimensions)
  for (let from = 0; from < rows; from += BLOCK_ROWS) {
    const block = centred(vectors, from, Math.min(from + BLOCK_ROWS, rows), mean, scale)
    covariance.add(block.transpose().mmul(block))
  }
  covariance.div(rows - 1)
  const { eigenvectorMatrix, realEigenvalues } = new EVD(covariance, { assumeSymmetric: true })
  const order = realEigenvalues.map((_, index) => index).sort((a, b) => (realEigenvalues[b] as number) - (realEigenvalues[a] as number))
  return {
    directions: order.map((index) => Float64Array.from(eigenvectorMatrix.getColumn(index))),
    // Rounding may leave a variance that is really zero a little below it.
    variances: order.map((index) => Math.max(realEigenvalues[index] as number, 0)),
  }
}

/** +1 or −1, the sign of the entry with the largest absolute value (the first one of equals). */
function signOfLargest(values: Float64Array): 1 | -1 {
  let largest = 0
  for (const value of values) if (Math.abs(value) > Math.abs(largest)) largest = value
  return largest < 0 ? -1 : 1
}
