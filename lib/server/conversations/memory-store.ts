// Stores conversations in this process, bounded by bytes and by the time since their last exchange.

import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Alert } from '../../alerts/alert.js'
import { MemoryAlerts } from './memory-alerts.js'
import { changeOf, type ConversationRecord, type Owner } from './record.js'
import type { Acknowledgement, AlertPage, ConversationChange, ConversationStatus } from './status.js'
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

// Some 30 MB.
const MAX_NOTES = 100_000

/** Conversations of one process. Records are stored without a copy: they are immutable. */
export class MemoryStore implements ConversationStore {
  readonly kind = 'memory'
  readonly #records: LRUCache<string, StoredRecord>
  // Most parts of a record are shared with its predecessor, so each is measured once.
  readonly #sizes = new WeakMap<object, number>()
  readonly #notes: LRUCache<string, string>
  readonly #raised = new MemoryAlerts()
  readonly #listeners: ((change: ConversationChange) => void)[] = []

  constructor({ maxBytes, ttlMs }: MemoryStoreOptions) {
    this.#records = new LRUCache({
      maxSize: maxBytes,
      ttl: ttlMs,
      sizeCalculation: ({ record }, id) => RECORD_BYTES + 2 * id.length + this.#sizeOf(record),
      dispose: (_, id, reason) => {
        if (reason !== 'set') this.#raised.forget(id)
      },
    })
    this.#notes = new LRUCache({ max: MAX_NOTES, ttl: ttlMs })
  }

  saveNote(key: string, value: string): Promise<void> {
    this.#notes.set(key, value)
    return Promise.resolve()
  }

  findNotes(keys: readonly string[]): Promise<(string | null)[]> {
    return Promise.resolve(keys.map((key) => this.#notes.get(key) ?? null))
  }

  load(id: string): Promise<StoredRecord | null> {
    return Promise.resolve(this.#records.get(id) ?? null)
  }

  save(id: string, record: ConversationRecord, revision: string | null, alert: Alert | null): Promise<boolean> {
    if ((this.#records.peek(id)?.revision ?? null) !== revision) return Promise.resolve(false)
    this.#records.set(id, { record, revision: randomUUID() })
    if (alert !== null) this.#raised.add(alert)
    this.#notify(changeOf(record, alert))
    return Promise.resolve(true)
  }

  alerts(query: { limit: number; offset: number; openOnly: boolean }): Promise<AlertPage> {
    this.#records.purgeStale()
    return Promise.resolve(this.#raised.page(query))
  }

  acknowledge(conversation: string, exchange: number, acknowledgement: Acknowledgement): Promise<Acknowledgement | null> {
    const outcome = this.#raised.acknowledge(conversation, exchange, acknowledgement)
    if (outcome?.first === true) this.#notify({ kind: 'acknowledged', conversation, exchange, acknowledged: acknowledgement })
    return Promise.resolve(outcome?.inForce ?? null)
  }

  owned(owner: Owner, name: string): Promise<string[]> {
    const found = [...this.#records.entries()].filter(([, { record }]) => record.status[owner] === name)
    return Promise.resolve(found.map(([id]) => id))
  }

  delete(id: string): Promise<boolean> {
    const existed = this.#records.delete(id)
    if (existed) this.#notify({ kind: 'deleted', conversation: id })
    return Promise.resolve(existed)
  }

  purge(): Promise<void> {
    return Promise.resolve()
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
    this.#notes.clear()
    this.#raised.clear()
    return Promise.resolve()
  }

  #sizeOf({ saved, verdicts, checkpoints = [] }: ConversationRecord): number {
    return [saved, ...verdicts, ...checkpoints].reduce((sum, part) => {
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
