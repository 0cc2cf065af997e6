// The messages of gabion.proto as JavaScript objects, and the conversion of verdicts and vectors to messages.

import type { ExchangeVerdict, Level } from '../../detection/verdict.js'
import type { EmbeddingBatch } from '../../embedding/embedding-batch.js'
import type { ConversationRecord } from '../conversations/record.js'
import type { ExchangeRequest } from '../conversations/judge-exchange.js'

/** An EmbedRequest. */
export interface EmbedRequest {
  texts: string[]
  promptName?: string
  model?: string
  project: boolean
  dimensions?: number
}

/** An AddExchangeRequest: optional fields may be absent. */
export type AddExchangeRequest = Pick<ExchangeRequest, 'conversation' | 'user' | 'assistant'> & {
  exchangeId?: string
  exchange?: number
  system?: string
  rules?: string[]
  caller?: string
}

/** A GetConversationRequest and a WatchRequest. */
export interface ConversationRequest {
  conversation: string
}

const LEVELS: Readonly<Record<Level, string>> = { calm: 'LEVEL_CALM', elevated: 'LEVEL_ELEVATED', alert: 'LEVEL_ALERT' }

/** An EmbedResponse. */
export function toEmbedResponse(batch: EmbeddingBatch, model: string): object {
  const vectors = Array.from({ length: batch.rows }, (_, index) => ({
    // The protobuf encoder takes plain arrays only.
    values: Array.from(batch.row(index)),
    tokens: batch.totalTokenCounts[index],
    truncated: batch.truncated(index),
    point: batch.projected === null ? [] : Array.from(batch.projectedRow(index)),
  }))
  return { model, vectors, timings: { ...batch.timings, detectMs: 0 } }
}

/** An ExchangeVerdict: null fields are omitted. */
export function toVerdict({ level, ...verdict }: ExchangeVerdict): object {
  return { ...withoutNulls(verdict), level: LEVELS[level] }
}

/** A Conversation. */
export function toConversation({ status: { level, ...status }, verdicts }: ConversationRecord): object {
  return { ...withoutNulls(status), level: LEVELS[level], history: verdicts.map(toVerdict) }
}

function withoutNulls(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))
}
