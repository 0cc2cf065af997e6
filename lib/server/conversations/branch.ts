// Owns branches of a conversation: the record with which one begins. Knows no store and no detector.

import { createHash } from 'node:crypto'
import type { Exchange } from '../../detection/detector.js'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { isAsideId } from '../../monitor/chat.js'
import { afterExchange, NO_CONTEXT } from '../../monitor/context.js'
import type { Checkpoint, ConversationRecord } from './record.js'

/** Where a branch begins: after an exchange of a conversation. */
export interface BranchStart {
  readonly conversation: string
  readonly exchangeId: string
  /** The last exchanges before the branch, with the one at which it begins. */
  readonly history: readonly Exchange[]
}

/** The state after an exchange; null if it is not stored any more. */
export function checkpointOf(record: ConversationRecord | undefined, exchangeId: string): Checkpoint | null {
  return record?.checkpoints?.findLast((checkpoint) => checkpoint.exchangeId === exchangeId) ?? null
}

/** The record of a new branch, with its exchanges up to the start; null if the state there is not stored any more. */
export function branchRecord(
  record: ConversationRecord | undefined,
  { exchangeId, history }: Omit<BranchStart, 'conversation'>,
  id: string,
): ConversationRecord | null {
  const checkpoint = checkpointOf(record, exchangeId)
  const index = record?.verdicts.findLastIndex((verdict) => verdict.exchangeId === exchangeId) ?? -1
  if (record === undefined || checkpoint === null || index === -1) return null
  const verdicts = record.verdicts.slice(0, index + 1).map((verdict) => ({ ...verdict, conversation: id }))
  const last = verdicts[index]!
  const alertsAfter = record.verdicts.slice(index + 1).filter(({ alert }) => alert).length
  const { firstAlert, alerts } = record.status
  const context = history.reduce(afterExchange, { ...NO_CONTEXT, system: record.saved.system, rules: record.saved.rules })
  const end = record.checkpoints!.indexOf(checkpoint) + 1
  return {
    saved: { ...record.saved, id, exchanges: last.exchange, state: checkpoint.state, history: context.history },
    status: {
      conversation: id,
      exchanges: last.exchange,
      level: last.level,
      likelihood: last.likelihood,
      alerts: alerts - alertsAfter,
      firstAlert: firstAlert !== null && firstAlert <= last.exchange ? firstAlert : null,
      updatedAt: last.at,
      caller: record.status.caller,
      tenant: record.status.tenant,
    },
    verdicts,
    checkpoints: record.checkpoints!.slice(0, end),
  }
}

/**
 * Where to judge a known exchange again under another system prompt: a branch that begins before it. Null if the prompt is the same, or
 * the state before the exchange is not stored any more.
 */
export function variantOf(
  record: ConversationRecord,
  known: ExchangeVerdict,
  system: string,
): { readonly id: string; readonly record: ConversationRecord | null } | null {
  const judgedUnder = checkpointOf(record, known.exchangeId ?? '')?.system
  if (judgedUnder === undefined || judgedUnder === system) return null
  const id = `${record.saved.id.split('~')[0]!}~${systemMark(`${known.exchangeId ?? ''} ${system}`)}`
  // Exchanges of calls are no places where a branch begins.
  const earlier = record.verdicts.slice(0, record.verdicts.indexOf(known)).filter(({ exchangeId }) => !isAsideId(exchangeId ?? ''))
  if (earlier.length === 0 && record.verdicts[0]?.exchange === 1) return { id, record: null }
  const before = branchRecord(record, { exchangeId: earlier.at(-1)?.exchangeId ?? '', history: [] }, id)
  return before === null ? null : { id, record: before }
}

/** Short hash of a system prompt, to compare it with another. */
export function systemMark(system: string | null | undefined): string {
  return createHash('sha256')
    .update((system ?? '').trim())
    .digest('base64url')
    .slice(0, 12)
}
