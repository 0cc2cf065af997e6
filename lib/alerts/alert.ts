// Owns what an alert is outside the process: its id, what it says, and what it says only when asked. Knows no destination.

import type { GuardSignals, Level } from '../detection/verdict.js'

/** What happened to the reply of an exchange with an alert: it reached the user, was cut, was held back, or its conversation ended. */
export const REPLY_OUTCOMES = ['passed', 'cut', 'held', 'ended'] as const
/** See {@link REPLY_OUTCOMES}. */
export type ReplyOutcome = (typeof REPLY_OUTCOMES)[number]

/** Who an exchange belongs to, and what happens to its reply if it raises an alert. */
export interface AlertOrigin {
  /** Whose conversation it is, as a hash or a name of the caller's; null where nobody said. */
  readonly caller?: string | null
  readonly tenant?: string | null
  /** Null or absent where gabion does not stand between the model and the user. */
  readonly onAlert?: ReplyOutcome | null
}

/** An alert. Its fields but `details` carry no words of the conversation, of its rules or of a policy's statement. */
export interface Alert {
  /** Unique; the same for every delivery of this alert. */
  readonly id: string
  readonly conversation: string
  /** Counts exchanges from 1. */
  readonly exchange: number
  readonly exchangeId: string | null
  /** When it was raised, ISO 8601. */
  readonly at: string
  readonly level: Level
  readonly likelihood: number
  readonly reasons: readonly string[]
  /** Names of the policies that the exchange breaks. */
  readonly policies: readonly string[]
  /** The guard's probabilities; null for other detectors. */
  readonly signals: GuardSignals | null
  /** The guard's strength from 1 to 0; null for other detectors. */
  readonly strength: number | null
  readonly caller: string | null
  readonly tenant: string | null
  readonly reply: ReplyOutcome | null
  /** Words, only where the operator asks for them. */
  readonly details: AlertDetails | null
}

/** The words behind an alert. */
export interface AlertDetails {
  readonly reasons: readonly string[]
  /** The rule that is likely broken. */
  readonly rule: string | null
  /** The sentence of the reply that carries it. */
  readonly sentence: string | null
}
