// Publishes changes of conversations to all watchers, and buffers the last ones for watchers that reconnect.

import { GabionError } from '../errors.js'
import type { ConversationChange } from './conversations/status.js'

/** A change with its sequence number in this instance. */
export interface NumberedChange {
  readonly id: number
  readonly change: ConversationChange
}

/** Called for each change; must not throw. */
export type Watcher = (numbered: NumberedChange) => void

// Enough that a dashboard that reconnects at once misses no change.
const REPLAY_LIMIT = 512

/** The changes of this instance's store, numbered in order of arrival. */
export class Events {
  readonly #maxWatchers: number
  readonly #watchers = new Set<{ conversation: string | null; watcher: Watcher; ended: () => void }>()
  readonly #recent: NumberedChange[] = []
  #last = 0
  #closed = false

  constructor(maxWatchers: number) {
    this.#maxWatchers = maxWatchers
  }

  /** Current number of watchers. */
  get size(): number {
    return this.#watchers.size
  }

  publish(change: ConversationChange): void {
    const numbered = { id: ++this.#last, change }
    this.#recent.push(numbered)
    if (this.#recent.length > REPLAY_LIMIT) this.#recent.shift()
    for (const { conversation, watcher } of this.#watchers) {
      if (conversation === null || conversation === change.conversation) watcher(numbered)
    }
  }

  /**
   * Watches one conversation, or all (null), from now on or from the event after `after`.
   *
   * @param ended - called when the service stops
   * @returns a function that ends the watch
   * @throws GabionError `OVERLOADED` with too many watchers, `UNAVAILABLE` when the service is stopping
   */
  watch(conversation: string | null, after: number | null, watcher: Watcher, ended: () => void): () => void {
    if (this.#closed) throw new GabionError('UNAVAILABLE', 'the service is stopping')
    if (this.#watchers.size >= this.#maxWatchers) throw new GabionError('OVERLOADED', `${this.#maxWatchers} event streams are already open`)
    if (after !== null) {
      for (const numbered of this.#recent) {
        const { id, change } = numbered
        if (id > after && (conversation === null || conversation === change.conversation)) watcher(numbered)
      }
    }
    const entry = { conversation, watcher, ended }
    this.#watchers.add(entry)
    return () => this.#watchers.delete(entry)
  }

  /** Ends every watch. */
  close(): void {
    this.#closed = true
    for (const { ended } of this.#watchers) ended()
    this.#watchers.clear()
  }
}
