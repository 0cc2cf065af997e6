// One embedBatch call: looks texts up, runs the missing ones in parts, and fills one array. Owns no state after it ends.

import { onAbort } from '../abort.js'
import type { NativeModel, NativeProjection, NativeResult } from '../native.js'
import { EmbeddingBatch, type EmbedTimings } from './embedding-batch.js'
import { abortedError, runNative, unlessAborted } from './native-run.js'
import type { CachedVector, VectorCache } from './vector-cache.js'

// Texts a native call: small enough that handing them over and taking results in stays far below a millisecond of the
// event loop, large enough that its fixed cost does not count.
const PART_SIZE = 128
// Parts under way at once, so that encoder threads never wait for the event loop.
const PARTS_UNDER_WAY = 3

/** What a batch run needs. */
export interface BatchRunOptions {
  model: NativeModel
  cache: VectorCache
  texts: readonly string[]
  keyOf: (text: string) => string
  dimensions: number
  components: number
  projection: NativeProjection | null
  signal: AbortSignal | undefined
  onProgress: ((progress: { done: number; total: number }) => void) | undefined
}

export class BatchRun {
  readonly #options: BatchRunOptions
  readonly #vectors: Float32Array
  readonly #projected: Float32Array | null
  readonly #kept: Int32Array
  readonly #total: Int32Array
  readonly #timings: EmbedTimings = { tokenizeMs: 0, queueMs: 0, encodeMs: 0, projectMs: 0, totalMs: 0 }
  #done = 0
  #cached = 0

  constructor(options: BatchRunOptions) {
    this.#options = options
    const rows = options.texts.length
    this.#vectors = new Float32Array(rows * options.dimensions)
    this.#projected = options.projection === null ? null : new Float32Array(rows * options.components)
    this.#kept = new Int32Array(rows)
    this.#total = new Int32Array(rows)
  }

  /** Runs to the end. Rejects with the first failure. */
  async finish(): Promise<EmbeddingBatch> {
    const start = performance.now()
    const { texts, signal, dimensions, components } = this.#options
    const rowsOf = rowsByText(texts)
    const { missing, others } = this.#lookUp(rowsOf.keys(), rowsOf)
    if (others.size > 0 || missing.length > PART_SIZE) await this.#runMany(missing, others, rowsOf)
    // One part needs nothing that would stop its others: a request of one text is not to cost more than its run.
    else if (missing.length > 0) await this.#runPart(missing, rowsOf, signal)
    if (signal?.aborted === true) throw abortedError(signal)
    this.#timings.totalMs = performance.now() - start
    return new EmbeddingBatch({
      rows: texts.length,
      dimensions,
      data: this.#vectors,
      tokenCounts: this.#total,
      keptCounts: this.#kept,
      projected: this.#projected,
      components,
      timings: this.#timings,
      cached: this.#cached,
    })
  }

  /** Takes what the cache has; the rest is either missing or being run by others, whose ends are returned. */
  #lookUp(texts: Iterable<string>, rowsOf: Map<string, number[]>): { missing: string[]; others: Map<string, Promise<void>> } {
    const { cache, keyOf } = this.#options
    const missing: string[] = []
    const others = new Map<string, Promise<void>>()
    for (const text of texts) {
      const key = keyOf(text)
      const record = cache.find(key)
      const other = record === undefined ? cache.underWay(key) : undefined
      if (record !== undefined) {
        const rows = rowsOf.get(text) ?? []
        this.#cached += rows.length
        this.#fill(rows, record)
      } else if (other !== undefined) others.set(text, other)
      else missing.push(text)
    }
    this.#report()
    return { missing, others }
  }

  /** Runs what is missing, waits for what others run, and looks again, until nothing is left. */
  async #runMany(missing: readonly string[], others: Map<string, Promise<void>>, rowsOf: Map<string, number[]>): Promise<void> {
    const { signal } = this.#options
    // Stops this batch's other parts when one of them fails or the caller aborts.
    const stop = new AbortController()
    const endWait = signal && onAbort(signal, () => stop.abort(signal.reason))
    try {
      for (;;) {
        await this.#runParts(missing, rowsOf, stop.signal)
        await unlessAborted(Promise.all(others.values()), stop.signal)
        if (others.size === 0) return
        ;({ missing, others } = this.#lookUp(others.keys(), rowsOf))
      }
    } catch (error) {
      stop.abort()
      throw error
    } finally {
      endWait?.()
    }
  }

  async #runParts(texts: readonly string[], rowsOf: Map<string, number[]>, stop: AbortSignal): Promise<void> {
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < texts.length) {
        const part = texts.slice(next, next + PART_SIZE)
        next += PART_SIZE
        await this.#runPart(part, rowsOf, stop)
      }
    }
    await Promise.all(Array.from({ length: PARTS_UNDER_WAY }, worker))
  }

  async #runPart(part: readonly string[], rowsOf: Map<string, number[]>, stop: AbortSignal | undefined): Promise<void> {
    const { model, cache, keyOf, projection, dimensions, components } = this.#options
    const keys = part.map(keyOf)
    const run = runNative(model, part, projection, stop).then((result) => {
      for (const [index, text] of part.entries()) {
        const record = recordOf(result, index, dimensions, components)
        this.#fill(rowsOf.get(text) ?? [], record)
        if (cache.enabled) cache.keep(keys[index] as string, copyOf(record))
      }
      this.#addTimes(result.times)
    })
    cache.announce(keys, run)
    await run
    this.#report()
  }

  #fill(rows: readonly number[], record: CachedVector): void {
    const { dimensions, components } = this.#options
    for (const row of rows) {
      this.#vectors.set(record.vector, row * dimensions)
      if (record.point !== null) this.#projected?.set(record.point, row * components)
      this.#kept[row] = record.kept
      this.#total[row] = record.total
    }
    this.#done += rows.length
  }

  #addTimes(times: Float64Array): void {
    const [tokenize = 0, queue = 0, encode = 0, project = 0] = times
    this.#timings.tokenizeMs += tokenize
    this.#timings.queueMs = Math.max(this.#timings.queueMs, queue)
    this.#timings.encodeMs += encode
    this.#timings.projectMs += project
  }

  #report(): void {
    this.#options.onProgress?.({ done: this.#done, total: this.#options.texts.length })
  }
}

function rowsByText(texts: readonly string[]): Map<string, number[]> {
  const rowsOf = new Map<string, number[]>()
  for (const [row, text] of texts.entries()) {
    const rows = rowsOf.get(text)
    if (rows === undefined) rowsOf.set(text, [row])
    else rows.push(row)
  }
  return rowsOf
}

function recordOf(result: NativeResult, index: number, dimensions: number, components: number): CachedVector {
  return {
    vector: result.vectors.subarray(index * dimensions, (index + 1) * dimensions),
    point: result.projected === null ? null : result.projected.subarray(index * components, (index + 1) * components),
    kept: result.tokens[2 * index] ?? 0,
    total: result.tokens[2 * index + 1] ?? 0,
  }
}

function copyOf(record: CachedVector): CachedVector {
  return { ...record, vector: record.vector.slice(), point: record.point?.slice() ?? null }
}
