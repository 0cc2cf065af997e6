// The interface of conversation stores. Every implementation saves records atomically.

import type { ConversationRecord } from './record.js'
import type { ConversationChange, ConversationStatus } from './status.js'

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
   * Returns false and writes nothing if it is not.
   */
  save(id: string, record: ConversationRecord, revision: string | null): Promise<boolean>
  /** Records, for a conversation's time to live, that an alert was raised in it after the user's message of this id. */
  saveAlert(promptId: string, conversation: string): Promise<void>
  /** The conversations in which an alert was raised after one of these messages. */
  findAlerts(promptIds: readonly string[]): Promise<string[]>
  /** False if it did not exist. */
  delete(id: string): Promise<boolean>
  /** The most recently used first. */
  list(limit: number): Promise<ConversationStatus[]>
  onChange(listener: (change: ConversationChange) => void): void
  /** @throws GabionError `UNAVAILABLE` if saving is not possible now */
  check(): Promise<void>
  close(): Promise<void>
}
