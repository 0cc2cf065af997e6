// Owns what a client gets of the replies that are judged. Types, and the common case.

import type { ReplyOutcome } from '../../alerts/alert.js'
import type { GabionErrorCode } from '../../errors.js'

/** What the client gets of the replies that are judged. */
export interface Delivery {
  /** Of a reply that raises an alert. */
  readonly outcome: ReplyOutcome
  /** What it gets in place of a blocked reply with this text; null if every reply has been delivered. */
  readonly replacementOf: ((text: string) => string) | null
  /** Why the replies were cut. */
  readonly cutFor?: readonly string[]
  /** Why they could not be judged while they were written. */
  readonly refusedFor?: GabionErrorCode
}

/** Replies that the client has got. */
export const DELIVERED: Delivery = { outcome: 'passed', replacementOf: null }
