// Owns what a form of transcripts is: how its records are recognized, and what is read from one.

import type { Message } from '../exchanges.js'
import type { EntryOptions } from '../message.js'
import type { OnProblem } from '../problem.js'

/** What is read from one record: a JSON document or one of its items, a line, a row. */
export type Piece = WholePiece | MessagesPiece | RequestPiece

/** A whole conversation. */
export interface WholePiece {
  readonly kind: 'whole'
  /** The conversation's name; null if the record has none. */
  readonly conversation: string | null
  readonly messages: readonly Message[]
  /** What was left out or changed. */
  readonly notes?: readonly string[]
}

/** Some messages of a conversation whose others are in other records. */
export interface MessagesPiece {
  readonly kind: 'messages'
  readonly conversation: string | null
  readonly messages: readonly Message[]
  /** The record's own `id`, which may be that of the message or of the conversation. */
  readonly entryId: string | null
}

/** A request to a model, with its history as far as it has one, and the reply. */
export interface RequestPiece {
  readonly kind: 'request'
  /** Session or thread; null without one, where the history decides. */
  readonly conversation: string | null
  readonly history: readonly Message[]
  readonly reply: readonly Message[]
  /** The request's own name. */
  readonly id: string | null
  /** The earlier reply that it continues. */
  readonly previous: string | null
  /** The trace that it belongs to; its steps may repeat each other. */
  readonly trace: string | null
  readonly time: number | null
}

/** How records are read. */
export interface ReadContext extends EntryOptions {
  /** File and line or entry, for problems. */
  readonly where: string
  readonly conversationField: string | null
  readonly allBranches: boolean
  readonly onProblem: OnProblem
}

/** A form of transcripts. */
export interface Form {
  readonly name: string
  /** Whose form it is, for a list of forms. */
  readonly title: string
  /** A short file of that form. */
  readonly example: string
  /** Whether a record looks like one. */
  matches(record: unknown): boolean
  /**
   * Reads a record; problems of single entries go to the context.
   *
   * @throws GabionError `TRANSCRIPT_INVALID` where the record is of another form
   */
  read(record: unknown, context: ReadContext): Piece[]
}
