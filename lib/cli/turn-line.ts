// Owns the form of a judged turn outside the program: the object of a JSON line and the row of a CSV file.

import type { AlertState } from '../detection/detector.js'
import { hasFindings } from '../detection/policy/guarded-detector.js'
import type { TurnTimings, TurnVerdict } from '../monitor/conversation.js'

/** What `monitor --json` prints a turn. Field names are an interface: scripts rely on them. */
export interface TurnLine {
  conversation: string
  /** Counts exchanges from 1. */
  turn: number
  /** The detector's decision. */
  alert: boolean
  state: AlertState
  /** The detector's score, 0…1. */
  likelihood: number
  risk: number
  drift: number
  acceleration: number
  cumulative: number
  /** Null where the detector has no such measure. */
  ratio: number | null
  reasons: readonly string[]
  /** With policies only: the names of those that this turn breaks. */
  policies?: readonly string[]
  /** With policies only, once there is something to measure from: distance from the assistant's role, and whether it is too far. */
  role?: { distance: number; drifted: boolean }
  /** A text was longer than the model takes. */
  truncated: boolean
  timings: TurnTimings
}

/** A verdict as it is printed: these fields in this order, and none that a detector may have besides. */
export function toTurnLine(verdict: TurnVerdict): TurnLine {
  const { conversation, turn, alert, state, likelihood, risk, drift, acceleration, cumulative, ratio, reasons, truncated, timings } =
    verdict
  const line = { conversation, turn, alert, state, likelihood, risk, drift, acceleration, cumulative, ratio, reasons, truncated, timings }
  if (!hasFindings(verdict)) return line
  const policies = verdict.policies.filter(({ broken }) => broken).map(({ policy }) => policy)
  const role = verdict.role === null ? {} : { role: { distance: verdict.role.distance, drifted: verdict.role.drifted } }
  return { ...line, policies, ...role }
}

const NUMBERS = ['likelihood', 'risk', 'drift', 'acceleration', 'cumulative', 'ratio'] as const
const TIMINGS = ['tokenizeMs', 'encodeMs', 'projectMs', 'detectMs', 'totalMs'] as const

/** First line of the CSV form. */
export const CSV_HEADER = ['conversation', 'turn', 'alert', 'state', ...NUMBERS, 'reasons', 'truncated', ...TIMINGS].join(',')

/** A turn as one line of CSV (RFC 4180), reasons joined by "; ". */
export function toCsv(line: TurnLine): string {
  return [
    line.conversation,
    line.turn,
    line.alert,
    line.state,
    ...NUMBERS.map((name) => line[name]),
    line.reasons.join('; '),
    line.truncated,
    ...TIMINGS.map((name) => line.timings[name]),
  ]
    .map((cell) => csvCell(cell === null ? '' : String(cell)))
    .join(',')
}

function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
