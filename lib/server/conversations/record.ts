// Owns what a service keeps of a conversation: detector state and verdicts, never a word of what was said.

import type { AlertState, DetectorVerdict } from '../../detection/detector.js'
import { GabionError } from '../../errors.js'
import type { SavedConversation, TurnTimings, TurnVerdict } from '../../monitor/conversation.js'

/** A judged turn as the service answers it. */
export interface JudgedTurn extends DetectorVerdict {
  readonly conversation: string
  /** Counts exchanges from 1. */
  readonly turn: number
  /** The caller's own name of the turn; null where it gave none. */
  readonly turnId: string | null
  readonly truncated: boolean
  readonly timings: TurnTimings & { readonly queueMs: number }
  /** When it was judged, ISO 8601. */
  readonly at: string
}

/** A conversation in a line. */
export interface ConversationBrief {
  readonly conversation: string
  readonly turns: number
  readonly state: AlertState
  readonly likelihood: number
  readonly alerts: number
  readonly firstAlert: number | null
  readonly updatedAt: string
}

/** All that is kept of a conversation. */
export interface ConversationRecord {
  readonly saved: SavedConversation
  readonly brief: ConversationBrief
  /** The last {@link KEPT_TURNS} turns. */
  readonly turns: readonly JudgedTurn[]
}

/** Turns whose verdicts are kept, and whose ids are known again. */
export const KEPT_TURNS = 256

/** A verdict as it is kept and answered. */
export function toJudgedTurn(verdict: TurnVerdict, turnId: string | null, queueMs: number): JudgedTurn {
  const { conversation, turn, alert, state, likelihood, risk, drift, acceleration, cumulative, ratio, reasons, truncated, timings } =
    verdict
  const numbers = { likelihood, risk, drift, acceleration, cumulative, ratio }
  const at = new Date().toISOString()
  return { conversation, turn, turnId, alert, state, ...numbers, reasons, truncated, timings: { ...timings, queueMs }, at }
}

/** The record after one more turn. */
export function withTurn(before: ConversationRecord | null, saved: SavedConversation, judged: JudgedTurn): ConversationRecord {
  const brief: ConversationBrief = {
    conversation: judged.conversation,
    turns: judged.turn,
    state: judged.state,
    likelihood: judged.likelihood,
    alerts: (before?.brief.alerts ?? 0) + Number(judged.alert),
    firstAlert: before?.brief.firstAlert ?? (judged.alert ? judged.turn : null),
    updatedAt: judged.at,
  }
  return { saved, brief, turns: [...(before?.turns ?? []), judged].slice(-KEPT_TURNS) }
}

/** The longest name of a conversation or a turn. */
export const MAX_ID_LENGTH = 256

/** @throws GabionError `INVALID_ARGUMENT` */
export function checkId(name: string, id: string): string {
  if (id.length === 0 || id.length > MAX_ID_LENGTH || /[\p{Cc}\p{Surrogate}]/u.test(id)) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `${name} must be a text of 1 to ${MAX_ID_LENGTH} characters without control characters, got ${JSON.stringify(id.slice(0, 40))}`,
    )
  }
  return id
}
