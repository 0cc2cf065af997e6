// Texts of any length as the vectors of their windows: the result, and the rule by which texts are cut.
// Knows nothing of what the windows are used for.

import { onAbort } from '../abort.js'
import type { NativeModel, NativeProjection, NativeWindowsResult } from '../native.js'
import { checkInteger } from '../options.js'
import type { EmbedTimings } from './embedding-batch.js'
import { abortedError, runNativeWindows } from './native-run.js'

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
  /** Its projected point; null without a projection. A view. */
  readonly point: Float32Array | null
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
  readonly #windows: readonly (readonly TextWindow[])[]

  constructor(windows: readonly (readonly TextWindow[])[], timings: EmbedTimings) {
    this.rows = windows.length
    this.timings = timings
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

/** What a run over windows needs. */
export interface WindowRunOptions {
  model: NativeModel
  texts: readonly string[]
  rule: WindowRule
  dimensions: number
  components: number
  projection: NativeProjection | null
  signal: AbortSignal | undefined
  onProgress: ((progress: { done: number; total: number }) => void) | undefined
}

// Texts a native call; see batch-run.ts.
const PART_SIZE = 128
const PARTS_UNDER_WAY = 3

/** Embeds the windows of all texts, in parts; the first failure fails the whole. */
export async function runWindows(options: WindowRunOptions): Promise<WindowBatch> {
  const { texts, signal } = options
  const begin = performance.now()
  const windows: (readonly TextWindow[])[] = Array.from({ length: texts.length }, () => [])
  const timings: EmbedTimings = { tokenizeMs: 0, queueMs: 0, encodeMs: 0, projectMs: 0, totalMs: 0 }
  const stop = new AbortController()
  const endWait = signal && onAbort(signal, () => stop.abort(signal.reason))
  let next = 0
  let done = 0
  const worker = async (): Promise<void> => {
    while (next < texts.length) {
      const first = next
      next = Math.min(first + PART_SIZE, texts.length)
      const part = texts.slice(first, next)
      const result = await runNativeWindows(options.model, part, options.projection, options.rule, stop.signal)
      for (const [index, list] of splitByText(result, options).entries()) windows[first + index] = list
      addTimes(timings, result.times)
      done += part.length
      options.onProgress?.({ done, total: texts.length })
    }
  }
  try {
    await Promise.all(Array.from({ length: PARTS_UNDER_WAY }, worker))
  } catch (error) {
    stop.abort()
    throw signal?.aborted === true ? abortedError(signal) : error
  } finally {
    endWait?.()
  }
  timings.totalMs = performance.now() - begin
  return new WindowBatch(windows, timings)
}

function splitByText(result: NativeWindowsResult, { dimensions, components }: WindowRunOptions): TextWindow[][] {
  let window = 0
  return Array.from(result.counts, (count) =>
    Array.from({ length: count }, () => {
      const index = window++
      return {
        vector: result.vectors.subarray(index * dimensions, (index + 1) * dimensions),
        point: components === 0 ? null : result.projected.subarray(index * components, (index + 1) * components),
        start: result.spans[2 * index] ?? 0,
        end: result.spans[2 * index + 1] ?? 0,
      }
    }),
  )
}

function addTimes(timings: EmbedTimings, times: Float64Array): void {
  const [tokenize = 0, queue = 0, encode = 0, project = 0] = times
  timings.tokenizeMs += tokenize
  timings.queueMs = Math.max(timings.queueMs, queue)
  timings.encodeMs += encode
  timings.projectMs += project
}
