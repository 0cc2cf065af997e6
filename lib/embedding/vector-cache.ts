// Vectors of texts seen before, bounded by bytes. Knows texts and vectors, not how vectors are made.

import { LRUCache } from 'lru-cache'

/** One text's vector, its projected point if it was asked for, and its token counts. */
export interface CachedVector {
  vector: Float32Array
  point: Float32Array | null
  kept: number
  total: number
}

/** What the cache has done and holds. */
export interface CacheStats {
  /** Lookups that needed no run of the model. */
  hits: number
  misses: number
  entries: number
  /** Bytes accounted for: keys, vectors and an allowance a record. */
  bytes: number
  maxBytes: number
}

// Headers of a record, its arrays and its place in the map, by measurement of the heap (rounded up).
const RECORD_BYTES = 400

/** A least-recently-used cache of vectors. */
export class VectorCache {
  readonly #records: LRUCache<string, CachedVector> | null
  readonly #maxBytes: number
  // Keys that are being computed; each promise ends when its run has ended, well or not, and never rejects.
  readonly #underWay = new Map<string, Promise<void>>()
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
            sizeCalculation: (record, key) =>
              RECORD_BYTES + 2 * key.length + record.vector.byteLength + (record.point === null ? 0 : record.point.byteLength),
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
  find(key: string): CachedVector | undefined {
    const record = this.#records?.get(key)
    if (record !== undefined) this.#hits++
    return record
  }

  /** The run that is computing this key, if one is. Look again when it has ended; it may have failed. */
  underWay(key: string): Promise<void> | undefined {
    return this.#underWay.get(key)
  }

  /** Counts misses and announces that `run` computes these keys. */
  announce(keys: readonly string[], run: Promise<unknown>): void {
    this.#misses += keys.length
    if (this.#records === null) return
    const ended: Promise<void> = run.then(
      () => undefined,
      () => undefined,
    )
    for (const key of keys) this.#underWay.set(key, ended)
    void ended.then(() => {
      for (const key of keys) if (this.#underWay.get(key) === ended) this.#underWay.delete(key)
    })
  }

  /** Counts a miss of a call that cannot be joined. */
  countMiss(): void {
    this.#misses++
  }

  /** Keeps a record; its arrays must belong to the cache alone. */
  keep(key: string, record: CachedVector): void {
    this.#records?.set(key, record)
  }

  clear(): void {
    this.#records?.clear()
  }
}
