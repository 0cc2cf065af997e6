// Owns the file format of a saved projection: one JSON file, its big arrays as base64 of little-endian doubles.
// Knows the parts of a projection, not their use.

import { readJson } from '../json/json-file.js'
import { encodeNumbers, type JsonObject } from '../json/json-object.js'
import type { ProjectionParts } from './projection-parts.js'

const FORMAT = 'gabion-projection'
const VERSION = 1

/** A projection as an object for JSON. */
export function projectionFields(parts: ProjectionParts, id: string): object {
  return {
    format: FORMAT,
    version: VERSION,
    id,
    model: parts.model,
    fit: parts.fit,
    dimensions: parts.dimensions,
    components: parts.components,
    explainedVariance: Array.from(parts.explainedVariance),
    explainedVarianceRatio: Array.from(parts.explainedVarianceRatio),
    mean: encodeNumbers(parts.mean),
    axes: encodeNumbers(parts.axes),
    ...(parts.offset?.some((value) => value !== 0) === true && { offset: encodeNumbers(parts.offset) }),
  }
}

/** Reads and checks a file; the caller compares the identifier. */
export async function readProjectionFile(file: string): Promise<{ parts: ProjectionParts; id: string }> {
  return parseProjection(await readJson(file, 'projection'))
}

/**
 * Validates the fields of {@link projectionFields}.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming file and field
 */
export function parseProjection(json: JsonObject): { parts: ProjectionParts; id: string } {
  json.checkFormat(FORMAT, VERSION)
  const components = json.integer('components', 1)
  const dimensions = json.integer('dimensions', 1)
  const variances = (key: string): Float64Array => Float64Array.from(json.list(key).length === 0 ? [] : json.numbers(key, components))
  let model: ProjectionParts['model'] = null
  if (json.fields.model !== null) {
    const named = json.object('model')
    model = { name: named.string('name'), hash: named.string('hash'), precision: named.string('precision') }
  }
  let fit: ProjectionParts['fit'] = null
  if (json.fields.fit !== null) {
    const fitted = json.object('fit')
    const whitened = fitted.fields.whitened === undefined ? {} : { whitened: fitted.boolean('whitened') }
    fit = { rows: fitted.integer('rows', 1), standardized: fitted.boolean('standardized'), ...whitened }
  }
  const parts: ProjectionParts = {
    components,
    dimensions,
    model,
    fit,
    mean: json.encoded('mean', Float64Array, dimensions),
    axes: json.encoded('axes', Float64Array, components * dimensions),
    ...(json.fields.offset !== undefined && { offset: json.encoded('offset', Float64Array, components) }),
    explainedVariance: variances('explainedVariance'),
    explainedVarianceRatio: variances('explainedVarianceRatio'),
  }
  return { parts, id: json.string('id') }
}
