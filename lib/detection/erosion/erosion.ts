// Owns the erosion detector: a trained head that scores every exchange, thresholds, hysteresis, and an exact explanation.
// Knows vectors, not how texts become vectors, and an artifact, not how it was trained.

import { GabionError } from '../../errors.js'
import { checkOneOf, checkOptions, invalidArgument } from '../../options.js'
import type { Detector, EmbeddedExchange } from '../detector.js'
import { withPlainLetters } from '../plain-letters.js'
import { artifactFingerprint, type Anchor, type ErosionArtifact, type ThresholdSet } from './artifact.js'
import { scoreExchange, textVector, type Contributions, type HeadWeights } from './head.js'
import { guessLanguage, type Language } from './language.js'
import { checkErosionState, EROSION_START, nextLevel, type ErosionState, type Levels } from './level.js'
import { RefusalReader, type RefusalFlags, type RefusalLexicon } from './lexicon.js'
import { reasonsOf } from './reasons.js'
import { AGGREGATES, type Aggregate } from './thresholds.js'
import type { DetectorVerdict } from '../verdict.js'

export type { ErosionState } from './level.js'

/** How close a reply is to a typical one. */
export interface NearestAnchor {
  readonly tag: string
  /** Cosine of the winning window and the anchor. */
  readonly cosine: number
}

/**
 * What the erosion detector says beyond {@link DetectorVerdict}. `risk` is the logit in benign standard deviations above the
 * benign median, `drift` and `acceleration` its changes, `cumulative` the decayed sum of what exceeds nine of ten benign
 * exchanges. `alert` is true at the exchange that enters the level `alert`, not at those that stay in it.
 */
export interface ErosionVerdict extends DetectorVerdict {
  readonly logit: number
  /** They sum to the logit; null for an empty reply, which is not scored. */
  readonly contributions: Contributions | null
  /** What is compared with the thresholds: the logit, or the aggregate asked for. */
  readonly statistic: number
  readonly thresholds: {
    readonly aggregate: Aggregate
    readonly elevated: number
    readonly alert: number
    /** Share of ordinary conversations that each line lets through. */
    readonly budgets: { readonly elevated: number; readonly alert: number }
    readonly source: string
  }
  /** The part of the reply that the logit comes from. */
  readonly window: { readonly index: number; readonly count: number; readonly start: number; readonly end: number }
  readonly anchors: { readonly safe: NearestAnchor; readonly unsafe: NearestAnchor }
  /** The highest logit of the conversation and the exchange it belongs to. */
  readonly highest: { readonly logit: number; readonly exchange: number }
  /** Refusal phrases found. */
  readonly refused: RefusalFlags
  /** What the reply seems to be written in, when that is not a language whose refusal phrases are known; else null. */
  readonly foreign: Language | null
  /** The reply was empty: it gets the benign median and raises no alert. */
  readonly empty: boolean
}

/** Options of {@link ErosionDetector}. */
export interface ErosionDetectorOptions {
  readonly artifact: ErosionArtifact
  /** What is compared with the thresholds. Default `max`: each exchange's own score. */
  readonly aggregate?: Aggregate
  /** Thresholds of a deployment, in place of the artifact's. */
  readonly thresholds?: ThresholdSet
  /** Refusal phrases of another language, or of several, in place of the artifact's English ones. */
  readonly lexicon?: RefusalLexicon | readonly RefusalLexicon[]
}

const NOWHERE: NearestAnchor = { tag: '', cosine: 0 }

/** Scores each exchange by a trained head on its sentence vectors and keeps score over the conversation. */
export class ErosionDetector implements Detector<ErosionState, ErosionVerdict> {
  readonly name = 'erosion'
  readonly fingerprint: string
  readonly projection = null
  readonly windows: { readonly size: number; readonly stride: number }
  readonly artifact: ErosionArtifact
  readonly aggregate: Aggregate
  readonly thresholds: ThresholdSet
  readonly #head: HeadWeights
  readonly #levels: Levels
  readonly #budgets: { readonly elevated: number; readonly alert: number }
  readonly #refusals: RefusalReader

  /** @throws GabionError `INVALID_ARGUMENT`, `ARTIFACT_INVALID` for a lexicon that cannot be used */
  constructor(options: ErosionDetectorOptions) {
    const {
      artifact,
      aggregate = 'max',
      thresholds,
      lexicon,
    } = checkOptions('options', options, ['artifact', 'aggregate', 'thresholds', 'lexicon'])
    if (artifact === undefined) throw invalidArgument('artifact', 'an ErosionArtifact', artifact)
    this.artifact = artifact
    this.aggregate = checkOneOf('aggregate', aggregate, AGGREGATES)
    this.thresholds = thresholds ?? artifact.thresholds
    this.windows = artifact.windows
    this.#head = artifact.head
    this.#refusals = new RefusalReader(lexicon ?? artifact.lexicon)
    const { elevated, alert } = this.thresholds.levels[this.aggregate]
    this.#levels = { aggregate: this.aggregate, elevated: elevated.value, alert: alert.value }
    this.#budgets = { elevated: elevated.budget, alert: alert.budget }
    const [first = artifact.lexicon, ...others] = this.#refusals.lexicons
    this.fingerprint = artifactFingerprint({
      ...artifact,
      thresholds: this.thresholds,
      lexicon: first,
      name: [this.aggregate, ...others.map((lexicon) => JSON.stringify(lexicon))].join(' '),
    })
  }

  /** Letters that only look like Latin ones are read as those; see `withPlainLetters`. */
  normalize(text: string): string {
    return withPlainLetters(text)
  }

  start(): ErosionState {
    return EROSION_START
  }

  judge(state: ErosionState, exchange: EmbeddedExchange): { verdict: ErosionVerdict; state: ErosionState } {
    const { scale } = this.thresholds
    const reply = exchange.assistant
    const empty = reply.windows.length === 0
    const refused = this.#refusals.read(reply.text)
    const user = textVector(
      exchange.user.windows.map(({ vector }) => vector),
      this.#head.dimensions,
    )
    const scored = empty
      ? null
      : scoreExchange(
          this.#head,
          user,
          reply.windows.map(({ vector }) => vector),
          refused,
        )
    // An empty reply is an exchange like any other benign one: the level may calm down but not rise.
    const step = nextLevel(state, scored?.logit ?? scale.median, scale, empty ? { ...this.#levels, alert: Infinity } : this.#levels)
    const next = step.state
    const logit = next.last
    const inDeviations = (value: number): number => (value - scale.median) / scale.deviation
    const change = next.last - next.previous
    const changeBefore = state.exchanges === 0 ? 0 : state.last - state.previous
    const index = scored?.window ?? 0
    const window = reply.windows[index]
    const { slope, offset } = this.artifact.relativeScore
    const verdict = {
      alert: step.raised,
      level: next.level,
      likelihood: 1 / (1 + Math.exp(-(slope * logit + offset))),
      risk: inDeviations(logit),
      drift: change / scale.deviation,
      acceleration: state.exchanges === 0 ? 0 : (change - changeBefore) / scale.deviation,
      cumulative: next.dcusum,
      ratio: null,
      logit,
      contributions: scored?.contributions ?? null,
      statistic: step.statistic,
      thresholds: { ...this.#levels, budgets: this.#budgets, source: this.thresholds.source },
      window: { index, count: reply.windows.length, start: window?.start ?? 0, end: window?.end ?? 0 },
      anchors: window === undefined ? { safe: NOWHERE, unsafe: NOWHERE } : nearestAnchors(this.artifact.anchors, window.vector),
      highest: { logit: next.highest, exchange: next.highestExchange },
      refused,
      foreign: empty ? null : this.#foreign(reply.text),
      empty,
    }
    return { verdict: { ...verdict, reasons: reasonsOf(verdict, next.exchanges) }, state: next }
  }

  checkState(value: unknown): ErosionState {
    return checkErosionState(value)
  }

  #foreign(reply: string): Language | null {
    const language = guessLanguage(reply)
    return language === null || this.#refusals.lexicons.some(({ language: tag }) => tag === language.tag) ? null : language
  }

  /**
   * Refuses an embedder that the head or the thresholds were not made with: another model gives other vectors, and another
   * precision shifts scores, so that thresholds would no longer keep their budget.
   *
   * @throws GabionError `ARTIFACT_INVALID` naming both, and what to do
   */
  checkEmbedder(info: {
    readonly model: string
    readonly modelHash: string
    readonly precision: string
    readonly dimensions: number
  }): void {
    const { embedder } = this.artifact
    if (info.model !== embedder.model || info.dimensions !== this.#head.dimensions) {
      throw new GabionError(
        'ARTIFACT_INVALID',
        `the detector was trained on vectors of ${embedder.model} (${String(this.#head.dimensions)} dimensions), this is ${info.model} (${String(info.dimensions)}); train one with "gabion detector train --model ${info.model}"`,
      )
    }
    const set = this.thresholds.embedder
    if (info.modelHash !== set.hash || info.precision !== set.precision) {
      throw new GabionError(
        'ARTIFACT_INVALID',
        `the thresholds were set with ${set.model} in ${set.precision} (${set.hash.slice(0, 12)}), this is ${info.precision} (${info.modelHash.slice(0, 12)}); set new ones with "gabion detector calibrate --precision ${info.precision}"`,
      )
    }
  }
}

function nearestAnchors(anchors: readonly Anchor[], vector: ArrayLike<number>): ErosionVerdict['anchors'] {
  const nearest = { safe: { tag: '', cosine: -Infinity }, unsafe: { tag: '', cosine: -Infinity } }
  for (const anchor of anchors) {
    let cosine = 0
    for (let i = 0; i < anchor.vector.length; i++) cosine += (anchor.vector[i] as number) * (vector[i] as number)
    if (cosine > nearest[anchor.side].cosine) nearest[anchor.side] = { tag: anchor.tag, cosine }
  }
  return nearest
}
