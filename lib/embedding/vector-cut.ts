// Vectors of fewer dimensions than the model gives: their first values, scaled to unit length again (Matryoshka representations,
// https://arxiv.org/abs/2205.13147). Knows records, and not how they are made or kept.

import type { Projection } from '../projection/projection.js'
import { norm } from '../statistics/vectors.js'
import type { TextRecord } from './vector-cache.js'

/** What a call makes of the model's vectors. */
export interface VectorCut {
  /** Values per vector of the model. */
  readonly from: number
  /** Values that are kept. */
  readonly to: number
  /** Whether they are scaled to unit length. */
  readonly normalize: boolean
  /** Applied to the vectors that were cut; native code can only apply it to whole ones. */
  readonly projection: Projection | undefined
}

/** The record of a text with its vectors cut; its arrays are copies. */
export function cutRecord(record: TextRecord, { from, to, normalize, projection }: VectorCut): TextRecord {
  const windows = record.vectors.length / from
  const vectors = new Float32Array(windows * to)
  const projected = projection === undefined ? null : new Float32Array(windows * projection.components)
  for (let window = 0; window < windows; window++) {
    const first = record.vectors.subarray(window * from, window * from + to)
    const vector = normalize ? unitVector(first) : first
    vectors.set(vector, window * to)
    projected?.set(projection!.apply(vector), window * projection!.components)
  }
  return { ...record, vectors, projected }
}

/** A copy of unit length; of a zero vector a copy. */
export function unitVector(vector: Float32Array): Float32Array {
  const length = norm(vector)
  return Float32Array.from(vector, (value) => (length === 0 ? value : value / length))
}
