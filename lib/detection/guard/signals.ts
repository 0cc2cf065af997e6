// Owns the step from a guard's logits and linear part to calibrated probabilities.

import type { GuardSignals } from '../verdict.js'
import { GUARD_OUTPUTS, type GuardDescription, type GuardOutput } from './description.js'
import type { GuardLogits } from './scorer.js'
import type { TermModel } from './terms.js'

/** What is known of an exchange from one pass, before calibration. */
export interface GuardPass {
  readonly logits: GuardLogits
  /** The refusal features of the reply; zeros without one. */
  readonly flags: readonly [number, number]
  /** See {@link linearPart}; null for a guard without one. */
  readonly terms: readonly number[] | null
}

/** The linear part of an exchange, one number per output: of the user's message for `pressure`, of the reply for the others. */
export function linearPart(model: TermModel | null, { outputs }: GuardDescription, user: string, reply: string): readonly number[] | null {
  if (model === null) return null
  const [ofUser, ofReply] = [model.scores(user), model.scores(reply)]
  return outputs.map((output, at) => (output === 'pressure' ? ofUser : ofReply)[at]!)
}

/** The calibrated log-odds of an output; null for one that the guard does not have or that is not calibrated. */
export function logOddsOf(description: GuardDescription, output: GuardOutput, { logits, flags, terms }: GuardPass): number | null {
  const calibration = description.calibration[output]
  if (calibration === undefined || !description.outputs.includes(output)) return null
  return description.outputs.reduce((sum, name, at) => {
    const [opening, anywhere] = description.flagWeights[at]!
    const logit = (logits[at] as number) + opening * flags[0] + anywhere * flags[1]
    return sum + (calibration.logits[name] ?? 0) * logit + (calibration.terms[name] ?? 0) * (terms?.[at] ?? 0)
  }, calibration.b)
}

/** All signals of an exchange. */
export function signalsOf(description: GuardDescription, pass: GuardPass): GuardSignals {
  const found = GUARD_OUTPUTS.map((output): [GuardOutput, number | null] => {
    const odds = logOddsOf(description, output, pass)
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
