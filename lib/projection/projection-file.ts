// Owns the parts of a projection as plain data, and their file: JSON, its big arrays as base64 of little-endian doubles.
// Knows nothing of their use.

import { readJson } from '../json/json-file.js'
import { encodeNumbers, type JsonObject } from '../json/json-object.js'

const FORMAT = 'gabion-projection'
const VERSION = 1

/** The model whose vectors a projection was fitted on. */
export interface ProjectionModel {
  /** The model's name, such as `all-MiniLM-L6-v2`. */
  readonly name: string
  /** SHA-256 of its weights, in hexadecimal. */
  readonly hash: string
  /** Its precision, such as `bf16`. */
  readonly precision: string
}

/** The fit of a projection. */
export interface ProjectionFit {
  /** Vectors it was fitted on. */
  readonly rows: number
  /** Whether each dimension was divided by its standard deviation first. */
  readonly standardized: boolean
  /** Whether each component was divided by its standard deviation; default false. */
  readonly whitened?: boolean
}

/** The parts of a projection. */
export interface ProjectionParts {
  /** Values per projected point. */
  readonly components: number
  /** Values per vector. */
  readonly dimensions: number
  /** `dimensions` values, subtracted first. */
  readonly mean: Float64Array
  /** `components * dimensions` values, one component per row. */
  readonly axes: Float64Array
  /** `components` values, added last; default zeros. */
  readonly offset?: Float64Array
  /** Variance along each component over the vectors of the fit (before whitening); empty if unknown. */
  readonly explainedVariance: Float64Array
  /** The same as shares of the total variance. */
  readonly explainedVarianceRatio: Float64Array
  /** The model of its input vectors; null if unknown. */
  readonly model: ProjectionModel | null
  /** Null for a projection that was not fitted by gabion. */
  readonly fit: ProjectionFit | null
}

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
