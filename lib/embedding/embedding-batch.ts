// The vectors of many texts in one array. Knows nothing of how they were made.

import { checkInteger, invalidArgument } from '../options.js'

/** Where a call's time went, in milliseconds. Parts are summed over texts that ran side by side; `totalMs` is wall-clock. */
export interface EmbedTimings {
  tokenizeMs: number
  /** From submission to the start of the first text. */
  queueMs: number
  encodeMs: number
  projectMs: number
  totalMs: number
}

/** What an {@link EmbeddingBatch} is made of. */
export interface EmbeddingBatchParts {
  rows: number
  dimensions: number
  data: Float32Array
  tokenCounts: Int32Array
  totalTokenCounts: Int32Array
  projected: Float32Array | null
  components: number
  timings: EmbedTimings
  cached: number
}

/** The result of `embedBatch`: one vector per text, in the order of the texts. */
export class EmbeddingBatch {
  /** Number of texts. */
  readonly rows: number
  /** Values per vector. */
  readonly dimensions: number
  /** All vectors: rows × dimensions, row-major. */
  readonly data: Float32Array
  /** Tokens of each text that were used, special tokens included. */
  readonly tokenCounts: Int32Array
  /** Tokens of each whole text, special tokens included, before it was cut. */
  readonly totalTokenCounts: Int32Array
  /** All projected vectors: rows × components, row-major; null without a projection. */
  readonly projected: Float32Array | null
  /** Values per projected vector; 0 without a projection. */
  readonly components: number
  readonly timings: EmbedTimings
  /** Rows that came from the cache. */
  readonly cached: number

  constructor(parts: EmbeddingBatchParts) {
    this.rows = parts.rows
    this.dimensions = parts.dimensions
    this.data = parts.data
    this.tokenCounts = parts.tokenCounts
    this.totalTokenCounts = parts.totalTokenCounts
    this.projected = parts.projected
    this.components = parts.components
    this.timings = parts.timings
    this.cached = parts.cached
  }

  /** Number of texts, as of an array. */
  get length(): number {
    return this.rows
  }

  /** The vectors in the order of the texts, as {@link row} gives them. */
  *[Symbol.iterator](): Generator<Float32Array, undefined> {
    for (let index = 0; index < this.rows; index++) yield this.row(index)
  }

  /**
   * The vector of text `index`: a view into `data`, not a copy.
   *
   * @throws GabionError `INVALID_ARGUMENT` beyond the last row
   */
  row(index: number): Float32Array {
    checkInteger('index', index, 0, this.rows - 1)
    return this.data.subarray(index * this.dimensions, (index + 1) * this.dimensions)
  }

  /**
   * The projected vector of text `index`: a view into `projected`.
   *
   * @throws GabionError `INVALID_ARGUMENT` beyond the last row, or when the batch was made without a projection
   */
  projectedRow(index: number): Float32Array {
    if (this.projected === null)
      throw invalidArgument('projectedRow() of a batch', 'called on a batch that was made with a projection', null)
    checkInteger('index', index, 0, this.rows - 1)
    return this.projected.subarray(index * this.components, (index + 1) * this.components)
  }

  /** Whether text `index` was longer than the model's maximum and was cut. */
  truncated(index: number): boolean {
    checkInteger('index', index, 0, this.rows - 1)
    return (this.totalTokenCounts[index] ?? 0) > (this.tokenCounts[index] ?? 0)
  }
}
