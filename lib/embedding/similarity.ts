// How alike two vectors are. Knows numbers only.

import { GabionError } from '../errors.js'
import { invalidArgument } from '../options.js'
import { cosine } from '../statistics/vectors.js'

/**
 * The cosine of the angle between two vectors: 1 for the same direction, 0 for unrelated ones, -1 for opposite ones. Summed in
 * double precision. For vectors of unit length, as `Embedder` gives them, it equals their dot product up to rounding.
 *
 * @returns NaN if one of the vectors is zero
 * @throws GabionError `INVALID_ARGUMENT` for vectors of different lengths
 */
export function cosineSimilarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (const [name, vector] of Object.entries({ a, b }))
    if (typeof vector !== 'object' || typeof (vector as Partial<typeof vector> | null)?.length !== 'number')
      throw invalidArgument(name, 'an array of numbers', vector)
  if (a.length !== b.length) {
    throw new GabionError('INVALID_ARGUMENT', `vectors must have the same length, got ${String(a.length)} and ${String(b.length)}`)
  }
  return cosine(a, b)
}
