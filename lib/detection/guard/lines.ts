// Owns the lines that a deployment sets on its own harmless conversations: how they follow from a budget, and their file.
// Knows what a conversation reached, no texts and no model.

import { JsonObject } from '../../json/json-object.js'
import { upperBound } from '../../statistics/binomial.js'
import { nextAbove } from '../../statistics/quantile.js'
import type { GuardSignals } from '../verdict.js'
import { readLines, type GuardLines } from './description.js'
import type { GuardIdentity } from './guard-detector.js'
import { NOTABLE_FALL } from './guard-level.js'

/** What the exchanges of a conversation reached: the highest probabilities, the lowest strength that it fell to. */
export interface ConversationExtremes {
  readonly breaks: number
  readonly unsafe: number
  readonly wavers: number
  readonly strength: number
}

/** A level's lines with their evidence. */
export interface CalibratedLevel {
  /** Share of harmless conversations that may reach one of its lines. */
  readonly budget: number
  readonly conversations: number
  /** How many of them reach one. */
  readonly reached: number
  /** Upper end of the one-sided 95 % Clopper-Pearson interval of the share that reaches one. */
  readonly upperBound: number
}

/** The file of `gabion detector calibrate`. */
export interface CalibratedLines extends GuardIdentity {
  /** Names of the files that they were set on. */
  readonly source: string
  readonly lines: GuardLines
  readonly levels: { readonly alert: CalibratedLevel; readonly elevated: CalibratedLevel }
}

type Measure = keyof ConversationExtremes

/** The measures that have a line, per level. */
const MEASURES = { alert: ['breaks', 'unsafe', 'strength'], elevated: ['breaks', 'unsafe', 'wavers', 'strength'] } as const

/** Before the first exchange. */
export const NOTHING_REACHED: ConversationExtremes = { breaks: 0, unsafe: 0, wavers: 0, strength: 1 }

/** The extremes with another exchange. A strength counts where it fell, as it does for a level. */
export function withExchange(
  { breaks, unsafe, wavers, strength }: ConversationExtremes,
  { signals, before, after }: { readonly signals: GuardSignals | null; readonly before: number; readonly after: number },
): ConversationExtremes {
  return {
    breaks: Math.max(breaks, signals?.breaks ?? 0),
    unsafe: Math.max(unsafe, signals?.unsafe ?? 0),
    wavers: Math.max(wavers, signals?.wavers ?? 0),
    strength: before - after >= NOTABLE_FALL ? Math.min(strength, after) : strength,
  }
}

/**
 * Lines that at most `floor(budget * n)` of the conversations reach, all lines of a level together. Each line of a level lies above the
 * same number of conversations, the greatest number with which the level keeps its budget. A budget that is smaller than one
 * conversation gives lines that none of them reaches; the bound says what that is worth.
 */
export function linesFor(
  conversations: readonly ConversationExtremes[],
  budgets: { readonly alert: number; readonly elevated: number },
  kept: GuardLines['kept'],
): Pick<CalibratedLines, 'lines' | 'levels'> {
  const alert = calibrateLevel(conversations, MEASURES.alert, budgets.alert)
  const elevated = calibrateLevel(conversations, MEASURES.elevated, budgets.elevated)
  return { lines: { alert: alert.lines, elevated: elevated.lines, kept }, levels: { alert: alert.level, elevated: elevated.level } }
}

function calibrateLevel<Name extends Measure>(
  conversations: readonly ConversationExtremes[],
  measures: readonly Name[],
  budget: number,
): { lines: Record<Name, number>; level: CalibratedLevel } {
  const allowed = Math.floor(budget * conversations.length + 1e-9)
  const sorted = measures.map((name) => conversations.map((one) => severity(one, name)).toSorted((a, b) => b - a))
  let found = { lines: {} as Record<Name, number>, reached: 0 }
  for (let above = 0; above <= allowed; above++) {
    const entries = measures.map((name, at) => [name, lineAbove(name, sorted[at]![above] ?? 0)] as const)
    const lines = Object.fromEntries(entries) as Record<Name, number>
    const reached = conversations.filter((one) => measures.some((name) => reaches(one, name, lines[name]))).length
    if (above > 0 && reached > allowed) break
    found = { lines, reached }
  }
  const level = {
    budget,
    conversations: conversations.length,
    reached: found.reached,
    upperBound: upperBound(found.reached, conversations.length),
  }
  return { lines: found.lines, level }
}

/** Greater is worse. */
function severity(conversation: ConversationExtremes, name: Measure): number {
  return name === 'strength' ? -conversation.strength : conversation[name]
}

/** The line that a severity does not reach, and every greater one does. */
function lineAbove(name: Measure, value: number): number {
  return name === 'strength' ? -value : nextAbove(value)
}

function reaches(conversation: ConversationExtremes, name: Measure, line: number): boolean {
  return name === 'strength' ? conversation.strength < line : conversation[name] >= line
}

const FORMAT = 'gabion-guard-lines'
const VERSION = 1

/** The file's text. */
export function formatCalibratedLines(calibrated: CalibratedLines): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, ...calibrated }, null, 2)}\n`
}

/**
 * Reads lines for a guard.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming the source and the field, also for lines of another guard or precision
 */
export function parseCalibratedLines(text: string, source: string, { guard, precision }: GuardIdentity): GuardLines {
  const root = JsonObject.parse(text, { source, code: 'ARTIFACT_INVALID', what: 'lines of a guard' })
  root.checkFormat(FORMAT, VERSION)
  if (root.string('guard') !== guard) throw root.wrong('guard', 'the guard that is loaded: calibrate again')
  if (root.string('precision') !== precision) throw root.wrong('precision', `'${precision}', that of the guard: calibrate with it`)
  return readLines(root.object('lines'))
}
