// Owns saving of projections: gabion's own format, or a NumPy archive, by the file's extension.

import { encodeNpz } from '../projection/formats/npz.js'
import type { Projection } from '../projection/projection.js'
import { writeWhole } from '../files/pending-file.js'

/** Saves a projection: `.npz` for NumPy and scikit-learn, else gabion's own JSON. */
export async function saveProjection(projection: Projection, file: string): Promise<void> {
  if (file.endsWith('.npz')) await writeWhole(file, await encodeNpz(projection))
  else await projection.save(file)
}

/** Description of a projection, for JSON. */
export function describeProjection(projection: Projection): object {
  const { components, dimensions, model, id, fit } = projection
  return {
    dimensions,
    components,
    model,
    fit,
    id,
    explainedVariance: Array.from(projection.explainedVariance),
    explainedVarianceRatio: Array.from(projection.explainedVarianceRatio),
  }
}

/** `384 → 2 components` */
export function projectionShape({ dimensions, components }: Projection): string {
  return `${String(dimensions)} → ${String(components)} components`
}

/** `, 61.2% of the variance kept`, or empty if unknown. */
export function keptVariance({ explainedVarianceRatio }: Projection): string {
  if (explainedVarianceRatio.length === 0) return ''
  return `, ${share(explainedVarianceRatio.reduce((total, value) => total + value, 0))} of the variance kept`
}

/** A ratio as a percentage. */
export function share(ratio: number): string {
  return `${(ratio * 100).toFixed(1)}%`
}
