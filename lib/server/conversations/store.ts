// What a keeper of conversations has to do. Whoever implements it makes each save whole: all of it, or none.

import type { ConversationBrief, ConversationRecord, JudgedTurn } from './record.js'

/** A record with the mark that changes at every save. */
export interface Kept {
  readonly record: ConversationRecord
  readonly revision: string
}

/** What happened to a conversation. */
export type ConversationChange =
  | { readonly kind: 'turn'; readonly conversation: string; readonly turn: JudgedTurn; readonly brief: ConversationBrief }
  | { readonly kind: 'deleted'; readonly conversation: string }

/** Keeps conversations for as long as they are used and a while after. */
export interface ConversationStore {
  /** For people: `memory` or `redis`. */
  readonly kind: string
  load(id: string): Promise<Kept | null>
  /**
   * Saves a record after its last turn and tells every listener of every instance, if the conversation is still at that
   * revision (null: not there). False when it is not; then nothing was written.
   */
  save(id: string, record: ConversationRecord, revision: string | null): Promise<boolean>
  /** False if there was none. */
  delete(id: string): Promise<boolean>
  /** The most recently used first. */
  list(limit: number): Promise<ConversationBrief[]>
  onChange(listener: (change: ConversationChange) => void): void
  /** @throws GabionError `UNAVAILABLE` when it could not save now */
  check(): Promise<void>
  close(): Promise<void>
}

/** The change that saving a record tells of. */
export function changeOf(record: ConversationRecord): ConversationChange {
  const { brief } = record
  return { kind: 'turn', conversation: brief.conversation, turn: record.turns.at(-1)!, brief }
}
