// Texts of any length as the vectors of their windows: the result, and the rule by which texts are cut.
// Knows nothing of what the windows are used for.

import { checkInteger } from '../options.js'
import type { EmbedTimings } from './embedding-batch.js'
import type { TextRecord } from './vector-cache.js'

/** How a text is cut: windows of at most `size` tokens, special tokens not counted, one every `stride` tokens. */
export interface WindowRule {
  readonly size: number
  /** From 1 to `size`: windows overlap or touch. */
  readonly stride: number
}

/** One window of a text. */
export interface TextWindow {
  /** Its unit vector; a view. */
  readonly vector: Float32Array
  /** Its projected vector; null without a projection. A view. */
  readonly projected: Float32Array | null
  /** Where it starts in the text, as an index of the string. */
  readonly start: number
  /** The index behind its last character. */
  readonly end: number
}

/** The result of `embedWindows`. */
export class WindowBatch {
  /** Number of texts. */
  readonly rows: number
  readonly timings: Readonly<EmbedTimings>
  /** Texts that came from the cache. */
  readonly cached: number
  readonly #windows: readonly (readonly TextWindow[])[]

  constructor(windows: readonly (readonly TextWindow[])[], { timings, cached }: { timings: EmbedTimings; cached: number }) {
    this.rows = windows.length
    this.timings = timings
    this.cached = cached
    this.#windows = windows
  }

  /** Number of texts, as of an array. */
  get length(): number {
    return this.rows
  }

  /** The windows of each text, in the order of the texts. */
  *[Symbol.iterator](): Generator<readonly TextWindow[], undefined> {
    yield* this.#windows
  }

  /**
   * The windows of text `index` in reading order: none for a text without tokens, one for a text that fits.
   *
   * @throws GabionError `INVALID_ARGUMENT` beyond the last row
   */
  windows(index: number): readonly TextWindow[] {
    return this.#windows[checkInteger('index', index, 0, this.rows - 1)]!
  }
}

/** The windows of one text; their arrays are copies, of this realm and not the addon's. */
export function windowsOf(record: TextRecord): readonly TextWindow[] {
  const spans = record.spans ?? new Int32Array()
  const count = spans.length / 2
  const vectors = new Float32Array(record.vectors)
  const projected = record.projected === null ? null : new Float32Array(record.projected)
  const rowOf = (values: Float32Array, index: number): Float32Array =>
    values.subarray((index * values.length) / count, ((index + 1) * values.length) / count)
  return Array.from({ length: count }, (_, index) => ({
    vector: rowOf(vectors, index),
    projected: projected === null ? null : rowOf(projected, index),
    start: spans[2 * index] ?? 0,
    end: spans[2 * index + 1] ?? 0,
  }))
}
