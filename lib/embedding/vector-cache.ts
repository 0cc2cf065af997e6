// Vectors of texts seen before, bounded by bytes. Knows texts and vectors, not how vectors are made.

import { LRUCache } from 'lru-cache'

/** One text's vectors: of its windows, or of the one window of a text that was embedded without a rule. */
export interface TextRecord {
  /** Windows × dimensions, row-major. */
  readonly vectors: Float32Array
  /** Windows × components, row-major; null without a projection. */
  readonly projected: Float32Array | null
  /** A pair per window: its first UTF-16 unit in the text, and the one behind its last. Null without a rule. */
  readonly spans: Int32Array | null
  /** Tokens used, special tokens included. */
  readonly tokenCount: number
  /** Tokens of the whole text. */
  readonly totalTokenCount: number
}

/** What the cache has done and holds. */
export interface CacheStats {
  /** Lookups that needed no run of the model. */
  hits: number
  misses: number
  entries: number
  /** Bytes accounted for: keys, vectors and an allowance per record. */
  bytes: number
  maxBytes: number
}

// Headers of a record, its arrays and its entry in the map, measured on the heap (rounded up).
const RECORD_BYTES = 400

/** A least-recently-used cache of vectors. */
export class VectorCache {
  readonly #records: LRUCache<string, TextRecord> | null
  readonly #maxBytes: number
  // Keys that are being computed; each promise ends with its request, failed or not, and never rejects.
  readonly #pending = new Map<string, Promise<void>>()
  #hits = 0
  #misses = 0

  /** A cache of 0 bytes keeps nothing and joins nothing. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
    this.#records =
      maxBytes === 0
        ? null
        : new LRUCache({
            maxSize: maxBytes,
            sizeCalculation: ({ vectors, projected, spans }, key) =>
              RECORD_BYTES + 2 * key.length + vectors.byteLength + (projected?.byteLength ?? 0) + (spans?.byteLength ?? 0),
          })
  }

  /** Whether anything can be kept. */
  get enabled(): boolean {
    return this.#records !== null
  }

  get stats(): CacheStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      entries: this.#records?.size ?? 0,
      bytes: this.#records?.calculatedSize ?? 0,
      maxBytes: this.#maxBytes,
    }
  }

  /** The record of a key, counted as a hit; undefined is not counted yet. The record must not be changed. */
  get(key: string): TextRecord | undefined {
    const record = this.#records?.get(key)
    if (record !== undefined) this.#hits++
    return record
  }

  /** The request that computes this key, if there is one. Look again when it has ended; it may have failed. */
  pending(key: string): Promise<void> | undefined {
    return this.#pending.get(key)
  }

  /** Counts misses, and registers that `request` computes these keys (none where nothing is cached). */
  registerPending(keys: readonly string[], misses: number, request: Promise<unknown>): void {
    this.#misses += misses
    if (this.#records === null) return
    const ended: Promise<void> = request.then(
      () => undefined,
      () => undefined,
    )
    for (const key of keys) this.#pending.set(key, ended)
    void ended.then(() => {
      for (const key of keys) if (this.#pending.get(key) === ended) this.#pending.delete(key)
    })
  }

  /** Counts a miss of a call that cannot be joined. */
  countMiss(): void {
    this.#misses++
  }

  /** Keeps a record; its arrays must belong to the cache alone. */
  set(key: string, record: TextRecord): void {
    this.#records?.set(key, record)
  }

  clear(): void {
    this.#records?.clear()
  }
}
