// Owns the type of a matrix of vectors, and its validation. Knows no model and no fit.

import { checkInteger, invalidArgument, outOfRange } from '../options.js'
import { isFloat32Array, isFloat64Array } from '../typed-arrays.js'

/** Vectors as one row-major array; an `EmbeddingBatch` fits. */
export interface VectorRows {
  /** Number of vectors. */
  readonly rows: number
  /** Values per vector. */
  readonly dimensions: number
  /** `rows * dimensions` values, row after row. */
  readonly data: Float32Array | Float64Array
}

/**
 * Checks the shape of vectors, not their values.
 *
 * @throws GabionError `INVALID_ARGUMENT`
 */
export function checkShape(vectors: VectorRows, leastRows: number): VectorRows {
  if (typeof vectors !== 'object' || (vectors as unknown) === null)
    throw invalidArgument('vectors', 'an object with rows, dimensions and data', vectors)
  const { data } = vectors
  const rows = checkInteger('rows', vectors.rows, leastRows)
  const dimensions = checkInteger('dimensions', vectors.dimensions, 1)
  if (!isFloat32Array(data) && !isFloat64Array(data)) throw invalidArgument('data', 'a Float32Array or Float64Array', data)
  if (data.length !== rows * dimensions) {
    throw outOfRange('data', `${String(rows)} * ${String(dimensions)} = ${String(rows * dimensions)} values long`, data.length)
  }
  return vectors
}

/** @throws GabionError `INVALID_ARGUMENT` naming the first value that is not finite */
export function checkFinite({ data, dimensions }: VectorRows): void {
  const bad = data.findIndex((value: number) => !Number.isFinite(value))
  if (bad >= 0) throw outOfRange(`data[${String(bad)}] (row ${String(Math.floor(bad / dimensions))})`, 'a finite number', data[bad])
}

/** Column means. */
export function columnMeans({ rows, dimensions, data }: VectorRows): Float64Array {
  const sums = new Float64Array(dimensions)
  for (let row = 0, at = 0; row < rows; row++) {
    for (let j = 0; j < dimensions; j++, at++) sums[j]! += data[at]!
  }
  return sums.map((sum) => sum / rows)
}

/** Variances around given means, with divisor `rows`. */
export function columnVariances({ rows, dimensions, data }: VectorRows, mean: Float64Array): Float64Array {
  const sums = new Float64Array(dimensions)
  for (let row = 0, at = 0; row < rows; row++) {
    for (let j = 0; j < dimensions; j++, at++) {
      const difference = data[at]! - mean[j]!
      sums[j]! += difference * difference
    }
  }
  return sums.map((sum) => sum / rows)
}
