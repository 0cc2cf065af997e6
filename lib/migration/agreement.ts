// Owns measures of agreement of two sets of vectors of the same texts: cosines of pairs, nearest neighbors, overall geometry,
// projected vectors. Knows no embedder.

import { GabionError, wrongRange } from '../errors.js'
import { checkInteger } from '../options.js'
import { transposed, transposeTimes } from '../projection/linear.js'
import type { VectorRows } from '../projection/projection.js'
import { checkFinite, checkShape } from '../projection/vectors.js'
import { centeredKernelAlignment, pearson, spearman } from '../statistics/correlation.js'

/** Agreement of two vector spaces. */
export interface SpaceAgreement {
  /** Texts compared. */
  readonly texts: number
  /** Pairs of texts compared: all. */
  readonly pairs: number
  /** Correlation of the cosines of pairs. */
  readonly pearson: number
  /** Rank correlation of the cosines of pairs: agreement of both orders by similarity. */
  readonly spearman: number
  /** Nearest neighbors considered per text. */
  readonly neighbors: number
  /** Mean fraction of a text's nearest neighbors that are the same in both. */
  readonly neighborOverlap: number
  /** Linear centered kernel alignment: 1 for the same geometry up to rotation and scale. */
  readonly kernelAlignment: number
  /** Sample of pairs: cosines in the old and the new space. */
  readonly examples: readonly (readonly [number, number])[]
}

/** Sampled pairs for a drawing. */
const MAX_EXAMPLES = 1500
/** Limit of texts, since there are n² pairs. */
export const MAX_TEXTS = 4000

/**
 * Compares two sets of vectors; row i of both is the same text.
 *
 * @throws GabionError `INVALID_ARGUMENT` for different numbers of rows, fewer than 3 or more than {@link MAX_TEXTS}
 */
export function compareSpaces(old: VectorRows, fresh: VectorRows, neighbors = 10): SpaceAgreement {
  checkPaired(old, fresh)
  const n = old.rows
  const count = Math.min(checkInteger('neighbors', neighbors, 1), n - 1)
  const [kernelA, kernelB] = [kernelOf(old), kernelOf(fresh)]
  const [cosinesA, cosinesB] = [cosinesOf(kernelA, n), cosinesOf(kernelB, n)]
  const [upperA, upperB] = [upperTriangle(cosinesA, n), upperTriangle(cosinesB, n)]
  let shared = 0
  for (let row = 0; row < n; row++) {
    const nearestB = new Set(nearest(cosinesB, n, row, count))
    for (const index of nearest(cosinesA, n, row, count)) if (nearestB.has(index)) shared++
  }
  const step = Math.max(1, Math.floor(upperA.length / MAX_EXAMPLES))
  return {
    texts: n,
    pairs: upperA.length,
    pearson: pearson(upperA, upperB),
    spearman: spearman(upperA, upperB),
    neighbors: count,
    neighborOverlap: shared / (n * count),
    kernelAlignment: centeredKernelAlignment(kernelA, kernelB, n),
    examples: Array.from({ length: Math.floor(upperA.length / step) }, (_, at): [number, number] => [
      upperA[at * step]!,
      upperB[at * step]!,
    ]),
  }
}

function checkPaired(old: VectorRows, fresh: VectorRows): void {
  for (const vectors of [old, fresh]) checkFinite(checkShape(vectors, 3))
  if (old.rows !== fresh.rows)
    throw wrongRange(`row i of both must be the same text: there are ${String(old.rows)} old and ${String(fresh.rows)} new vectors`)
  if (old.rows > MAX_TEXTS) throw wrongRange(`at most ${String(MAX_TEXTS)} texts are compared at once, got ${String(old.rows)}`)
}

/** Gram matrix: dot products of all pairs of vectors. */
function kernelOf({ rows, dimensions, data }: VectorRows): Float64Array {
  const columns = transposed({ rows, columns: dimensions, data: Float64Array.from(data) })
  return transposeTimes(columns, columns).data
}

function cosinesOf(kernel: Float64Array, n: number): Float64Array {
  const lengths = Float64Array.from({ length: n }, (_, i) => Math.sqrt(kernel[i * (n + 1)]!) || 1)
  return kernel.map((value, at) => value / (lengths[Math.floor(at / n)]! * lengths[at % n]!))
}

function upperTriangle(matrix: Float64Array, n: number): Float64Array {
  const values = new Float64Array((n * (n - 1)) / 2)
  let at = 0
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) values[at++] = matrix[i * n + j]!
  return values
}

function nearest(cosines: Float64Array, n: number, row: number, count: number): number[] {
  const own = cosines.subarray(row * n, (row + 1) * n)
  const order = Array.from({ length: n }, (_, index) => index).filter((index) => index !== row)
  return order.sort((i, j) => own[j]! - own[i]!).slice(0, count)
}

/** Agreement of projected vectors, in the old projection's coordinates. */
export interface PointAgreement {
  readonly components: number
  /** Correlation of the values of each component. */
  readonly correlations: readonly number[]
  /** Median distance of a text's two points over the spread of the old points (RMS distance to their mean). */
  readonly relativeDistance: number
  /** Sample of texts: old and new point, first two components. */
  readonly examples: readonly (readonly [number, number, number, number])[]
}

/** Sampled points for a drawing. */
const MAX_POINTS = 300

/**
 * Compares two projections of the same texts.
 *
 * @throws GabionError `INVALID_ARGUMENT` for different shapes
 */
export function comparePoints(old: VectorRows, fresh: VectorRows): PointAgreement {
  checkPaired(old, fresh)
  const { rows, dimensions: components } = old
  if (fresh.dimensions !== components)
    throw new GabionError(
      'INVALID_ARGUMENT',
      `both projections must have the same number of components, got ${String(components)} and ${String(fresh.dimensions)}`,
    )
  const column = ({ data }: VectorRows, component: number): Float64Array =>
    Float64Array.from({ length: rows }, (_, row) => data[row * components + component]!)
  const means = Array.from({ length: components }, (_, component) => column(old, component).reduce((sum, value) => sum + value, 0) / rows)
  const distances = new Float64Array(rows)
  let spread = 0
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < components; k++) {
      const at = row * components + k
      distances[row]! += (old.data[at]! - fresh.data[at]!) ** 2
      spread += (old.data[at]! - means[k]!) ** 2 / rows
    }
  }
  const sorted = distances.map(Math.sqrt).sort()
  const step = Math.max(1, Math.floor(rows / MAX_POINTS))
  const second = components > 1 ? 1 : 0
  const pointAt = ({ data }: VectorRows, row: number): [number, number] => [data[row * components]!, data[row * components + second]!]
  return {
    components,
    correlations: means.map((_, component) => pearson(column(old, component), column(fresh, component))),
    relativeDistance: sorted[rows >> 1]! / Math.sqrt(spread || 1),
    examples: Array.from({ length: Math.floor(rows / step) }, (_, at): [number, number, number, number] => [
      ...pointAt(old, at * step),
      ...pointAt(fresh, at * step),
    ]),
  }
}
