// Owns the fit of linear adapters: ridge regression with a cross-validated penalty, orthogonal Procrustes, and their evaluation on
// held-out pairs. Knows no model and no file.

import { GabionError, wrongRange } from '../errors.js'
import { symmetricEigen, transposed, transposeTimes, type DoubleMatrix } from './linear.js'
import type { VectorRows } from './vectors.js'

/** y ≈ matrix · (x − mean) + offset. */
export interface LinearMap {
  readonly mean: Float64Array
  /** Target dimensions × source dimensions. */
  readonly matrix: Float64Array
  readonly offset: Float64Array
}

/** Moments of paired vectors around given means: sufficient for a fit. */
interface PairMoments {
  readonly xx: DoubleMatrix
  readonly xy: DoubleMatrix
  /** Σ |y|² */
  readonly yy: number
}

/** Doubles of some rows, less the means. */
function centeredRows({ dimensions, data }: VectorRows, rows: readonly number[], mean: Float64Array): DoubleMatrix {
  const result = new Float64Array(rows.length * dimensions)
  rows.forEach((row, at) => {
    for (let j = 0; j < dimensions; j++) result[at * dimensions + j] = data[row * dimensions + j]! - mean[j]!
  })
  return { rows: rows.length, columns: dimensions, data: result }
}

function meanOf({ dimensions, data }: VectorRows, rows: readonly number[]): Float64Array {
  const sums = new Float64Array(dimensions)
  for (const row of rows) for (let j = 0; j < dimensions; j++) sums[j]! += data[row * dimensions + j]!
  return sums.map((sum) => sum / rows.length)
}

/** Rows per copy to doubles; bounds memory for any number of pairs. */
const CHUNK_ROWS = 4096

function momentsOf(from: VectorRows, to: VectorRows, rows: readonly number[], meanX: Float64Array, meanY: Float64Array): PairMoments {
  let sum: PairMoments | null = null
  for (let at = 0; at < rows.length; at += CHUNK_ROWS) {
    const chunk = rows.slice(at, at + CHUNK_ROWS)
    const [x, y] = [centeredRows(from, chunk, meanX), centeredRows(to, chunk, meanY)]
    const part = { xx: transposeTimes(x, x), xy: transposeTimes(x, y), yy: y.data.reduce((total, value) => total + value * value, 0) }
    sum = sum === null ? part : plus(sum, part)
  }
  if (sum === null) throw new GabionError('INTERNAL', 'a part of the pairs is empty')
  return sum
}

function plus(a: PairMoments, b: PairMoments): PairMoments {
  const add = (one: DoubleMatrix, other: DoubleMatrix): DoubleMatrix => ({
    ...one,
    data: one.data.map((value, at) => value + other.data[at]!),
  })
  return { xx: add(a.xx, b.xx), xy: add(a.xy, b.xy), yy: a.yy + b.yy }
}

function less(whole: DoubleMatrix, part: DoubleMatrix): DoubleMatrix {
  return { ...whole, data: whole.data.map((value, at) => value - part.data[at]!) }
}

/**
 * Ridge regression with intercept.
 *
 * @param penalties to choose from, as multiples of the mean variance of the source times the number of pairs
 * @param folds number of folds of the cross-validation
 * @returns the map, and the penalty (as a multiple) with the lowest out-of-fold error
 */
export function fitRidge(
  from: VectorRows,
  to: VectorRows,
  rows: readonly number[],
  penalties: readonly number[],
  folds: number,
): { map: LinearMap; penalty: number } {
  const [meanX, meanY] = [meanOf(from, rows), meanOf(to, rows)]
  const parts = Array.from({ length: folds }, (_, fold) => {
    const own = rows.filter((_row, at) => at % folds === fold)
    return momentsOf(from, to, own, meanX, meanY)
  })
  const whole = parts.reduce(plus)
  const unit = meanDiagonal(whole.xx)
  const absolute = penalties.map((penalty) => penalty * unit)
  const errors = new Float64Array(penalties.length)
  if (penalties.length > 1) {
    for (const part of parts) {
      const rest = { xx: less(whole.xx, part.xx), xy: less(whole.xy, part.xy) }
      leftOutErrors(rest, part, absolute).forEach((error, at) => (errors[at]! += error))
    }
  }
  const best = errors.reduce((lowest, error, at) => (error < errors[lowest]! ? at : lowest), 0)
  const { values, vectors } = symmetricEigen(whole.xx)
  const matrix = solution(values, vectors, transposeTimes(transposed(vectors), whole.xy), absolute[best]!)
  return { map: { mean: meanX, matrix, offset: meanY }, penalty: penalties[best]! }
}

function meanDiagonal({ rows, data }: DoubleMatrix): number {
  let sum = 0
  for (let j = 0; j < rows; j++) sum += data[j * (rows + 1)]!
  if (!(sum > 0)) throw wrongRange('the source vectors must differ from each other')
  return sum / rows
}

/** Out-of-fold squared errors for each penalty, computed from moments without predictions. */
function leftOutErrors(rest: Omit<PairMoments, 'yy'>, part: PairMoments, penalties: readonly number[]): number[] {
  const { values, vectors } = symmetricEigen(rest.xx)
  // In the coordinates of the eigenvectors a penalty only scales rows.
  const basis = transposed(vectors)
  const solved = transposeTimes(basis, rest.xy)
  const leftXy = transposeTimes(basis, part.xy)
  const leftXx = transposeTimes(transposeTimes(part.xx, basis), basis)
  const solvedProducts = transposeTimes(transposed(solved), transposed(solved))
  const n = values.length
  return penalties.map((penalty) => {
    const factors = values.map((value) => 1 / (Math.max(value, 0) + penalty))
    let cross = 0
    let square = 0
    for (let k = 0; k < n; k++) {
      let products = 0
      for (let j = 0; j < solved.columns; j++) products += leftXy.data[k * solved.columns + j]! * solved.data[k * solved.columns + j]!
      cross += factors[k]! * products
      for (let l = 0; l < n; l++) square += factors[k]! * factors[l]! * leftXx.data[k * n + l]! * solvedProducts.data[k * n + l]!
    }
    return part.yy - 2 * cross + square
  })
}

/** (Σ xxᵀ + penalty)⁻¹ Σ xyᵀ, as target × source. */
function solution(values: Float64Array, vectors: DoubleMatrix, solved: DoubleMatrix, penalty: number): Float64Array {
  const scaled = solved.data.map((value, at) => value / (Math.max(values[Math.floor(at / solved.columns)]!, 0) + penalty))
  return transposeTimes({ ...solved, data: scaled }, vectors).data
}

/**
 * Orthogonal Procrustes with means: the isometry that minimizes the squared distance to the target (Schönemann 1966).
 * Directions without variance in the source are mapped to zero.
 */
export function fitProcrustes(from: VectorRows, to: VectorRows, rows: readonly number[]): LinearMap {
  const [meanX, meanY] = [meanOf(from, rows), meanOf(to, rows)]
  const { xy } = momentsOf(from, to, rows, meanX, meanY)
  // With XᵀY = U S Vᵀ the map is U Vᵀ = (XᵀY YᵀX)^(−1/2) XᵀY, on the smaller side of the two.
  const narrow = from.dimensions <= to.dimensions
  const side = narrow ? transposed(xy) : xy
  const { values, vectors } = symmetricEigen(transposeTimes(side, side))
  const floor = values[0]! * Number.EPSILON * values.length
  const scaled = {
    ...vectors,
    data: vectors.data.map((value, at) => {
      const size = values[Math.floor(at / vectors.columns)]!
      return size > floor ? value / size ** 0.25 : 0
    }),
  }
  const inverseRoot = transposeTimes(scaled, scaled)
  const map = narrow ? transposeTimes(inverseRoot, xy) : transposeTimes(transposed(xy), inverseRoot)
  return { mean: meanX, matrix: transposed(map).data, offset: meanY }
}

/** Quality of a map on pairs. */
export interface MapQuality {
  /** Share of the targets' variance that is explained, over all dimensions. */
  readonly r2: number
  /** Mean cosine of mapped and true vectors. */
  readonly meanCosine: number
  /** The 0.05 quantile of the cosines. */
  readonly lowCosine: number
}

/** Evaluates a map on pairs. */
export function measureMap(map: LinearMap, from: VectorRows, to: VectorRows, rows: readonly number[]): MapQuality {
  const means = meanOf(to, rows)
  const x = transposed(centeredRows(from, rows, map.mean))
  const matrix = transposed({ rows: to.dimensions, columns: from.dimensions, data: map.matrix })
  const mapped = transposeTimes(x, matrix)
  let error = 0
  let total = 0
  const cosines = rows.map((row, at) => {
    let [dot, ours, theirs] = [0, 0, 0]
    for (let j = 0; j < to.dimensions; j++) {
      const y = to.data[row * to.dimensions + j]!
      const guess = mapped.data[at * to.dimensions + j]! + map.offset[j]!
      error += (y - guess) ** 2
      total += (y - means[j]!) ** 2
      dot += y * guess
      ours += guess * guess
      theirs += y * y
    }
    return dot / Math.sqrt(ours * theirs || 1)
  })
  cosines.sort((a, b) => a - b)
  return {
    r2: 1 - error / (total || 1),
    meanCosine: cosines.reduce((sum, value) => sum + value, 0) / cosines.length,
    lowCosine: cosines[Math.floor(cosines.length * 0.05)] ?? 0,
  }
}
