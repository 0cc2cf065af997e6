// Owns the one way of texts through cache and native code, for embed, embedBatch and embedWindows: looks texts up, runs the missing ones
// in parts, joins those that other calls run, and hands out a record per text. Keeps no state between calls.

import { onAbort } from '../abort.js'
import { abortedError, runRequest, type NativeModel, type NativeProjection, type NativeResult, type NativeWindowRule } from '../native.js'
import type { EmbedTimings } from './embedding-batch.js'
import type { TextRecord, VectorCache } from './vector-cache.js'
import { cutRecord, type VectorCut } from './vector-cut.js'

// Texts per native call: small enough that passing them and taking results stays far below a millisecond of the event loop, large
// enough that its fixed cost does not count.
const PART_SIZE = 128
// So many that encoder threads never wait for the event loop.
const MAX_PARTS_IN_FLIGHT = 3

/** What a call asks of all its texts. */
export interface EmbedCall {
  model: NativeModel
  cache: VectorCache
  /** Null: one window per text, cut at the model's limit. */
  rule: NativeWindowRule | null
  /** Applied in native code; null also where {@link EmbedCall.cut} has one. */
  projection: NativeProjection | null
  /** Applied to what the cache or native code gives; null where that is what the caller gets. */
  cut: VectorCut | null
  /** Leading tokens of each text, a prompt's, that are not pooled. */
  skippedTokens: number
  /** Of what a record depends on besides its text. */
  keyPrefix: string
  signal: AbortSignal | undefined
  onProgress: ((progress: { done: number; total: number }) => void) | undefined
}

/**
 * Receives each distinct text's record, with the indexes at which the text occurs. The record's arrays may be the cache's: they must be
 * copied if they leave the library, and never changed.
 */
export type TakeRecord = (indexes: readonly number[], record: TextRecord) => void

/**
 * Embeds texts. Equal texts run once; texts that another call runs at the moment are awaited.
 *
 * @returns where the time went, and how many texts came from the cache
 * @throws GabionError what the addon reports, or `ABORTED`; always as a rejection, with the first failure
 */
export async function embedTexts(
  texts: readonly string[],
  call: EmbedCall,
  take: TakeRecord,
): Promise<{ timings: EmbedTimings; cached: number }> {
  return await new TextsRun(texts, call, take).finish()
}

class TextsRun {
  readonly #texts: readonly string[]
  readonly #call: EmbedCall
  readonly #take: TakeRecord
  readonly #indexesOf: ReadonlyMap<string, readonly number[]>
  readonly #timings: EmbedTimings = { tokenizeMs: 0, queueMs: 0, encodeMs: 0, projectMs: 0, totalMs: 0 }
  #done = 0
  #cached = 0

  constructor(texts: readonly string[], call: EmbedCall, take: TakeRecord) {
    this.#texts = texts
    this.#call = call
    this.#take = take
    this.#indexesOf = indexesByText(texts)
  }

  async finish(): Promise<{ timings: EmbedTimings; cached: number }> {
    const start = performance.now()
    const { signal } = this.#call
    const { missing, pending } = this.#lookUp(this.#indexesOf.keys())
    if (pending.size > 0 || missing.length > PART_SIZE) await this.#runMany(missing, pending)
    // A single part has no others to stop: a call of one text is not to cost more than its request.
    else if (missing.length > 0) await this.#runPart(missing, signal)
    if (signal?.aborted === true) throw abortedError(signal)
    this.#timings.totalMs = performance.now() - start
    return { timings: this.#timings, cached: this.#cached }
  }

  /** Takes cached records; the other texts are either missing or pending in other calls. */
  #lookUp(texts: Iterable<string>): { missing: string[]; pending: Map<string, Promise<void>> } {
    const { cache } = this.#call
    const missing: string[] = []
    const pending = new Map<string, Promise<void>>()
    for (const text of texts) {
      const key = this.#keyOf(text)
      const record = cache.get(key)
      const other = record === undefined ? cache.pending(key) : undefined
      if (record !== undefined) this.#cached += this.#deliver(text, record)
      else if (other !== undefined) pending.set(text, other)
      else missing.push(text)
    }
    this.#report()
    return { missing, pending }
  }

  /** Runs missing texts, waits for pending ones, and looks these up again, until none is left. */
  async #runMany(missing: readonly string[], pending: ReadonlyMap<string, Promise<void>>): Promise<void> {
    const { signal } = this.#call
    // Stops the other parts of this call when one of them fails or the caller aborts.
    const stop = new AbortController()
    const endWait = signal && onAbort(signal, () => stop.abort(signal.reason))
    try {
      for (;;) {
        await this.#runParts(missing, stop.signal)
        await unlessAborted(Promise.all(pending.values()), stop.signal)
        if (pending.size === 0) return
        ;({ missing, pending } = this.#lookUp(pending.keys()))
      }
    } catch (error) {
      stop.abort()
      throw error
    } finally {
      endWait?.()
    }
  }

  async #runParts(texts: readonly string[], stop: AbortSignal): Promise<void> {
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < texts.length) {
        const part = texts.slice(next, next + PART_SIZE)
        next += PART_SIZE
        await this.#runPart(part, stop)
      }
    }
    await Promise.all(Array.from({ length: MAX_PARTS_IN_FLIGHT }, worker))
  }

  async #runPart(part: readonly string[], stop: AbortSignal | undefined): Promise<void> {
    const { model, cache, rule, projection, skippedTokens } = this.#call
    const keys = cache.enabled ? part.map((text) => this.#keyOf(text)) : []
    const request = runNative(model, part, projection, rule, stop, skippedTokens).then((result) => {
      for (const [index, record] of recordsOf(result, part.length).entries()) {
        this.#deliver(part[index] as string, record)
        // A copy: the record is a view into the whole part.
        if (cache.enabled) cache.set(keys[index] as string, copyOf(record))
      }
      this.#addTimes(result.times)
    })
    cache.registerPending(keys, part.length, request)
    await request
    this.#report()
  }

  /** Returns how many of the call's texts it was. */
  #deliver(text: string, record: TextRecord): number {
    const indexes = this.#indexesOf.get(text) ?? []
    this.#take(indexes, this.#cut(record))
    this.#done += indexes.length
    return indexes.length
  }

  #cut(record: TextRecord): TextRecord {
    const { cut } = this.#call
    if (cut === null) return record
    const start = performance.now()
    const result = cutRecord(record, cut)
    if (cut.projection !== undefined) this.#timings.projectMs += performance.now() - start
    return result
  }

  #keyOf(text: string): string {
    return this.#call.keyPrefix + text
  }

  #addTimes(times: Float64Array): void {
    const [tokenize = 0, queue = 0, encode = 0, project = 0] = times
    this.#timings.tokenizeMs += tokenize
    this.#timings.queueMs = Math.max(this.#timings.queueMs, queue)
    this.#timings.encodeMs += encode
    this.#timings.projectMs += project
  }

  #report(): void {
    this.#call.onProgress?.({ done: this.#done, total: this.#texts.length })
  }
}

function indexesByText(texts: readonly string[]): Map<string, number[]> {
  const indexesOf = new Map<string, number[]>()
  for (const [index, text] of texts.entries()) {
    const indexes = indexesOf.get(text)
    if (indexes === undefined) indexesOf.set(text, [index])
    else indexes.push(index)
  }
  return indexesOf
}

/** Cuts a result into its texts' records, which are views. */
function recordsOf({ vectors, projected, tokenCounts, windowCounts, spans }: NativeResult, texts: number): TextRecord[] {
  const windows = windowCounts?.reduce((sum, count) => sum + count, 0) ?? texts
  const dimensions = windows === 0 ? 0 : vectors.length / windows
  const components = projected === null || windows === 0 ? 0 : projected.length / windows
  let first = 0
  return Array.from({ length: texts }, (_, index) => {
    const end = first + (windowCounts?.[index] ?? 1)
    const record = {
      vectors: vectors.subarray(first * dimensions, end * dimensions),
      projected: projected === null ? null : projected.subarray(first * components, end * components),
      spans: spans === null ? null : spans.subarray(2 * first, 2 * end),
      tokenCount: tokenCounts[2 * index] ?? 0,
      totalTokenCount: tokenCounts[2 * index + 1] ?? 0,
    }
    first = end
    return record
  })
}

function copyOf(record: TextRecord): TextRecord {
  const { vectors, projected, spans } = record
  return { ...record, vectors: vectors.slice(), projected: projected?.slice() ?? null, spans: spans?.slice() ?? null }
}

/** Awaits another call's request; rejects with {@link abortedError} when the signal fires first. */
async function unlessAborted(other: Promise<unknown>, signal: AbortSignal): Promise<void> {
  let endWait: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    endWait = onAbort(signal, () => reject(abortedError(signal)))
  })
  try {
    await Promise.race([other, aborted])
  } finally {
    endWait?.()
  }
}

/** Embeds texts as one request; see {@link runRequest}. */
export function runNative(
  model: NativeModel,
  texts: readonly string[],
  projection: NativeProjection | null,
  rule: NativeWindowRule | null,
  signal: AbortSignal | undefined,
  skippedTokens = 0,
): Promise<NativeResult> {
  return runRequest((addon, done) => addon.embed(model, texts, projection, rule, done, skippedTokens), signal)
}
