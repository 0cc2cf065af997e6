// Owns the affine map from embedding space to a few components: fitting, applying, identity, saving.
// Knows nothing of models beyond the name and hashes that it carries, and nothing of detectors.

import { createHash } from 'node:crypto'
import { GabionError } from '../errors.js'
import { checkBoolean, checkInteger, checkOptions, checkString, invalidArgument } from '../options.js'
import { fitPrincipalComponents, type VectorRows } from './pca.js'
import { readProjectionFile, writeProjectionFile } from './projection-file.js'

export type { VectorRows } from './pca.js'

/** The model whose vectors a projection was fitted on. */
export interface ProjectionModel {
  /** The model's name, such as `all-MiniLM-L6-v2`. */
  readonly name: string
  /** SHA-256 of its weights, in hexadecimal. */
  readonly hash: string
  /** Precision it ran in, such as `bf16`. */
  readonly precision: string
}

/** How a projection came about; null for one that was not fitted here. */
export interface ProjectionFit {
  /** Vectors it was fitted on. */
  readonly rows: number
  /** Whether each dimension was divided by its standard deviation first. */
  readonly standardized: boolean
}

/** Everything that a projection is made of. */
export interface ProjectionParts {
  /** Values a projected point. */
  readonly components: number
  /** Values a vector. */
  readonly dimensions: number
  /** `dimensions` values, subtracted first. */
  readonly mean: Float64Array
  /** `components * dimensions` values, one component a row. */
  readonly axes: Float64Array
  /** Variance along each component over the vectors of the fit. */
  readonly explainedVariance: Float64Array
  /** The same as shares of the total variance. */
  readonly explainedVarianceRatio: Float64Array
  /** The model whose vectors it takes, when known. */
  readonly model: ProjectionModel | null
  /** How it was fitted, when known. */
  readonly fit: ProjectionFit | null
}

/** Options of {@link Projection.fitPca}. */
export interface FitPcaOptions {
  /** Number of components to keep: from 1 to the smaller of rows and dimensions. */
  components: number
  /** The model the vectors came from, kept in the file so that a mix-up is noticed. */
  model?: ProjectionModel
  /**
   * Divide each dimension by its standard deviation before the fit (default false). The division is folded into the axes;
   * deviations below a fifth of the median one are raised to it, because models have nearly constant dimensions.
   */
  standardize?: boolean
}

/**
 * An affine map `y = axes · (x − mean)` from embedding vectors to points of a few components. Immutable.
 *
 * Fitted by principal component analysis (conventions of `sklearn.decomposition.PCA`, equal to it within 1e-6 up to the
 * sign of a component; here the largest absolute loading is positive).
 */
export class Projection implements ProjectionParts {
  readonly components: number
  readonly dimensions: number
  readonly mean: Float64Array
  readonly axes: Float64Array
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
    this.explainedVariance = parts.explainedVariance
    this.explainedVarianceRatio = parts.explainedVarianceRatio
    this.model = parts.model
    this.fit = parts.fit
    this.id = contentHash(parts)
  }

  /**
   * Makes a projection of given parts (copied), for maps that were fitted elsewhere.
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
      explainedVariance: checkDoubles('explainedVariance', parts.explainedVariance, components),
      explainedVarianceRatio: checkDoubles('explainedVarianceRatio', parts.explainedVarianceRatio, components),
      model: parts.model === null ? null : checkModel(parts.model),
      fit: parts.fit === null ? null : { rows: parts.fit.rows, standardized: parts.fit.standardized },
    })
  }

  /**
   * Fits a principal component analysis by exact decomposition.
   *
   * @param vectors an `EmbeddingBatch`, or any row-major array with its shape; at least 2 rows
   * @throws GabionError `INVALID_ARGUMENT` for more components than min(rows, dimensions), values that are not finite,
   *   or vectors that are all equal
   */
  static fitPca(vectors: VectorRows, options: FitPcaOptions): Projection {
    const { components, model, standardize } = checkOptions('options', options, ['components', 'model', 'standardize'])
    const standardized = standardize === undefined ? false : checkBoolean('standardize', standardize)
    const kept = checkInteger('components', components, 1)
    const found = fitPrincipalComponents(vectors, kept, standardized)
    return new Projection({
      components: kept,
      dimensions: vectors.dimensions,
      ...found,
      model: model === undefined ? null : checkModel(model),
      fit: { rows: vectors.rows, standardized },
    })
  }

  /**
   * Loads a saved projection.
   *
   * @throws GabionError `ARTEFACT_INVALID` naming the file and the field
   */
  static async load(file: string): Promise<Projection> {
    const { parts, id } = await readProjectionFile(checkString('file', file))
    const projection = new Projection(parts)
    if (projection.id !== id) {
      throw new GabionError('ARTEFACT_INVALID', `${file}: field 'id' is not the hash of the projection; the file was changed or damaged`)
    }
    return projection
  }

  /**
   * Saves to one JSON file, written beside and renamed.
   *
   * @throws GabionError `INVALID_ARGUMENT` if the file cannot be written
   */
  async save(file: string): Promise<void> {
    await writeProjectionFile(checkString('file', file), this, this.id)
  }

  /**
   * Projects one vector, summing in double precision.
   *
   * @throws GabionError `PROJECTION_MISMATCH` if the vector has another number of dimensions
   */
  apply(vector: Float32Array | Float64Array): Float32Array {
    if (!(vector instanceof Float32Array || vector instanceof Float64Array)) throw invalidArgument('vector', 'a Float32Array', vector)
    if (vector.length !== this.dimensions) {
      throw new GabionError(
        'PROJECTION_MISMATCH',
        `the projection takes vectors of ${String(this.dimensions)} dimensions, got ${String(vector.length)}`,
      )
    }
    const { dimensions, mean, axes } = this
    return Float32Array.from({ length: this.components }, (_, component) => {
      let sum = 0
      for (let j = 0; j < dimensions; j++) {
        sum += (axes[component * dimensions + j] as number) * ((vector[j] as number) - (mean[j] as number))
      }
      return sum
    })
  }

  /** The same map as `y = matrix · x + offset`: `components * dimensions` values row-major, and `components` values. */
  affine(): { matrix: Float64Array; offset: Float64Array } {
    const { dimensions, mean, axes } = this
    const offset = Float64Array.from({ length: this.components }, (_, component) => {
      let sum = 0
      for (let j = 0; j < dimensions; j++) sum -= (axes[component * dimensions + j] as number) * (mean[j] as number)
      return sum
    })
    return { matrix: axes.slice(), offset }
  }
}

function checkModel(model: ProjectionModel): ProjectionModel {
  return {
    name: checkString('model.name', model.name),
    hash: checkString('model.hash', model.hash),
    precision: checkString('model.precision', model.precision),
  }
}

function checkDoubles(name: string, values: Float64Array, length: number): Float64Array {
  if (!(values instanceof Float64Array) || values.length !== length)
    throw invalidArgument(name, `a Float64Array of ${String(length)}`, values)
  const bad = values.find((value) => !Number.isFinite(value))
  if (bad !== undefined) throw invalidArgument(`every value of ${name}`, 'a finite number', bad)
  return values.slice()
}

function contentHash({ components, dimensions, mean, axes }: ProjectionParts): string {
  const bytes = (values: Float64Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return createHash('sha256')
    .update(`gabion-projection 1 ${String(components)} ${String(dimensions)}\n`)
    .update(bytes(mean))
    .update(bytes(axes))
    .digest('hex')
}
