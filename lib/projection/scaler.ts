// Owns standardization: mean and scale per dimension, with the conventions of sklearn.preprocessing.StandardScaler.
// Knows no model and no file.

import { median } from '../statistics/quantile.js'
import { checkFinite, checkShape, columnMeans, columnVariances, type VectorRows } from './vectors.js'

/** Smallest divisor of a dimension, as a share of the median scale; see {@link flooredScales}. */
const SCALE_FLOOR = 0.2

/**
 * Subtracts each dimension's mean and divides by its standard deviation (`sklearn.preprocessing.StandardScaler`). Immutable.
 * Pass it to `Projection.fitPca` as `scaler` for the fit of scikit-learn's pipeline of both.
 */
export class StandardScaler {
  readonly dimensions: number
  /** Column means. */
  readonly mean: Float64Array
  /** Column variances, with divisor `rows`. */
  readonly variance: Float64Array
  /** Divisor per dimension: its standard deviation, or 1 if it is constant up to rounding. */
  readonly scale: Float64Array

  private constructor(mean: Float64Array, variance: Float64Array, rows: number) {
    this.dimensions = mean.length
    this.mean = mean
    this.variance = variance
    this.scale = variance.map((value, j) => (isConstant(value, mean[j]!, rows) ? 1 : Math.sqrt(value)))
  }

  /**
   * Fits on vectors.
   *
   * @throws GabionError `INVALID_ARGUMENT` for a wrong shape or values that are not finite
   */
  static fit(vectors: VectorRows): StandardScaler {
    checkShape(vectors, 1)
    checkFinite(vectors)
    const mean = columnMeans(vectors)
    return new StandardScaler(mean, columnVariances(vectors, mean), vectors.rows)
  }

  /** Standardizes vectors; returns a copy. */
  apply(vectors: VectorRows): { rows: number; dimensions: number; data: Float64Array } {
    const { rows, dimensions, data } = checkShape(vectors, 0)
    const { mean, scale } = this
    return {
      rows,
      dimensions,
      data: Float64Array.from(data, (value, at) => (value - mean[at % dimensions]!) / scale[at % dimensions]!),
    }
  }
}

/** scikit-learn's rule: whether the variance may be the rounding error of a constant. */
function isConstant(variance: number, mean: number, rows: number): boolean {
  return variance <= rows * Number.EPSILON * variance + (rows * mean * Number.EPSILON) ** 2
}

/**
 * Standard deviations, no smaller than a fifth of the median one. Without the floor the rounding noise of constant dimensions
 * (all-MiniLM-L6-v2 has three) would be scaled up a million times.
 */
export function flooredScales(variance: Float64Array): Float64Array {
  const deviations = variance.map(Math.sqrt)
  const floor = SCALE_FLOOR * median(deviations)
  return deviations.map((value) => Math.max(value, floor) || 1)
}
