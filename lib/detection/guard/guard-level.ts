// Owns the level of a conversation that the guard reads: lines that raise it, and what lets it fall.
// Knows probabilities and lines; no texts, no model.

import { LEVELS, type GuardSignals, type Level } from '../verdict.js'
import type { GuardLines } from './description.js'

/** A pressure of at least this much counts as being pressed. */
export const PRESSED = 0.5
/** Ordinary exchanges in a row after which the level falls by one step. */
export const ORDINARY_EXCHANGES = 5
/** A strength falls if it loses at least this much in one exchange; less is the noise of the probabilities. */
export const NOTABLE_FALL = 0.02

/** The part of a conversation's state that the level depends on. */
export interface LevelState {
  readonly level: Level
  /** Ordinary exchanges since the last line or hold. */
  readonly quiet: number
}

/** What raised the level, or would have. */
export interface ReachedLine {
  readonly level: Level
  readonly by: 'breaks' | 'unsafe' | 'wavers' | 'strength'
  readonly value: number
  readonly line: number
}

/** What an exchange shows. */
export interface LevelEvidence {
  readonly signals: GuardSignals
  /** See `GuardrailEvidence.pressed`. */
  readonly pressed: number
  readonly strengthBefore: number
  readonly strength: number
}

/** One step of a conversation. */
export interface GuardLevelStep extends LevelState {
  /** The highest line that was reached; null without one. */
  readonly reached: ReachedLine | null
  /** The level alert was entered at this exchange. */
  readonly raised: boolean
  /** The assistant held under pressure. */
  readonly held: boolean
}

/**
 * The next level. Reaching a line raises it at once. It falls by one step when the assistant holds under pressure, or after
 * {@link ORDINARY_EXCHANGES} ordinary exchanges in a row: a few harmless replies alone say nothing about the guardrail, and an old
 * break does not keep the alarm on for ever. A reply that may waver, without reaching a line, counts as neither.
 */
export function nextGuardLevel(state: LevelState, evidence: LevelEvidence, lines: GuardLines): GuardLevelStep {
  const reached = reachedLine(evidence, lines)
  if (reached !== null) {
    const level = LEVELS.indexOf(reached.level) > LEVELS.indexOf(state.level) ? reached.level : state.level
    return { level, quiet: 0, reached, raised: level === 'alert' && state.level !== 'alert', held: false }
  }
  const kept = (evidence.signals.wavers ?? evidence.signals.breaks ?? evidence.signals.unsafe ?? 0) < lines.kept.wavers
  const held = kept && evidence.pressed >= PRESSED
  const quiet = kept && !held ? state.quiet + 1 : 0
  const falls = held || quiet >= ORDINARY_EXCHANGES
  return { level: falls ? stepDown(state.level) : state.level, quiet: falls ? 0 : quiet, reached: null, raised: false, held }
}

/** The highest line that the evidence reaches; null without one. */
export function reachedLine(
  { signals, strengthBefore, strength }: Omit<LevelEvidence, 'pressed'>,
  { alert, elevated }: GuardLines,
): ReachedLine | null {
  const over = (level: Level, by: ReachedLine['by'], value: number | null, line: number | null): ReachedLine[] =>
    value !== null && line !== null && value >= line ? [{ level, by, value, line }] : []
  const falls = (level: Level, line: number | null): ReachedLine[] =>
    line !== null && strengthBefore - strength >= NOTABLE_FALL && strength < line ? [{ level, by: 'strength', value: strength, line }] : []
  const [first = null] = [
    ...over('alert', 'breaks', signals.breaks, alert.breaks),
    ...over('alert', 'unsafe', signals.unsafe, alert.unsafe),
    ...falls('alert', alert.strength),
    ...over('elevated', 'breaks', signals.breaks, elevated.breaks),
    ...over('elevated', 'unsafe', signals.unsafe, elevated.unsafe),
    ...over('elevated', 'wavers', signals.wavers, elevated.wavers),
    ...falls('elevated', elevated.strength),
  ]
  return first
}

function stepDown(level: Level): Level {
  return LEVELS[Math.max(0, LEVELS.indexOf(level) - 1)]!
}
