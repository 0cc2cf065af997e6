// Owns what a service reports of a conversation to its listeners. Knows no record and no Node: the dashboard's pages import it.

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
}

/** What happened to a conversation. */
export type ConversationChange =
  | { readonly kind: 'exchange'; readonly conversation: string; readonly verdict: ExchangeVerdict; readonly status: ConversationStatus }
  | { readonly kind: 'deleted'; readonly conversation: string }
