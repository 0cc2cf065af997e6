// Owns the step from a guard's logits to calibrated probabilities. Knows numbers only.

import type { GuardSignals } from '../verdict.js'
import { GUARD_OUTPUTS, type GuardDescription, type GuardOutput } from './description.js'
import type { GuardLogits } from './scorer.js'

/** An output's logit with the refusal features added; null for an output that the guard does not have. */
export function logitOf(
  description: GuardDescription,
  output: GuardOutput,
  logits: GuardLogits,
  flags: readonly [number, number],
): number | null {
  const at = description.outputs.indexOf(output)
  if (at < 0) return null
  const [opening, anywhere] = description.flagWeights[at]!
  return (logits[at] as number) + opening * flags[0] + anywhere * flags[1]
}

/** The probability of an output; null for one that the guard does not have or that is not calibrated. */
export function signalOf(
  description: GuardDescription,
  output: GuardOutput,
  logits: GuardLogits,
  flags: readonly [number, number],
): number | null {
  const logit = logitOf(description, output, logits, flags)
  const scaling = description.calibration[output]
  return logit === null || scaling === undefined ? null : sigmoid(scaling.a * logit + scaling.b)
}

/** All signals of an exchange. Pressure is a property of the user's message and is read off a pass without the reply. */
export function signalsOf(
  description: GuardDescription,
  passes: { readonly reply: GuardLogits; readonly user: GuardLogits | null },
  flags: readonly [number, number],
): GuardSignals {
  const found = GUARD_OUTPUTS.map((output): [GuardOutput, number | null] => {
    if (output !== 'pressure') return [output, signalOf(description, output, passes.reply, flags)]
    return [output, passes.user === null ? null : signalOf(description, output, passes.user, [0, 0])]
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
