// Stores conversations in this process, bounded by bytes and by the time since their last exchange.

import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { changeOf, type ConversationRecord } from './record.js'
import type { ConversationChange, ConversationStatus } from './status.js'
import type { ConversationStore, StoredRecord } from './store.js'

/** Bounds of a {@link MemoryStore}. */
export interface MemoryStoreOptions {
  /** Estimated bytes of all records; the least recently used are evicted first. */
  readonly maxBytes: number
  /** Milliseconds after its last exchange at which a conversation is deleted. */
  readonly ttlMs: number
}

// The record's own objects and its map entry, rounded up.
const RECORD_BYTES = 1024

// Some 30 MB, one id per alert.
const MAX_ALERTS = 100_000

/** Conversations of one process. Records are stored without a copy: they are immutable. */
export class MemoryStore implements ConversationStore {
  readonly kind = 'memory'
  readonly #records: LRUCache<string, StoredRecord>
  // Most parts of a record are shared with its predecessor, so each is measured once.
  readonly #sizes = new WeakMap<object, number>()
  readonly #alerts: LRUCache<string, string>
  readonly #listeners: ((change: ConversationChange) => void)[] = []

  constructor({ maxBytes, ttlMs }: MemoryStoreOptions) {
    this.#records = new LRUCache({
      maxSize: maxBytes,
      ttl: ttlMs,
      sizeCalculation: ({ record }, id) => RECORD_BYTES + 2 * id.length + this.#sizeOf(record),
    })
    this.#alerts = new LRUCache({ max: MAX_ALERTS, ttl: ttlMs })
  }

  saveAlert(promptId: string, conversation: string): Promise<void> {
    this.#alerts.set(promptId, conversation)
    return Promise.resolve()
  }

  findAlerts(promptIds: readonly string[]): Promise<string[]> {
    return Promise.resolve([...new Set(promptIds.flatMap((id) => this.#alerts.get(id) ?? []))])
  }

  load(id: string): Promise<StoredRecord | null> {
    return Promise.resolve(this.#records.get(id) ?? null)
  }

  save(id: string, record: ConversationRecord, revision: string | null): Promise<boolean> {
    if ((this.#records.peek(id)?.revision ?? null) !== revision) return Promise.resolve(false)
    this.#records.set(id, { record, revision: randomUUID() })
    this.#notify(changeOf(record))
    return Promise.resolve(true)
  }

  delete(id: string): Promise<boolean> {
    const existed = this.#records.delete(id)
    if (existed) this.#notify({ kind: 'deleted', conversation: id })
    return Promise.resolve(existed)
  }

  list(limit: number): Promise<ConversationStatus[]> {
    const statuses: ConversationStatus[] = []
    for (const { record } of this.#records.values()) {
      if (statuses.push(record.status) >= limit) break
    }
    return Promise.resolve(statuses)
  }

  onChange(listener: (change: ConversationChange) => void): void {
    this.#listeners.push(listener)
  }

  check(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.#records.clear()
    this.#alerts.clear()
    return Promise.resolve()
  }

  #sizeOf({ saved, verdicts }: ConversationRecord): number {
    return [saved, ...verdicts].reduce((sum, part) => {
      const size = this.#sizes.get(part) ?? bytesOf(part)
      this.#sizes.set(part, size)
      return sum + size
    }, 0)
  }

  #notify(change: ConversationChange): void {
    for (const listener of this.#listeners) listener(change)
  }
}

/** Estimated bytes of a plain JSON value: two per character of its strings, and a slot per value. */
function bytesOf(value: unknown): number {
  if (typeof value === 'string') return 16 + 2 * value.length
  if (typeof value !== 'object' || value === null) return 16
  return Object.values(value).reduce<number>((sum, part) => sum + 16 + bytesOf(part), 32)
}
