// Owns the stored record of a conversation: detector state, verdicts, system prompt, and the ends of the last three exchanges' texts.

import type { ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError } from '../../errors.js'
import type { SavedConversation } from '../../monitor/saved-conversation.js'
import type { ConversationChange, ConversationStatus } from './status.js'

/** The stored record of a conversation. */
export interface ConversationRecord {
  readonly saved: SavedConversation
  readonly status: ConversationStatus
  /** Verdicts of the last {@link MAX_VERDICTS} exchanges. */
  readonly verdicts: readonly ExchangeVerdict[]
}

/** Exchanges whose verdicts are stored, and whose ids are recognized when sent again. */
export const MAX_VERDICTS = 256

/** The record after one more exchange. */
export function withVerdict(before: ConversationRecord | null, saved: SavedConversation, verdict: ExchangeVerdict): ConversationRecord {
  const status: ConversationStatus = {
    conversation: verdict.conversation,
    exchanges: verdict.exchange,
    level: verdict.level,
    likelihood: verdict.likelihood,
    alerts: (before?.status.alerts ?? 0) + Number(verdict.alert),
    firstAlert: before?.status.firstAlert ?? (verdict.alert ? verdict.exchange : null),
    updatedAt: verdict.at,
  }
  return { saved, status, verdicts: [...(before?.verdicts ?? []), verdict].slice(-MAX_VERDICTS) }
}

/** The change published when a record is saved. */
export function changeOf({ status, verdicts }: ConversationRecord): ConversationChange {
  return { kind: 'exchange', conversation: status.conversation, verdict: verdicts.at(-1)!, status }
}

/** Maximum length of a conversation's or an exchange's id. */
export const MAX_ID_LENGTH = 256

/** @throws GabionError `INVALID_ARGUMENT` */
export function checkId(name: string, id: string): string {
  if (id.length === 0 || id.length > MAX_ID_LENGTH || /[\p{Cc}\p{Surrogate}]/u.test(id)) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `${name} must be a string of 1 to ${MAX_ID_LENGTH} characters without control characters, got ${JSON.stringify(id.slice(0, 40))}`,
    )
  }
  return id
}
