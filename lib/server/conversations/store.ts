// The interface of conversation stores. Every implementation saves records atomically.

import type { Alert } from '../../alerts/alert.js'
import type { ConversationRecord, Owner } from './record.js'
import type { Acknowledgement, AlertPage, ConversationChange, ConversationStatus } from './status.js'

/** A record with its revision, which changes at every save. */
export interface StoredRecord {
  readonly record: ConversationRecord
  readonly revision: string
}

/** Stores conversations until their time to live after the last use ends. */
export interface ConversationStore {
  /** For people: `memory` or `redis`. */
  readonly kind: string
  load(id: string): Promise<StoredRecord | null>
  /**
   * Saves a record and notifies the listeners of all instances, if the conversation is still at `revision` (null: does not exist).
   * Returns false and writes nothing if it is not. An alert is stored with it, in one step: there is no verdict without its alert.
   */
  save(id: string, record: ConversationRecord, revision: string | null, alert: Alert | null): Promise<boolean>
  /** Alerts of all conversations, newest first, from the one at `offset` on. */
  alerts(query: { readonly limit: number; readonly offset: number; readonly openOnly: boolean }): Promise<AlertPage>
  /** Marks an alert as taken care of; a second time changes nothing. Returns what is in force, null if there is no such alert. */
  acknowledge(conversation: string, exchange: number, acknowledgement: Acknowledgement): Promise<Acknowledgement | null>
  /** Ids of the conversations of a caller or a tenant. */
  owned(owner: Owner, name: string): Promise<string[]>
  /** Keeps a note, such as the conversation in which an alert was raised, for a conversation's time to live. */
  saveNote(key: string, value: string): Promise<void>
  /** Notes by key; null for those that do not exist. */
  findNotes(keys: readonly string[]): Promise<(string | null)[]>
  /** Removes everything that is stored of it, its alerts too. False if it did not exist. */
  delete(id: string): Promise<boolean>
  /** Removes deleted conversations from what others read: alerts to deliver, verdicts of workers. */
  purge(ids: readonly string[]): Promise<void>
  /** The most recently used first. */
  list(limit: number): Promise<ConversationStatus[]>
  onChange(listener: (change: ConversationChange) => void): void
  /** @throws GabionError `UNAVAILABLE` if saving is not possible now */
  check(): Promise<void>
  close(): Promise<void>
}
