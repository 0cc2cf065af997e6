// Owns the stored record of a conversation: detector state, verdicts, system prompt, and the ends of the last three exchanges' texts.

import type { Alert, AlertOrigin } from '../../alerts/alert.js'
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
  /** States after the last {@link MAX_CHECKPOINTS} exchanges with ids, so that branches can begin there. */
  readonly checkpoints?: readonly Checkpoint[]
}

/** A detector's state after an exchange. */
export interface Checkpoint {
  readonly exchangeId: string
  readonly state: unknown
  /** Short hash of the system prompt under which the exchange was judged. */
  readonly system: string
}

/** Exchanges whose verdicts are stored, and whose ids are recognized when sent again. */
export const MAX_VERDICTS = 256

/** Exchanges at which a branch can begin without judging the exchanges before it again. */
export const MAX_CHECKPOINTS = 16

/** The record after one more exchange. */
export function withVerdict(
  before: ConversationRecord | null,
  saved: SavedConversation,
  verdict: ExchangeVerdict,
  { caller = null, tenant = null }: AlertOrigin = {},
  checkpoint: Checkpoint | null = null,
): ConversationRecord {
  const status: ConversationStatus = {
    conversation: verdict.conversation,
    exchanges: verdict.exchange,
    level: verdict.level,
    likelihood: verdict.likelihood,
    alerts: (before?.status.alerts ?? 0) + Number(verdict.alert),
    firstAlert: before?.status.firstAlert ?? (verdict.alert ? verdict.exchange : null),
    updatedAt: verdict.at,
    // A record of an earlier release has neither.
    caller: (before?.status as Partial<ConversationStatus> | undefined)?.caller ?? caller,
    tenant: (before?.status as Partial<ConversationStatus> | undefined)?.tenant ?? tenant,
  }
  const checkpoints = [...(before?.checkpoints ?? []), ...(checkpoint === null ? [] : [checkpoint])].slice(-MAX_CHECKPOINTS)
  const verdicts = [...(before?.verdicts ?? []), verdict].slice(-MAX_VERDICTS)
  return { saved, status, verdicts, ...(checkpoints.length > 0 && { checkpoints }) }
}

/** The change published when a record is saved. */
export function changeOf({ status, verdicts }: ConversationRecord, alert: Alert | null): ConversationChange {
  return { kind: 'exchange', conversation: status.conversation, verdict: verdicts.at(-1)!, status, alert }
}

/** Ways in which conversations belong together: all of a caller, all of a tenant. */
export const OWNERS = ['caller', 'tenant'] as const
/** See {@link OWNERS}. */
export type Owner = (typeof OWNERS)[number]

/** Names an alert among those of all conversations. */
export function alertMember(conversation: string, exchange: number): string {
  return `${exchange} ${conversation}`
}

/** Alerts that a store keeps; beyond, the oldest are no longer listed. */
export const MAX_LISTED_ALERTS = 10_000

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
