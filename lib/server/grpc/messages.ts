// The messages of gabion.proto as JavaScript has them, and how judged turns and vectors become messages.

import type { EmbeddingBatch } from '../../embedding/embedding-batch.js'
import type { AlertState } from '../../detection/detector.js'
import type { ConversationRecord, JudgedTurn } from '../conversations/record.js'

/** An EmbedRequest. */
export interface EmbedRequest {
  texts: string[]
  promptName?: string
  project: boolean
}

/** An AddTurnRequest. */
export interface AddTurnRequest {
  conversation: string
  user: string
  assistant: string
  turnId?: string
  turn?: number
}

/** A GetConversationRequest and a WatchRequest. */
export interface ConversationRequest {
  conversation: string
}

const STATES: Readonly<Record<AlertState, string>> = { calm: 'STATE_CALM', elevated: 'STATE_ELEVATED', alert: 'STATE_ALERT' }

/** An EmbedResponse. */
export function toEmbedResponse(batch: EmbeddingBatch, model: string): object {
  const vectors = Array.from({ length: batch.rows }, (_, index) => ({
    // The encoder takes plain lists only.
    values: Array.from(batch.row(index)),
    tokens: batch.tokenCounts[index],
    truncated: batch.truncated(index),
    point: batch.projected === null ? [] : Array.from(batch.point(index)),
  }))
  return { model, vectors, timings: { ...batch.timings, detectMs: 0 } }
}

/** A Turn. */
export function toTurn({ state, turnId, ratio, ...turn }: JudgedTurn): object {
  return { ...turn, state: STATES[state], ...(turnId !== null && { turnId }), ...(ratio !== null && { ratio }) }
}

/** A Conversation. */
export function toConversation({ brief, turns }: ConversationRecord): object {
  const { state, firstAlert, ...rest } = brief
  return { ...rest, state: STATES[state], ...(firstAlert !== null && { firstAlert }), history: turns.map(toTurn) }
}
