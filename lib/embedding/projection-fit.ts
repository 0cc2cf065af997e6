// Whether a projection fits an embedder's vectors: their number of values, and the model that it was fitted on.

import { GabionError } from '../errors.js'
import type { Projection } from '../projection/projection.js'
import type { EmbedderInfo } from './embedder.js'

/**
 * @param dimensions of the call's vectors
 * @throws GabionError `PROJECTION_MISMATCH`
 */
export function requireFit(projection: Projection, info: EmbedderInfo, dimensions: number): void {
  if (projection.dimensions !== dimensions) {
    const gives = dimensions === info.dimensions ? `${info.model} gives` : 'the call asks for'
    throw new GabionError(
      'PROJECTION_MISMATCH',
      `the projection takes vectors of ${String(projection.dimensions)} dimensions, ${gives} ${String(dimensions)}`,
    )
  }
  // The same model in another precision gives nearly the same vectors, but another file under one precision does not.
  const { model } = projection
  if (model === null) return
  const otherWeights = model.precision === info.precision && model.hash !== info.modelHash
  if (model.name !== info.model || otherWeights) {
    throw new GabionError(
      'PROJECTION_MISMATCH',
      `the projection was fitted on ${model.name} (${model.precision}, ${model.hash.slice(0, 12)}), this is ${info.model} ` +
        `(${info.precision}, ${info.modelHash.slice(0, 12)}); fit it again on this model's vectors`,
    )
  }
}
