// Owns thresholds that follow a deployment's traffic: a window of presumed-benign conversations, bounded moves, and a reset.
// Knows scores of finished conversations only.

import { wrongRange } from '../../errors.js'
import { checkInteger, checkNumber, checkOptions } from '../../options.js'
import { JsonObject } from '../../json/json-object.js'
import { lowerBound } from '../../statistics/binomial.js'
import { readThresholdSet, type ThresholdSet } from './artifact.js'
import { AGGREGATES, fewestConversations, thresholdFor, type Aggregate, type Threshold } from './thresholds.js'

/** Options of {@link LiveCalibration}. */
export interface LiveCalibrationOptions {
  /** Most recent conversations that count. Default 2,000. */
  window?: number
  /**
   * Largest rise of a threshold above its base, in benign standard deviations. Default 0.5. It bounds the gain of an attacker
   * who floods the stream with conversations that score high.
   */
  maxRise?: number
  /** Largest fall. Default 1: more alarms are a nuisance, not a vulnerability. */
  maxFall?: number
}

/** Signs that the traffic has changed or is not benign. */
export interface LiveWatch {
  /** Conversations in the window, and how many of them reach the base alert threshold. */
  readonly conversations: number
  readonly reached: number
  /**
   * More of them do than the budget explains (one-sided, 95 %): the deployment has changed, or somebody feeds it. Review them before
   * trusting thresholds that have risen.
   */
  readonly suspicious: boolean
  /** Levels whose threshold was clamped by `maxRise` or `maxFall`. */
  readonly held: readonly ('elevated' | 'alert')[]
}

/** Serialized form of {@link LiveCalibration}. */
export interface SavedLiveCalibration {
  readonly base: ThresholdSet
  readonly maxima: readonly number[]
  readonly aggregate: Aggregate
}

/**
 * Follows the highest scores of finished, presumed-benign conversations. Every conversation counts, those with alerts too:
 * leaving them out would lower thresholds without bound. The options bound all moves, and {@link revert} restores the base.
 */
export class LiveCalibration {
  readonly base: ThresholdSet
  readonly aggregate: Aggregate
  readonly #window: number
  readonly #maxRise: number
  readonly #maxFall: number
  #maxima: number[] = []

  /** @throws GabionError `INVALID_ARGUMENT` */
  constructor(base: ThresholdSet, aggregate: Aggregate = 'max', options?: LiveCalibrationOptions) {
    const { window = 2000, maxRise = 0.5, maxFall = 1 } = checkOptions('options', options, ['window', 'maxRise', 'maxFall'])
    this.base = base
    this.aggregate = aggregate
    const fewest = fewestConversations(base.levels[aggregate].alert.budget)
    this.#window = checkInteger('window', window, fewest)
    for (const [name, value] of [
      ['maxRise', maxRise],
      ['maxFall', maxFall],
    ] as const) {
      if (checkNumber(name, value) < 0) throw wrongRange(`${name} must be 0 or more, got ${String(value)}`)
    }
    this.#maxRise = maxRise
    this.#maxFall = maxFall
  }

  /**
   * Reads the text of {@link toJSON}.
   *
   * @throws GabionError `ARTIFACT_INVALID` naming the source and the field, `INVALID_ARGUMENT`
   */
  static parse(text: string, source: string, options?: LiveCalibrationOptions): LiveCalibration {
    const root = JsonObject.parse(text, { source, code: 'ARTIFACT_INVALID', what: 'a file of live thresholds' })
    const aggregate = root.fields.aggregate === 'dcusum' ? 'decayedCusum' : root.oneOf('aggregate', AGGREGATES)
    const live = new LiveCalibration(readThresholdSet(root.object('base')), aggregate, options)
    for (const highest of root.numbers('maxima')) live.add(highest)
    return live
  }

  /** Conversations in the window. */
  get conversations(): number {
    return this.#maxima.length
  }

  /** Adds the highest statistic of a conversation that has ended. */
  add(highest: number): void {
    this.#maxima.push(checkNumber('highest', highest))
    if (this.#maxima.length > this.#window) this.#maxima.shift()
  }

  /** The thresholds in force: the base until there are enough conversations for both budgets. */
  thresholds(): ThresholdSet {
    const { aggregate, base } = this
    const before = base.levels[aggregate]
    if (this.#maxima.length < fewestConversations(Math.min(before.alert.budget, before.elevated.budget))) return base
    const levels = { elevated: this.#moved(before.elevated), alert: this.#moved(before.alert) }
    return {
      ...base,
      source: `${base.source}; followed on ${String(this.#maxima.length)} conversations`,
      levels: { ...base.levels, [aggregate]: levels },
    }
  }

  /** Signs to check before trusting the thresholds in force. */
  watch(): LiveWatch {
    const { elevated, alert } = this.base.levels[this.aggregate]
    const conversations = this.#maxima.length
    const reached = this.#maxima.filter((highest) => highest >= alert.value).length
    const moved = this.thresholds() !== this.base
    const held = (['elevated', 'alert'] as const).filter((level) => {
      const before = level === 'alert' ? alert : elevated
      return moved && thresholdFor(this.#maxima, before.budget).value !== this.#moved(before).value
    })
    return { conversations, reached, suspicious: lowerBound(reached, conversations) > alert.budget, held }
  }

  /** Forgets all traffic; the base thresholds are in force again. */
  revert(): void {
    this.#maxima = []
  }

  toJSON(): SavedLiveCalibration {
    return { base: this.base, maxima: [...this.#maxima], aggregate: this.aggregate }
  }

  #moved(before: Threshold): Threshold {
    const unit = this.aggregate === 'max' ? this.base.scale.deviation : 1
    const found = thresholdFor(this.#maxima, before.budget)
    const value = Math.min(before.value + this.#maxRise * unit, Math.max(before.value - this.#maxFall * unit, found.value))
    return { ...found, value, reached: this.#maxima.filter((highest) => highest >= value).length }
  }
}
