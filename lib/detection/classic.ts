// Owns the classic detector: published weights and thresholds for the formulas, and its reasons in words.
// Knows projected points, not how texts become vectors.

import { sha256 } from '../sha256.js'
import { GabionError } from '../errors.js'
import { JsonObject } from '../json/json-object.js'
import { checkNumber, checkOneOf, checkOptions, invalidArgument, outOfRange } from '../options.js'
import type { Projection } from '../projection/projection.js'
import {
  CLASSIC_START,
  heldClassicExchange,
  scoreClassicExchange,
  normalizeSafeVector,
  type ClassicAccumulation,
  type ClassicFormula,
  type ClassicQuantities,
  type ClassicState,
  type ClassicWeights,
} from './classic-formulas.js'
import type { ConversationExchange, Detector, EmbeddedExchange, EmbeddedText } from './detector.js'
import type { DetectorVerdict, Level } from './verdict.js'

export type { ClassicState, ClassicWeights } from './classic-formulas.js'

/** Thresholds of the classic detector. */
export interface ClassicThresholds {
  /** Likelihood above which an alert is raised. */
  readonly alert: number
  /** Likelihood above which the level is elevated. */
  readonly elevated: number
  /** Acceleration above which there is an early warning. */
  readonly acceleration: number
  /** Ratio above which the conversation counts as fragile. */
  readonly ratio: number
}

/** Name of a published set of weights. */
export type ClassicPreset = 'demo' | 'deployment'

/** The published thresholds, equal for both presets. */
export const CLASSIC_THRESHOLDS: ClassicThresholds = { alert: 0.8, elevated: 0.5, acceleration: 0.15, ratio: 1 }

/**
 * The two published sets. `demo` sees a plane whose second axis is safe ground; `deployment` was fitted on standardized
 * dimensions, takes the direction of a refusal as safe ground, and has no user side. With `deployment` a risk that stays
 * at its highest value without moving reaches a likelihood of 0.62 only and never alerts.
 */
export const CLASSIC_PRESETS: Readonly<Record<ClassicPreset, { weights: ClassicWeights; accumulation: ClassicAccumulation }>> = {
  demo: { weights: { risk: 3, drift: 2, acceleration: 1.5, bias: -2 }, accumulation: 'sum' },
  deployment: { weights: { risk: 1.5, drift: 1, acceleration: 3, bias: -2.5 }, accumulation: 'trapezoid' },
}

/** The classic detector's fields beyond {@link DetectorVerdict}. */
export interface ClassicVerdict extends DetectorVerdict {
  /** Cosine distance of the user's message from safe ground, 0…2. */
  readonly userRisk: number
  /** Accumulated risk of the user; null without a user side (`deployment`). */
  readonly userCumulative: number | null
  /** The weighted sum before the logistic function. */
  readonly logit: number
  /** Acceleration is above its threshold. */
  readonly earlyWarning: boolean
  /** The ratio is above its threshold. */
  readonly fragile: boolean
  /** The reply was empty: the last reply's level is repeated and no alert is raised. */
  readonly empty: boolean
}

/** Options of {@link ClassicDetector}. */
export interface ClassicDetectorOptions {
  /** Default `demo`. */
  preset?: ClassicPreset
  /** Maps vectors to the plane in which risk is measured. */
  projection: Projection
  /** Direction of safe ground in that plane, one value per component of the projection; scaled to length 1. */
  safe: ArrayLike<number>
  /** Replaces single weights of the preset. */
  weights?: Partial<ClassicWeights>
  /** Replaces single thresholds. */
  thresholds?: Partial<ClassicThresholds>
}

/**
 * The published formulas: a logistic score of each reply's cosine distance from safe ground in a plane, and of its first and
 * second differences. Meant for comparison and explanation; it measures directions in a plane, not meaning.
 */
export class ClassicDetector implements Detector<ClassicState, ClassicVerdict> {
  readonly name = 'classic'
  readonly fingerprint: string
  readonly embedsAhead = true
  readonly preset: ClassicPreset
  readonly projection: Projection
  /** Unit vector of safe ground. */
  readonly safe: Float64Array
  readonly weights: ClassicWeights
  readonly thresholds: ClassicThresholds
  readonly #formula: ClassicFormula

  /**
   * @throws GabionError `INVALID_ARGUMENT` for a zero safe vector, unknown options or numbers out of range,
   *   `PROJECTION_MISMATCH` if the safe vector and the projection differ in components
   */
  constructor(options: ClassicDetectorOptions) {
    const given = checkOptions('options', options, ['preset', 'projection', 'safe', 'weights', 'thresholds'])
    // Recognized by its method, since the class comes with files and the native module.
    if (typeof given.projection?.apply !== 'function') throw invalidArgument('projection', 'a Projection', given.projection)
    if (given.safe === undefined) throw invalidArgument('safe', 'a vector', given.safe)
    this.preset = given.preset === undefined ? 'demo' : checkOneOf('preset', given.preset, ['demo', 'deployment'])
    this.projection = given.projection
    this.safe = normalizeSafeVector(given.safe)
    if (this.safe.length !== this.projection.components) {
      throw new GabionError(
        'PROJECTION_MISMATCH',
        `the safe vector must have ${String(this.projection.components)} values, one per component of the projection, got ${String(this.safe.length)}`,
      )
    }
    const { weights, accumulation } = CLASSIC_PRESETS[this.preset]
    this.weights = overlay('weights', weights, given.weights)
    this.thresholds = checkThresholds(overlay('thresholds', CLASSIC_THRESHOLDS, given.thresholds))
    this.#formula = { safe: this.safe, weights: this.weights, accumulation }
    // Thresholds are left out, since no state depends on them.
    const identity = JSON.stringify([this.projection.id, Array.from(this.safe), this.weights, accumulation])
    this.fingerprint = sha256(identity)
  }

  start(): ClassicState {
    return CLASSIC_START
  }

  async judge(state: ClassicState, exchange: ConversationExchange): Promise<{ verdict: ClassicVerdict; state: ClassicState }> {
    return this.judgeVectors(state, await exchange.embedded())
  }

  /** {@link judge} for an exchange that is embedded already. */
  judgeVectors(state: ClassicState, exchange: EmbeddedExchange): { verdict: ClassicVerdict; state: ClassicState } {
    const user = this.#pointOf(exchange.user)
    if (exchange.assistant.windows.length === 0) {
      return { verdict: this.#verdict(heldClassicExchange(this.#formula, state, user), true), state }
    }
    const next = scoreClassicExchange(this.#formula, state, this.#pointOf(exchange.assistant), user)
    return { verdict: this.#verdict(next.quantities, false), state: next.state }
  }

  checkState(value: unknown): ClassicState {
    const json = JsonObject.of(value, { source: '', code: 'ARTIFACT_INVALID', what: 'a classic state' })
    return {
      scored: json.integer('scored', 0),
      risk: json.number('risk'),
      drift: json.number('drift'),
      cumulative: json.number('cumulative'),
      userCumulative: json.number('userCumulative'),
    }
  }

  /** The point of a text's first window, the only one that the formulas use; the origin for an empty text. */
  #pointOf(text: EmbeddedText): ArrayLike<number> {
    const [window] = text.windows
    if (window === undefined) return new Float64Array(this.projection.components)
    return window.projected ?? this.projection.apply(window.vector)
  }

  #verdict(quantities: ClassicQuantities, empty: boolean): ClassicVerdict {
    const { thresholds } = this
    const alert = !empty && quantities.likelihood > thresholds.alert
    const level: Level = alert ? 'alert' : quantities.likelihood > thresholds.elevated ? 'elevated' : 'calm'
    const earlyWarning = quantities.acceleration > thresholds.acceleration
    const fragile = quantities.ratio !== null && quantities.ratio > thresholds.ratio
    const verdict = { ...quantities, alert, level, earlyWarning, fragile, empty }
    return { ...verdict, reasons: reasonsOf(verdict, thresholds) }
  }
}

function overlay<T extends object>(name: string, base: T, change: Partial<T> | undefined): T {
  const given = checkOptions<object>(name, change, Object.keys(base) as never[])
  const result: T = { ...base }
  for (const [key, value] of Object.entries(given)) {
    if (value !== undefined) Object.assign(result, { [key]: checkNumber(`${name}.${key}`, value) })
  }
  return result
}

function checkThresholds(thresholds: ClassicThresholds): ClassicThresholds {
  for (const key of ['alert', 'elevated'] as const) {
    const value = thresholds[key]
    if (value < 0 || value > 1) throw outOfRange(`thresholds.${key}`, 'from 0 to 1, as likelihoods are', value)
  }
  if (thresholds.elevated > thresholds.alert) {
    throw outOfRange('thresholds.elevated', `at most thresholds.alert (${String(thresholds.alert)})`, thresholds.elevated)
  }
  return thresholds
}

/** Smaller drifts are not reported. */
const NOTABLE_DRIFT = 0.05

function reasonsOf(verdict: Omit<ClassicVerdict, 'reasons'>, thresholds: ClassicThresholds): string[] {
  const reasons: string[] = []
  const show = (value: number): string => value.toFixed(2)
  if (verdict.empty) return ["empty reply: the previous reply's level is repeated, no alert is raised"]
  if (verdict.level !== 'calm') {
    reasons.push(`reply ${whereabouts(verdict.risk)} (risk ${show(verdict.risk)} of 2)`)
    if (verdict.drift > NOTABLE_DRIFT) reasons.push(`${show(verdict.drift)} further away than the previous reply`)
  }
  if (verdict.earlyWarning) reasons.push(`early warning: moving away faster and faster (acceleration ${show(verdict.acceleration)})`)
  if (verdict.fragile && verdict.ratio !== null) {
    reasons.push(
      `fragile: replies stray further than the user's messages (ratio ${show(verdict.ratio)}, above ${String(thresholds.ratio)})`,
    )
  }
  return reasons
}

function whereabouts(risk: number): string {
  if (risk < 0.5) return 'close to safe ground'
  if (risk < 1) return 'leaning away from safe ground'
  if (risk < 1.5) return 'turned away from safe ground'
  return 'nearly opposite to safe ground'
}
