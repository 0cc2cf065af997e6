// Owns the decision whether an exchange is suspicious enough for the guard to read it. Knows numbers and a first stage's verdict.

import type { DetectorVerdict, Level } from '../verdict.js'
import type { CascadeLines } from './description.js'

/** A pressure at the last reading that keeps the guard reading. */
const NOTABLE_PRESSURE = 0.3

/** What is known of an exchange before the guard reads it. */
export interface Suspicion {
  readonly first: DetectorVerdict
  readonly level: Level
  /** At the guard's last reading; 0 before the first. */
  readonly pressure: number
  /** The reply or one of the remembered ones has a refusal phrase: the assistant was pressed. */
  readonly refused: boolean
  /** See `RuleBook.closeness`. */
  readonly closeness: number | null
}

/** True if the first stage, the user's pressure, a rule that is close, or the current level asks for the guard. */
export function isSuspicious({ first, level, pressure, refused, closeness }: Suspicion, lines: CascadeLines): boolean {
  return (
    level !== 'calm' ||
    first.level !== 'calm' ||
    first.likelihood >= lines.likelihood ||
    pressure >= NOTABLE_PRESSURE ||
    refused ||
    (closeness !== null && closeness >= lines.closeness)
  )
}
