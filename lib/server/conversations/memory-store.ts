// Keeps conversations in this process: bounded by bytes and by the time since their last turn.

import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { ConversationBrief, ConversationRecord } from './record.js'
import { changeOf, type ConversationChange, type ConversationStore, type Kept } from './store.js'

/** Bounds of a {@link MemoryStore}. */
export interface MemoryStoreOptions {
  /** Bytes of all records; the least recently used go first. */
  readonly maxBytes: number
  /** Milliseconds after its last turn at which a conversation is forgotten. */
  readonly ttlMs: number
}

interface Entry {
  /** As text, so that its size is known and nobody can change it. */
  readonly json: string
  readonly revision: string
  readonly brief: ConversationBrief
}

// The entry, its brief and its place in the map, rounded up.
const ENTRY_BYTES = 1024

/** Conversations of one process. */
export class MemoryStore implements ConversationStore {
  readonly kind = 'memory'
  readonly #entries: LRUCache<string, Entry>
  readonly #listeners: ((change: ConversationChange) => void)[] = []

  constructor({ maxBytes, ttlMs }: MemoryStoreOptions) {
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      ttl: ttlMs,
      sizeCalculation: ({ json }, id) => 2 * (json.length + id.length) + ENTRY_BYTES,
    })
  }

  load(id: string): Promise<Kept | null> {
    const entry = this.#entries.get(id)
    return Promise.resolve(entry === undefined ? null : { record: JSON.parse(entry.json) as ConversationRecord, revision: entry.revision })
  }

  save(id: string, record: ConversationRecord, revision: string | null): Promise<boolean> {
    if ((this.#entries.peek(id)?.revision ?? null) !== revision) return Promise.resolve(false)
    this.#entries.set(id, { json: JSON.stringify(record), revision: randomUUID(), brief: record.brief })
    this.#tell(changeOf(record))
    return Promise.resolve(true)
  }

  delete(id: string): Promise<boolean> {
    const there = this.#entries.delete(id)
    if (there) this.#tell({ kind: 'deleted', conversation: id })
    return Promise.resolve(there)
  }

  list(limit: number): Promise<ConversationBrief[]> {
    const briefs: ConversationBrief[] = []
    for (const [, { brief }] of this.#entries.entries()) {
      if (briefs.push(brief) >= limit) break
    }
    return Promise.resolve(briefs)
  }

  onChange(listener: (change: ConversationChange) => void): void {
    this.#listeners.push(listener)
  }

  check(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.#entries.clear()
    return Promise.resolve()
  }

  #tell(change: ConversationChange): void {
    for (const listener of this.#listeners) listener(change)
  }
}
