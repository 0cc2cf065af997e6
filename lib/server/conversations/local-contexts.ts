// Owns the words of conversations where they may not reach the store: in this process only, for the exchanges that follow soon.

import { LRUCache } from 'lru-cache'
import type { ConversationContext } from '../../detection/detector.js'

// At some ten kilobytes each, a hundred megabytes at most.
const MAX_CONTEXTS = 10_000

/** Contexts by conversation. An exchange that another instance judges is judged without its history. */
export class LocalContexts {
  readonly #contexts: LRUCache<string, { exchanges: number; context: ConversationContext }>

  constructor(ttlMs: number) {
    this.#contexts = new LRUCache({ max: MAX_CONTEXTS, ttl: ttlMs })
  }

  /** The context after this number of exchanges; undefined where it is not known here. */
  read(conversation: string, exchanges: number): ConversationContext | undefined {
    const found = this.#contexts.get(conversation)
    return found?.exchanges === exchanges ? found.context : undefined
  }

  write(conversation: string, exchanges: number, context: ConversationContext): void {
    this.#contexts.set(conversation, { exchanges, context })
  }

  delete(conversation: string): void {
    this.#contexts.delete(conversation)
  }
}
