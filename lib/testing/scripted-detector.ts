// A detector with scripted verdicts, for tests of code that reacts to verdicts. Knows no vectors.

import type { Detector, Exchange } from '../detection/detector.js'
import type { DetectorVerdict, Level } from '../detection/verdict.js'
import { GabionError } from '../errors.js'
import { checkOneOf } from '../options.js'

const LEVELS = ['calm', 'elevated', 'alert'] as const

const LIKELIHOODS: Readonly<Record<Level, number>> = { calm: 0.1, elevated: 0.5, alert: 0.9 }

/** State of a {@link ScriptedDetector}. */
export interface ScriptedState {
  readonly exchanges: number
  readonly level: Level
}

/**
 * A detector for tests: the levels of exchanges are given as a list (calm after its end) or as a function of an exchange's texts and
 * number, from 1. `alert` is true where the level becomes `alert`.
 *
 * ```ts
 * const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector: new ScriptedDetector(['calm', 'alert']) })
 * ```
 */
export class ScriptedDetector implements Detector<ScriptedState> {
  readonly name = 'scripted'
  readonly fingerprint = 'scripted'
  readonly projection = null
  readonly #levelOf: (exchange: Exchange, number: number) => Level

  constructor(levels: readonly Level[] | ((exchange: Exchange, number: number) => Level)) {
    this.#levelOf = typeof levels === 'function' ? levels : (_, number) => levels[number - 1] ?? 'calm'
  }

  start(): ScriptedState {
    return { exchanges: 0, level: 'calm' }
  }

  judge(state: ScriptedState, { user, assistant }: Exchange): { verdict: DetectorVerdict; state: ScriptedState } {
    const exchanges = state.exchanges + 1
    const level = checkOneOf('level', this.#levelOf({ user, assistant }, exchanges), LEVELS)
    const likelihood = LIKELIHOODS[level]
    const verdict: DetectorVerdict = {
      alert: level === 'alert' && state.level !== 'alert',
      level,
      likelihood,
      risk: likelihood,
      drift: likelihood - LIKELIHOODS[state.level],
      acceleration: 0,
      cumulative: 0,
      ratio: null,
      reasons: level === 'calm' ? [] : [`scripted level ${level}`],
    }
    return { verdict, state: { exchanges, level } }
  }

  checkState(value: unknown): ScriptedState {
    const { exchanges, level } = (typeof value === 'object' && value !== null ? value : {}) as Partial<ScriptedState>
    if (typeof exchanges !== 'number' || level === undefined || !LEVELS.includes(level))
      throw new GabionError('ARTIFACT_INVALID', "field 'state' must be that of a scripted detector")
    return { exchanges, level }
  }
}
