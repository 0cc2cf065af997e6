// Owns the parts of a projection as plain data. Types only.

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
