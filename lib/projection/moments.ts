// Owns streaming moments of vectors: sums added batch by batch, from which means, variances and covariances follow.
// The sums are native code (native/algebra).

import { GabionError } from '../errors.js'
import { fromNative, nativeAddon } from '../native.js'
import { outOfRange } from '../options.js'
import { isFloat32Array } from '../typed-arrays.js'
import { checkFinite, checkShape, columnMeans, type VectorRows } from './vectors.js'

/** Rows whose mean approximates the overall mean, as the origin of the sums. */
const SHIFT_ROWS = 256

/** Sums of vectors and of their outer products. */
export class VectorMoments {
  readonly dimensions: number
  #rows = 0
  #single = false
  readonly #shift: Float64Array
  readonly #sums: Float64Array
  readonly #products: Float64Array

  /** @param first the first vectors that will be added, whose mean becomes the origin */
  constructor(first: VectorRows) {
    const { dimensions, data } = checkShape(first, 1)
    const rows = Math.min(first.rows, SHIFT_ROWS)
    this.dimensions = dimensions
    // Rounded, so that it is exact in the precision of the vectors.
    this.#shift = columnMeans({ rows, dimensions, data: data.subarray(0, rows * dimensions) }).map(Math.fround)
    this.#sums = new Float64Array(dimensions)
    this.#products = new Float64Array(dimensions * dimensions)
  }

  /** Vectors added. */
  get rows(): number {
    return this.#rows
  }

  /** Whether some vectors had single precision; sums then have about eight significant digits, else sixteen. */
  get singlePrecision(): boolean {
    return this.#single
  }

  /**
   * Adds vectors.
   *
   * @throws GabionError `INVALID_ARGUMENT` for other dimensions, or values that are not finite or whose squares are not
   */
  add(vectors: VectorRows): void {
    const { data, rows } = checkShape(vectors, 0)
    if (vectors.dimensions !== this.dimensions) {
      throw outOfRange('dimensions', `${String(this.dimensions)}, as of the previous vectors`, vectors.dimensions)
    }
    if (rows === 0) return
    try {
      nativeAddon().addOuterProducts(data, this.dimensions, this.#shift, this.#products, this.#sums)
    } catch (error) {
      throw fromNative(error)
    }
    this.#rows += rows
    this.#single ||= isFloat32Array(data)
    for (let j = 0; j < this.dimensions; j++) {
      if (Number.isFinite(this.#products[j * (this.dimensions + 1)])) continue
      checkFinite(vectors)
      throw new GabionError(
        'INVALID_ARGUMENT',
        `vectors must not be so long that squares of their values overflow (dimension ${String(j)})`,
      )
    }
  }

  /** Means of all vectors. */
  means(): Float64Array {
    return this.#sums.map((sum, j) => this.#shift[j]! + sum / this.#rows)
  }

  /** Variances with divisor `rows`. */
  variances(): Float64Array {
    return this.#sums.map((sum, j) => Math.max(0, this.#products[j * (this.dimensions + 1)]! - (sum * sum) / this.#rows) / this.#rows)
  }

  /** The covariance matrix (divisor rows − 1) of the vectors after division of each dimension by its scale; the caller's own. */
  covariance(scale: Float64Array): Float64Array {
    const { dimensions } = this
    const covariance = new Float64Array(dimensions * dimensions)
    for (let i = 0; i < dimensions; i++) {
      for (let j = i; j < dimensions; j++) {
        const sum = this.#products[i * dimensions + j]! - (this.#sums[i]! * this.#sums[j]!) / this.#rows
        const value = sum / ((this.#rows - 1) * scale[i]! * scale[j]!)
        covariance[i * dimensions + j] = value
        covariance[j * dimensions + i] = value
      }
    }
    return covariance
  }
}
