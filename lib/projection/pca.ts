// Owns the numerical part of fitting: principal components of the centered (optionally standardized) matrix of vectors.
// Knows plain arrays of numbers only; no models, files or Projection.

import { wrongRange } from '../errors.js'
import { checkInteger, invalidArgument } from '../options.js'
import { symmetricEigen, transposed, transposeTimes } from './linear.js'
import { VectorMoments } from './moments.js'
import { flooredScales } from './scaler.js'
import { checkFinite, checkShape, columnMeans, columnVariances, type VectorRows } from './vectors.js'

/** Which components to compute. */
export interface ComponentOptions {
  /** Number of components. */
  components: number
  /** The scale that each dimension is divided by first: none, its standard deviation with a floor, or the given ones. */
  scaling: 'none' | 'floored' | Float64Array
  /** Divide each component by its standard deviation, so that all vary alike. */
  whiten: boolean
}

/** The result of {@link fitPrincipalComponents}. Maps a vector x to `axes · (x − mean)`. */
export interface PrincipalComponents {
  /** Column means, `dimensions` values. */
  readonly mean: Float64Array
  /** `components * dimensions` values, one component per row; scale and whitening are already applied. */
  readonly axes: Float64Array
  /** Variance along each component (divisor rows − 1), largest first. */
  readonly explainedVariance: Float64Array
  /** The same as fractions of the total variance over all dimensions. */
  readonly explainedVarianceRatio: Float64Array
}

/**
 * Up to this many values, vectors of single precision are summed in double precision, which costs a few milliseconds at that size;
 * sums of more have about eight significant digits.
 */
const PROMOTED_VALUES = 1e6

/**
 * Principal components by exact decomposition, with scikit-learn's conventions (`sklearn.decomposition.PCA`): variances
 * divide by rows − 1, ratios are of the total variance, and each component's largest absolute loading is positive.
 *
 * @throws GabionError `INVALID_ARGUMENT` for fewer than 2 rows, a wrong length, a value that is not finite, too many
 *   components, or vectors that are all equal
 */
export function fitPrincipalComponents(vectors: VectorRows, options: ComponentOptions): PrincipalComponents {
  const { rows, dimensions } = checkShape(vectors, 2)
  checkComponents(options.components, rows, dimensions)
  if (rows >= dimensions) {
    const exact = rows * dimensions <= PROMOTED_VALUES ? { ...vectors, data: Float64Array.from(vectors.data) } : vectors
    const moments = new VectorMoments(exact)
    moments.add(exact)
    return componentsOfMoments(moments, options)
  }
  checkFinite(vectors)
  const mean = columnMeans(vectors)
  const scale = scalesFor(options, dimensions, () => columnVariances(vectors, mean))
  return assemble(fromRowProducts(vectors, mean, scale, options.components), mean, scale, options, rows)
}

/**
 * The same from accumulated sums over vectors.
 *
 * @throws GabionError `INVALID_ARGUMENT` as {@link fitPrincipalComponents}
 */
export function componentsOfMoments(moments: VectorMoments, options: ComponentOptions): PrincipalComponents {
  const { rows, dimensions } = moments
  checkInteger('rows', rows, 2)
  checkComponents(options.components, rows, dimensions)
  const scale = scalesFor(options, dimensions, () => moments.variances())
  const covariance = { rows: dimensions, columns: dimensions, data: moments.covariance(scale) }
  const { values, vectors } = symmetricEigen(covariance, options.components)
  return assemble({ directions: vectors.data, variances: values }, moments.means(), scale, options, rows)
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

function scalesFor({ scaling }: ComponentOptions, dimensions: number, variances: () => Float64Array): Float64Array {
  if (scaling === 'none') return new Float64Array(dimensions).fill(1)
  if (scaling === 'floored') return flooredScales(variances())
  if (scaling.length !== dimensions) throw invalidArgument('scaler', `one for ${String(dimensions)} dimensions`, scaling.length)
  return scaling
}

interface Decomposition {
  /** Unit vectors, row after row, largest variance first; at least the requested number. */
  directions: Float64Array
  /** Variances of all directions, largest first. */
  variances: Float64Array
}

function assemble(
  { directions, variances }: Decomposition,
  mean: Float64Array,
  scale: Float64Array,
  { components, whiten }: ComponentOptions,
  rows: number,
): PrincipalComponents {
  const dimensions = mean.length
  // Rounding may make a variance of zero slightly negative.
  const positive = variances.map((value) => Math.max(value, 0))
  const total = positive.reduce((sum, value) => sum + value, 0)
  if (!(total > 0)) throw wrongRange(`vectors must differ from each other, got ${String(rows)} equal rows`)
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

/** The divisor of a whitened component; as in scikit-learn never less than the machine epsilon. */
export function whiteningScale(variance: number): number {
  return Math.max(Math.sqrt(variance), Number.EPSILON)
}

/** Rows centered and scaled, row-major. */
function centeredRows({ rows, dimensions, data }: VectorRows, mean: Float64Array, scale: Float64Array): Float64Array {
  const values = new Float64Array(rows * dimensions)
  for (let row = 0, at = 0; row < rows; row++) {
    for (let j = 0; j < dimensions; j++, at++) values[at] = (data[at]! - mean[j]!) / scale[j]!
  }
  return values
}

/** For more dimensions than rows: the Gram matrix of the rows is smaller and has the same eigenvalues. */
function fromRowProducts(vectors: VectorRows, mean: Float64Array, scale: Float64Array, components: number): Decomposition {
  const { rows, dimensions } = vectors
  const values = centeredRows(vectors, mean, scale)
  const columns = transposed({ rows, columns: dimensions, data: values })
  const eigen = symmetricEigen(transposeTimes(columns, columns), components)
  const directions = new Float64Array(components * dimensions)
  for (let component = 0; component < components; component++) {
    const direction = directions.subarray(component * dimensions, (component + 1) * dimensions)
    for (let row = 0, at = 0; row < rows; row++) {
      const factor = eigen.vectors.data[component * rows + row]!
      for (let j = 0; j < dimensions; j++, at++) direction[j]! += factor * values[at]!
    }
  }
  orthonormalize(directions, dimensions)
  return { directions, variances: eigen.values.map((value) => value / (rows - 1)) }
}

/**
 * Gram–Schmidt in place, each row twice ("twice is enough", Giraud, Langou and Rozložník 2005). A row whose remainder is as small as the
 * rounding errors of the first, longest row stands for a variance of zero and becomes any vector orthogonal to the others.
 */
function orthonormalize(rows: Float64Array, dimensions: number): void {
  let smallest = 0
  for (let start = 0; start < rows.length; start += dimensions) {
    const row = rows.subarray(start, start + dimensions)
    let length = remainder(row, rows, start)
    if (start === 0) smallest = length * Math.sqrt(Number.EPSILON)
    if (!(length > smallest)) {
      row.fill(0)
      row[leastCovered(rows, start, dimensions)] = 1
      length = remainder(row, rows, start)
    }
    for (let j = 0; j < dimensions; j++) row[j]! /= length
  }
}

/** Subtracts from a row its projections on the unit rows before `end` and returns the length of what remains. */
function remainder(row: Float64Array, rows: Float64Array, end: number): number {
  for (let pass = 0; pass < 2; pass++) {
    for (let start = 0; start < end; start += row.length) {
      let dot = 0
      for (let j = 0; j < row.length; j++) dot += row[j]! * rows[start + j]!
      for (let j = 0; j < row.length; j++) row[j]! -= dot * rows[start + j]!
    }
  }
  return Math.sqrt(row.reduce((sum, value) => sum + value * value, 0))
}

/** The dimension whose unit vector is furthest from the span of the unit rows before `end`. */
function leastCovered(rows: Float64Array, end: number, dimensions: number): number {
  const covered = new Float64Array(dimensions)
  for (let at = 0; at < end; at++) covered[at % dimensions]! += rows[at]! ** 2
  return covered.indexOf(Math.min(...covered))
}

/** +1 or −1, the sign of the entry with the largest absolute value (the first one of equals). */
function signOfLargest(values: Float64Array): 1 | -1 {
  let largest = 0
  for (const value of values) if (Math.abs(value) > Math.abs(largest)) largest = value
  return largest < 0 ? -1 : 1
}
