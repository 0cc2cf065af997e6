// Owns the step from a guard's logits and linear part to calibrated probabilities. Knows numbers only.

import type { GuardSignals } from '../verdict.js'
import { GUARD_OUTPUTS, type GuardDescription, type GuardOutput } from './description.js'
import type { GuardLogits } from './scorer.js'

/** What is known of one text in its place, before calibration. */
export interface GuardPass {
  readonly logits: GuardLogits
  /** The refusal features of the reply; zeros without one. */
  readonly flags: readonly [number, number]
  /** The linear part of the text, one number per output; null for a guard without one. */
  readonly terms: readonly number[] | null
}

/** The calibrated log-odds of an output; null for one that the guard does not have or that is not calibrated. */
export function logOddsOf(description: GuardDescription, output: GuardOutput, { logits, flags, terms }: GuardPass): number | null {
  const at = description.outputs.indexOf(output)
  const scaling = description.calibration[output]
  if (at < 0 || scaling === undefined) return null
  const [opening, anywhere] = description.flagWeights[at]!
  const logit = (logits[at] as number) + opening * flags[0] + anywhere * flags[1]
  const gate = description.gated.includes(output) ? sigmoid(logits[description.outputs.length] as number) : 1
  return scaling.a * logit + scaling.terms * gate * (terms?.[at] ?? 0) + scaling.b
}

/** All signals of an exchange. Pressure is a property of the user's message and is read off a pass without the reply. */
export function signalsOf(
  description: GuardDescription,
  passes: { readonly reply: GuardPass; readonly user: GuardPass | null },
): GuardSignals {
  const found = GUARD_OUTPUTS.map((output): [GuardOutput, number | null] => {
    const pass = output === 'pressure' ? passes.user : passes.reply
    const odds = pass === null ? null : logOddsOf(description, output, pass)
    return [output, odds === null ? null : sigmoid(odds)]
  })
  return Object.fromEntries(found) as unknown as GuardSignals
}

/** The inverse of {@link sigmoid}, bounded for probabilities of 0 and 1. */
export function logOdds(probability: number): number {
  const bounded = Math.min(1 - 1e-6, Math.max(1e-6, probability))
  return Math.log(bounded / (1 - bounded))
}

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value))
}
