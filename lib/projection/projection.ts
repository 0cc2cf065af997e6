// Owns the affine map from embedding space to a few components: fitting, applying, identity, saving.
// Knows models by name and hash only, and no detectors.

import { nodeCrypto } from '../lazy.js'
import { GabionError } from '../errors.js'
import { writeJson } from '../json/json-file.js'
import { JsonObject } from '../json/json-object.js'
import { checkBoolean, checkInteger, checkOptions, checkString, invalidArgument, outOfRange } from '../options.js'
import { isFloat32Array, isFloat64Array } from '../typed-arrays.js'
import { componentsOfMoments, fitPrincipalComponents, type ComponentOptions, type PrincipalComponents } from './pca.js'
import { VectorMoments } from './moments.js'
import {
  parseProjection,
  projectionFields,
  readProjectionFile,
  type ProjectionFit,
  type ProjectionModel,
  type ProjectionParts,
} from './projection-file.js'
import { StandardScaler } from './scaler.js'
import type { VectorRows } from './vectors.js'

export type { ProjectionFit, ProjectionModel, ProjectionParts } from './projection-file.js'
export type { VectorRows } from './vectors.js'

/** Options of {@link Projection.fitPca}. */
export interface FitPcaOptions {
  /** Number of components: from 1 to the smaller of rows and dimensions. */
  components: number
  /** The model of the vectors, saved in the file so that a mismatch is detected. */
  model?: ProjectionModel
  /**
   * Divide each dimension by its standard deviation before the fit (default false). The division is folded into the axes;
   * deviations below a fifth of the median one are raised to it, because models have nearly constant dimensions.
   */
  standardize?: boolean
  /** Standardize by this scaler before the fit, as scikit-learn's pipeline of both does; excludes `standardize`. */
  scaler?: StandardScaler
  /** Divide each component by its standard deviation (scikit-learn's `whiten`; default false); folded into the axes. */
  whiten?: boolean
}

/**
 * An affine map `y = axes · (x − mean) + offset` from embedding vectors to points of a few components. Immutable.
 *
 * Fitted by principal component analysis (conventions of `sklearn.decomposition.PCA`, equal to it within 1e-6 up to the
 * sign of a component; here the largest absolute loading is positive).
 */
export class Projection implements ProjectionParts {
  readonly components: number
  readonly dimensions: number
  readonly mean: Float64Array
  readonly axes: Float64Array
  readonly offset: Float64Array
  readonly explainedVariance: Float64Array
  readonly explainedVarianceRatio: Float64Array
  readonly model: ProjectionModel | null
  readonly fit: ProjectionFit | null
  /** SHA-256 (hexadecimal) of the map itself: equal for projections that map every vector equally. Used in cache keys. */
  readonly id: string

  private constructor(parts: ProjectionParts) {
    this.components = parts.components
    this.dimensions = parts.dimensions
    this.mean = parts.mean
    this.axes = parts.axes
    this.offset = parts.offset ?? new Float64Array(parts.components)
    this.explainedVariance = parts.explainedVariance
    this.explainedVarianceRatio = parts.explainedVarianceRatio
    this.model = parts.model
    this.fit = parts.fit
    this.id = contentHash(this)
  }

  /**
   * Creates a projection from parts (copied), for maps that were fitted elsewhere.
   *
   * @throws GabionError `INVALID_ARGUMENT` for wrong lengths or numbers that are not finite
   */
  static fromParts(parts: ProjectionParts): Projection {
    const components = checkInteger('components', parts.components, 1)
    const dimensions = checkInteger('dimensions', parts.dimensions, 1)
    return new Projection({
      components,
      dimensions,
      mean: checkDoubles('mean', parts.mean, dimensions),
      axes: checkDoubles('axes', parts.axes, components * dimensions),
      ...(parts.offset !== undefined && { offset: checkDoubles('offset', parts.offset, components) }),
      explainedVariance: checkKnown('explainedVariance', parts.explainedVariance, components),
      explainedVarianceRatio: checkKnown('explainedVarianceRatio', parts.explainedVarianceRatio, components),
      model: parts.model === null ? null : checkModel(parts.model),
      fit: parts.fit === null ? null : { ...parts.fit },
    })
  }

  /**
   * Fits a principal component analysis by exact decomposition. Vectors that do not fit into memory go through a
   * {@link PcaAccumulator}.
   *
   * @param vectors an `EmbeddingBatch`, or any row-major array with its shape; at least 2 rows
   * @throws GabionError `INVALID_ARGUMENT` for more components than min(rows, dimensions), values that are not finite,
   *   or vectors that are all equal
   */
  static fitPca(vectors: VectorRows, options: FitPcaOptions): Projection {
    const { components, metadata } = checkFitOptions(options)
    return fitted(fitPrincipalComponents(vectors, components), vectors.rows, metadata)
  }

  /**
   * Loads a saved projection.
   *
   * @throws GabionError `ARTIFACT_INVALID` naming the file and the field
   */
  static async load(file: string): Promise<Projection> {
    return Projection.#checked(await readProjectionFile(checkString('file', file)), file)
  }

  /**
   * Creates a projection from the fields of {@link Projection.toJSON}.
   *
   * @param source named in messages
   * @throws GabionError `ARTIFACT_INVALID` naming the field
   */
  static fromJSON(fields: Readonly<Record<string, unknown>>, source: string): Projection {
    return Projection.#checked(parseProjection(JsonObject.of(fields, { source, code: 'ARTIFACT_INVALID', what: 'a projection' })), source)
  }

  static #checked({ parts, id }: { parts: ProjectionParts; id: string }, file: string): Projection {
    const projection = new Projection(parts)
    if (projection.id !== id) {
      throw new GabionError('ARTIFACT_INVALID', `${file}: field 'id' is not the hash of the projection; the file was changed or damaged`)
    }
    return projection
  }

  /**
   * Saves to one JSON file, atomically.
   *
   * @throws GabionError `INVALID_ARGUMENT` if the file cannot be written, `STORAGE_FAILED` if its file system is full
   */
  async save(file: string): Promise<void> {
    await writeJson(checkString('file', file), this.toJSON())
  }

  /** The content of {@link save}'s file. */
  toJSON(): object {
    return projectionFields(this, this.id)
  }

  /**
   * Projects one vector, summing in double precision.
   *
   * @throws GabionError `PROJECTION_MISMATCH` if the vector has another number of dimensions
   */
  apply(vector: Float32Array | Float64Array): Float32Array {
    if (!isFloat32Array(vector) && !isFloat64Array(vector)) throw invalidArgument('vector', 'a Float32Array', vector)
    if (vector.length !== this.dimensions) {
      throw new GabionError(
        'PROJECTION_MISMATCH',
        `the projection takes vectors of ${String(this.dimensions)} dimensions, got ${String(vector.length)}`,
      )
    }
    const { dimensions, mean, axes, offset } = this
    return Float32Array.from({ length: this.components }, (_, component) => {
      let sum = 0
      for (let j = 0; j < dimensions; j++) {
        sum += (axes[component * dimensions + j] as number) * ((vector[j] as number) - (mean[j] as number))
      }
      return sum + (offset[component] as number)
    })
  }

  /** The same map as `y = matrix · x + offset`: `components * dimensions` values row-major, and `components` values. */
  affine(): { matrix: Float64Array; offset: Float64Array } {
    const { dimensions, mean, axes } = this
    const offset = Float64Array.from({ length: this.components }, (_, component) => {
      let sum = this.offset[component] as number
      for (let j = 0; j < dimensions; j++) sum -= (axes[component * dimensions + j] as number) * (mean[j] as number)
      return sum
    })
    return { matrix: axes.slice(), offset }
  }
}

/**
 * Fits a principal component analysis on a stream of batches of vectors: memory holds sums only, about
 * 16 · dimensions² bytes.
 *
 * ```ts
 * const pca = new PcaAccumulator()
 * for await (const batch of batches) pca.add(batch)
 * const projection = pca.fit({ components: 64 })
 * ```
 */
export class PcaAccumulator {
  #moments: VectorMoments | null = null

  /** Vectors added so far. */
  get rows(): number {
    return this.#moments?.rows ?? 0
  }

  /**
   * Adds vectors.
   *
   * @throws GabionError `INVALID_ARGUMENT` for other dimensions than before, or values that are not finite
   */
  add(vectors: VectorRows): void {
    if (vectors.rows === 0) return
    this.#moments ??= new VectorMoments(vectors)
    this.#moments.add(vectors)
  }

  /**
   * The projection fitted on all vectors added so far; more may be added afterwards.
   *
   * @throws GabionError `INVALID_ARGUMENT` as `Projection.fitPca`
   */
  fit(options: FitPcaOptions): Projection {
    const { components, metadata } = checkFitOptions(options)
    if (this.#moments === null) throw invalidArgument('vectors', 'added before the fit', undefined)
    return fitted(componentsOfMoments(this.#moments, components), this.#moments.rows, metadata)
  }
}

interface FitMetadata {
  model: ProjectionModel | null
  standardized: boolean
  whitened: boolean
}

function checkFitOptions(options: FitPcaOptions): { components: ComponentOptions; metadata: FitMetadata } {
  const given = checkOptions('options', options, ['components', 'model', 'standardize', 'scaler', 'whiten'])
  const { model, scaler } = given
  const standardize = given.standardize === undefined ? false : checkBoolean('standardize', given.standardize)
  if (scaler !== undefined && !(scaler instanceof StandardScaler)) throw invalidArgument('scaler', 'a StandardScaler', scaler)
  if (scaler !== undefined && standardize) throw invalidArgument('standardize', 'left out where scaler is given', standardize)
  const whiten = given.whiten === undefined ? false : checkBoolean('whiten', given.whiten)
  return {
    components: {
      components: checkInteger('components', given.components, 1),
      scaling: scaler?.scale ?? (standardize ? 'floored' : 'none'),
      whiten,
    },
    metadata: {
      model: model === undefined ? null : checkModel(model),
      standardized: standardize || scaler !== undefined,
      whitened: whiten,
    },
  }
}

function fitted(found: PrincipalComponents, rows: number, { model, standardized, whitened }: FitMetadata): Projection {
  return Projection.fromParts({
    components: found.explainedVariance.length,
    dimensions: found.mean.length,
    ...found,
    model,
    fit: { rows, standardized, ...(whitened && { whitened }) },
  })
}

function checkModel(model: ProjectionModel): ProjectionModel {
  return {
    name: checkString('model.name', model.name),
    hash: checkString('model.hash', model.hash),
    precision: checkString('model.precision', model.precision),
  }
}

function checkDoubles(name: string, values: Float64Array, length: number): Float64Array {
  if (!isFloat64Array(values) || values.length !== length) throw invalidArgument(name, `a Float64Array of ${String(length)}`, values)
  const bad = values.find((value) => !Number.isFinite(value))
  if (bad !== undefined) throw outOfRange(`every value of ${name}`, 'a finite number', bad)
  // Not slice(), whose result is of the values' own realm.
  return new Float64Array(values)
}

/** As {@link checkDoubles}, but an empty array is valid too. */
function checkKnown(name: string, values: Float64Array, length: number): Float64Array {
  return isFloat64Array(values) && values.length === 0 ? new Float64Array(0) : checkDoubles(name, values, length)
}

function contentHash({ components, dimensions, mean, axes, offset }: Projection): string {
  const bytes = (values: Float64Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const hash = nodeCrypto()
    .createHash('sha256')
    .update(`gabion-projection 1 ${String(components)} ${String(dimensions)}\n`)
    .update(bytes(mean))
    .update(bytes(axes))
  // An offset of zeros is the same map as no offset, so it is not hashed.
  if (offset.some((value) => value !== 0)) hash.update(bytes(offset))
  return hash.digest('hex')
}
