// Spreads what happens to conversations to everybody who watches, and remembers the last of it for those who come back.

import { GabionError } from '../errors.js'
import type { ConversationChange } from './conversations/store.js'

/** A change with its place in this instance's order. */
export interface NumberedChange {
  readonly id: number
  readonly change: ConversationChange
}

/** Called for each change; must not throw. */
export type Watcher = (numbered: NumberedChange) => void

// A dashboard that reconnects within a moment misses nothing.
const REPLAY_LIMIT = 512

/** The changes of this instance's store, numbered as they come. */
export class Events {
  readonly #most: number
  readonly #watchers = new Set<{ conversation: string | null; watcher: Watcher; ended: () => void }>()
  readonly #recent: NumberedChange[] = []
  #last = 0
  #closed = false

  /** @param most - watchers at one time */
  constructor(most: number) {
    this.#most = most
  }

  /** Watchers now. */
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
   * Watches one conversation, or all (null), from now on or from behind event `after`.
   *
   * @param ended - called when the service stops
   * @returns ends the watch
   * @throws GabionError `OVERLOADED` when too many watch, `UNAVAILABLE` when the service stops
   */
  watch(conversation: string | null, after: number | null, watcher: Watcher, ended: () => void): () => void {
    if (this.#closed) throw new GabionError('UNAVAILABLE', 'the service is stopping')
    if (this.#watchers.size >= this.#most) throw new GabionError('OVERLOADED', `${this.#most} streams of events are open already`)
    if (after !== null) {
      for (const numbered of this.#recent) {
        const { id, change } = numbered
        if (id > after && (conversation === null || conversation === change.conversation)) watcher(numbered)
      }
    }
    const one = { conversation, watcher, ended }
    this.#watchers.add(one)
    return () => this.#watchers.delete(one)
  }

  /** Ends every watch. */
  close(): void {
    this.#closed = true
    for (const { ended } of this.#watchers) ended()
    this.#watchers.clear()
  }
}
