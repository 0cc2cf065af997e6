// Owns what a service reports of a conversation to its listeners. Knows no record and no Node: the dashboard's pages import it.

import type { Alert } from '../../alerts/alert.js'
import type { ExchangeVerdict, Level } from '../../detection/verdict.js'

/** Summary of a conversation. */
export interface ConversationStatus {
  readonly conversation: string
  readonly exchanges: number
  readonly level: Level
  readonly likelihood: number
  readonly alerts: number
  readonly firstAlert: number | null
  readonly updatedAt: string
  /** Whose conversation it is; null where nobody said. */
  readonly caller: string | null
  readonly tenant: string | null
}

/** That somebody has taken care of an alert. */
export interface Acknowledgement {
  readonly at: string
  /** Who, as they said; null where they did not. */
  readonly by: string | null
}

/** An alert as it is stored with its conversation. */
export interface StoredAlert extends Alert {
  /** Null for an open alert. */
  readonly acknowledged: Acknowledgement | null
}

/** Stored alerts, newest first. */
export interface AlertPage {
  readonly alerts: readonly StoredAlert[]
  /** Of all stored alerts: how many there are, and how many are open. */
  readonly total: number
  readonly open: number
}

/** What happened to a conversation. */
export type ConversationChange =
  | {
      readonly kind: 'exchange'
      readonly conversation: string
      readonly verdict: ExchangeVerdict
      readonly status: ConversationStatus
      /** The alert that this exchange raised; null for none. */
      readonly alert: Alert | null
    }
  | {
      readonly kind: 'acknowledged'
      readonly conversation: string
      readonly exchange: number
      readonly acknowledged: Acknowledgement
    }
  | { readonly kind: 'deleted'; readonly conversation: string }
