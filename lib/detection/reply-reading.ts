// Owns the interface of reading a reply while it is being written: windows of it in, whether one of them crosses the alert line out.
// Types only.

import type { ConversationExchange } from './detector.js'

/** A part of a reply. */
export interface ReplyWindow {
  readonly text: string
  /** Index of its first character in the reply. */
  readonly start: number
}

/** A reply so far crosses the alert line. */
export interface LineCrossing {
  readonly likelihood: number
  /** Sentences for a person. */
  readonly reasons: readonly string[]
}

/** Reads one reply while it is being written. What does not change while it grows is computed once. */
export interface ReplyReading {
  /** Reads windows of the reply, in reading order over all calls; null if none crosses the line. */
  read(windows: readonly ReplyWindow[], signal?: AbortSignal): Promise<LineCrossing | null>
}

/** An exchange whose reply is still to come. */
export type BegunExchange = Pick<ConversationExchange, 'user' | 'system' | 'rules' | 'history' | 'embed'>
