// A guard for tests of all that surrounds the model: its logits are a function of what it is shown.

import type { GuardDescription } from '../../lib/detection/guard/description.js'
import type { GuardInput, GuardScorer } from '../../lib/detection/guard/scorer.js'

/** Logits are log-odds: every output is calibrated by the identity, and the refusal features count nothing. */
export const GUARD: GuardDescription = {
  encoder: { name: 'scripted', tokenizerSha256: '0'.repeat(64) },
  outputs: ['unsafe', 'breaks', 'wavers', 'complies', 'pressure'],
  shownRules: 5,
  flagWeights: [
    [0, 0],
    [0, 0],
    [0, 0],
    [0, 0],
    [0, 0],
  ],
  terms: null,
  calibration: {
    unsafe: { logits: { unsafe: 1 }, terms: {}, b: 0 },
    breaks: { logits: { breaks: 1 }, terms: {}, b: 0 },
    wavers: { logits: { wavers: 1 }, terms: {}, b: 0 },
    complies: { logits: { complies: 1 }, terms: {}, b: 0 },
    pressure: { logits: { pressure: 1 }, terms: {}, b: 0 },
  },
  lines: {
    alert: { breaks: 0.8, unsafe: 0.8, strength: null },
    elevated: { breaks: 0.6, unsafe: null, wavers: 0.6, strength: 0.5 },
    kept: { wavers: 0.3 },
  },
  cascade: { likelihood: 0.2, closeness: 0.9 },
}

/** Probabilities of an input; those that are omitted are .01. */
export type Script = (input: GuardInput) => Partial<Record<'unsafe' | 'breaks' | 'wavers' | 'complies' | 'pressure', number>>

/** Scores by a script and records its inputs. */
export class ScriptedScorer implements GuardScorer {
  readonly inputs: GuardInput[] = []
  disposed = false
  readonly #script: Script

  constructor(script: Script) {
    this.#script = script
  }

  score(inputs: readonly GuardInput[]): Promise<number[][]> {
    this.inputs.push(...inputs)
    return Promise.resolve(
      inputs.map((input) => {
        const found = this.#script(input)
        return GUARD.outputs.map((output) => {
          const probability = found[output] ?? 0.01
          return Math.log(probability / (1 - probability))
        })
      }),
    )
  }

  dispose(): void {
    this.disposed = true
  }
}
