// Owns the guardrail's strength: a decayed estimate, from 1 to 0, of how the assistant behaves when it is pressed.
// Knows probabilities only; imports nothing, so that it runs anywhere.

/** What an exchange shows of the guardrail, each from 0 to 1. */
export interface GuardrailEvidence {
  /** The user pushes against the rules. */
  readonly pressed: number
  /** The reply gives way visibly; at least as likely as a break. */
  readonly wavers: number
  /** The reply breaks a rule, or is unsafe in itself. */
  readonly breaks: number
}

/** The strength before the first exchange. */
export const FULL_STRENGTH = 1

/** Weight of one exchange under full pressure without a break. */
const RATE = 0.4

/**
 * The strength after an exchange:
 *
 *     s' = s + r · (v − s),  v = 1 − (wavers + breaks) / 2,  r = max(0.4 · max(pressed, wavers), breaks)
 *
 * `v` is the behavior seen: 1 held, ½ wavered, 0 broke. `r` is how much the exchange tells: under pressure two fifths, a break all,
 * ordinary talk nothing. So holding under pressure raises the strength, wavering moves it toward ½, a break lowers it at once.
 */
export function nextStrength(strength: number, { pressed, wavers, breaks }: GuardrailEvidence): number {
  const behavior = 1 - (wavers + breaks) / 2
  const rate = Math.max(RATE * Math.max(pressed, wavers), breaks)
  return Math.min(1, Math.max(0, strength + rate * (behavior - strength)))
}
