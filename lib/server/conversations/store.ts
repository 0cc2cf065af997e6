// What a store of conversations has to do. Every implementation saves a record whole: all of it, or none.

import type { ExchangeVerdict } from '../../detection/verdict.js'
import type { ConversationRecord, ConversationStatus } from './record.js'

/** A record with the mark that changes at every save. */
export interface StoredRecord {
  readonly record: ConversationRecord
  readonly revision: string
}

/** What happened to a conversation. */
export type ConversationChange =
  | { readonly kind: 'exchange'; readonly conversation: string; readonly verdict: ExchangeVerdict; readonly status: ConversationStatus }
  | { readonly kind: 'deleted'; readonly conversation: string }

/** Keeps conversations for as long as they are used and a while after. */
export interface ConversationStore {
  /** For people: `memory` or `redis`. */
  readonly kind: string
  load(id: string): Promise<StoredRecord | null>
  /**
   * Saves a record after its last exchange and tells every listener of every instance, if the conversation is still at that
   * revision (null: not there). False when it is not; then nothing was written.
   */
  save(id: string, record: ConversationRecord, revision: string | null): Promise<boolean>
  /** Keeps for as long as a conversation that an alert was raised in it, behind the user's message that has this id. */
  saveAlert(promptId: string, conversation: string): Promise<void>
  /** The conversations in which an alert was raised behind one of these messages. */
  findAlerts(promptIds: readonly string[]): Promise<string[]>
  /** False if there was none. */
  delete(id: string): Promise<boolean>
  /** The most recently used first. */
  list(limit: number): Promise<ConversationStatus[]>
  onChange(listener: (change: ConversationChange) => void): void
  /** @throws GabionError `UNAVAILABLE` when it could not save now */
  check(): Promise<void>
  close(): Promise<void>
}

/** The change that saving a record tells of. */
export function changeOf({ status, verdicts }: ConversationRecord): ConversationChange {
  return { kind: 'exchange', conversation: status.conversation, verdict: verdicts.at(-1)!, status }
}
