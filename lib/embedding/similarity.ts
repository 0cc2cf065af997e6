// How alike vectors are, and which of many are most alike to one. Knows numbers only.

import { wrongRange } from '../errors.js'
import { fromNative, nativeAddon } from '../native.js'
import { checkInteger, checkOneOf, checkOptions, invalidArgument } from '../options.js'
import { checkShape, type VectorRows } from '../projection/vectors.js'
import { cosine, dot } from '../statistics/vectors.js'

/**
 * The cosine of the angle between two vectors: 1 for the same direction, 0 for unrelated ones, -1 for opposite ones. Summed in
 * double precision. For vectors of unit length, as `Embedder` gives them, it equals their dot product up to rounding.
 *
 * @returns NaN if one of the vectors is zero
 * @throws GabionError `INVALID_ARGUMENT` for vectors of different lengths
 */
export function cosineSimilarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  checkPair(a, b)
  return cosine(a, b)
}

/**
 * The dot product of two vectors, summed in double precision.
 *
 * @throws GabionError `INVALID_ARGUMENT` for vectors of different lengths
 */
export function dotProduct(a: ArrayLike<number>, b: ArrayLike<number>): number {
  checkPair(a, b)
  return dot(a, b)
}

/** By what {@link semanticSearch} ranks. */
export const SIMILARITIES = ['cosine', 'dot'] as const

/** Options of {@link semanticSearch}. */
export interface SemanticSearchOptions {
  /** How many of the best rows are returned; default 10. */
  topK?: number
  /** `cosine` (default), or `dot` for models that were trained with the dot product. */
  similarity?: (typeof SIMILARITIES)[number]
}

/** A row that {@link semanticSearch} found. */
export interface SearchHit {
  /** Index of the row, as of its text in the batch. */
  index: number
  /** Its similarity to the query. */
  score: number
}

/**
 * The rows that are most similar to a query: an exact search, which reads every row once, in native code on all threads. It blocks the
 * calling thread for about as long as reading the rows from memory takes: 100,000 rows of 384 dimensions are 154 MB.
 *
 * @param query one vector
 * @param rows  an `EmbeddingBatch`, or any row-major array with its shape
 * @returns the best first, of equal ones that with the lower index. Rows without a similarity (all zero, or not finite) are left out
 * @throws GabionError `INVALID_ARGUMENT`, also for a query of another number of dimensions
 */
export function semanticSearch(query: ArrayLike<number>, rows: VectorRows, options?: SemanticSearchOptions): SearchHit[] {
  const { topK = 10, similarity = 'cosine' } = checkOptions('options', options, ['topK', 'similarity'])
  checkInteger('topK', topK, 1)
  const isCosine = checkOneOf('similarity', similarity, SIMILARITIES) === 'cosine'
  checkVector('query', query)
  if (Array.isArray(rows)) throw invalidArgument('rows', 'an EmbeddingBatch or an object { rows, dimensions, data }', rows)
  const { rows: count, dimensions, data } = checkShape(rows, 0)
  if (query.length !== dimensions)
    throw wrongRange(`query must have the ${String(dimensions)} dimensions of the rows, got ${String(query.length)}`)
  const scores = new Float64Array(count)
  try {
    nativeAddon().compareRows(data, Float64Array.from(query), scores, isCosine)
  } catch (error) {
    throw fromNative(error)
  }
  return best(scores, topK)
}

/** The highest scores, the best first. */
function best(scores: Float64Array, topK: number): SearchHit[] {
  // Candidates are cut back to topK whenever they are twice as many, and then only what beats the last of them is one.
  const most = Math.max(2 * topK, 64)
  let candidates: number[] = []
  let bound = -Infinity
  const cutBack = (): void => {
    candidates.sort((a, b) => scores[b]! - scores[a]! || a - b)
    candidates = candidates.slice(0, topK)
    if (candidates.length === topK) bound = scores[candidates[topK - 1]!]!
  }
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index]!
    if (!(score > bound && score < Infinity)) continue
    candidates.push(index)
    if (candidates.length >= most) cutBack()
  }
  cutBack()
  return candidates.map((index) => ({ index, score: scores[index]! }))
}

function checkPair(a: ArrayLike<number>, b: ArrayLike<number>): void {
  checkVector('a', a)
  checkVector('b', b)
  if (a.length !== b.length) throw wrongRange(`vectors must have the same length, got ${String(a.length)} and ${String(b.length)}`)
}

function checkVector(name: string, vector: ArrayLike<number>): void {
  if (typeof vector !== 'object' || typeof (vector as Partial<typeof vector> | null)?.length !== 'number')
    throw invalidArgument(name, 'an array of numbers', vector)
}
