// Owns the erosion detector: a trained head that scores every exchange, thresholds, hysteresis, and an exact explanation.
// Knows vectors and a trained artifact; neither embedding nor training.

import { DetectorMisfit } from '../misfit.js'
import { checkOneOf, checkOptions, invalidArgument } from '../../options.js'
import type { ConversationExchange, Detector, EmbeddedExchange } from '../detector.js'
import { foldConfusables } from '../confusables.js'
import { artifactFingerprint, type Anchor, type ErosionArtifact, type ThresholdSet } from './artifact.js'
import { scoreExchange, textVector, type HeadWeights } from './head.js'
import { guessLanguage, type Language } from './language.js'
import { checkErosionState, EROSION_START, nextLevel, type ErosionState, type Levels } from './level.js'
import { RefusalReader, type RefusalLexicon } from './lexicon.js'
import { reasonsOf } from './reasons.js'
import { AGGREGATES, type Aggregate } from './thresholds.js'
import type { ErosionVerdict, NearestAnchor } from './verdict.js'

export type { ErosionState } from './level.js'
export type { ErosionVerdict, NearestAnchor } from './verdict.js'

/** Options of {@link ErosionDetector}. */
export interface ErosionDetectorOptions {
  readonly artifact: ErosionArtifact
  /** The statistic that is compared with the thresholds. Default `max`: each exchange's own score. */
  readonly aggregate?: Aggregate
  /** Thresholds of a deployment; default: the artifact's. */
  readonly thresholds?: ThresholdSet
  /** Refusal phrases of one or more languages; default: the artifact's English ones. */
  readonly lexicon?: RefusalLexicon | readonly RefusalLexicon[]
}

const NO_ANCHOR: NearestAnchor = { tag: '', cosine: 0 }

/** Scores each exchange by a trained head on its sentence vectors and tracks the level over the conversation. */
export class ErosionDetector implements Detector<ErosionState, ErosionVerdict> {
  readonly name = 'erosion'
  readonly fingerprint: string
  readonly projection = null
  readonly embedsAhead = true
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

  /** Folds confusables to Latin letters; see `foldConfusables`. */
  normalize(text: string): string {
    return foldConfusables(text)
  }

  start(): ErosionState {
    return EROSION_START
  }

  async judge(state: ErosionState, exchange: ConversationExchange): Promise<{ verdict: ErosionVerdict; state: ErosionState }> {
    const embedded = await exchange.embedded()
    return this.judgeVectors(state, embedded, await this.#foreign(embedded.assistant.text))
  }

  /**
   * {@link judge} for an exchange that is embedded already.
   *
   * @param foreign - the reply's language if the lexicons do not have it, for the reasons
   */
  judgeVectors(
    state: ErosionState,
    exchange: EmbeddedExchange,
    foreign: Language | null = null,
  ): { verdict: ErosionVerdict; state: ErosionState } {
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
    // An empty reply counts as an average benign one: the level may fall but not rise.
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
      cumulative: next.decayedCusum,
      ratio: null,
      logit,
      contributions: scored?.contributions ?? null,
      statistic: step.statistic,
      thresholds: { ...this.#levels, budgets: this.#budgets, source: this.thresholds.source },
      window: { index, count: reply.windows.length, start: window?.start ?? 0, end: window?.end ?? 0 },
      anchors: window === undefined ? { safe: NO_ANCHOR, unsafe: NO_ANCHOR } : nearestAnchors(this.artifact.anchors, window.vector),
      highest: { logit: next.highest, exchange: next.highestExchange },
      refused,
      foreign: empty ? null : foreign,
      empty,
    }
    return { verdict: { ...verdict, reasons: reasonsOf(verdict, next.exchanges) }, state: next }
  }

  checkState(value: unknown): ErosionState {
    return checkErosionState(value)
  }

  async #foreign(reply: string): Promise<Language | null> {
    const language = await guessLanguage(reply)
    return language === null || this.#refusals.lexicons.some(({ language: tag }) => tag === language.tag) ? null : language
  }

  /**
   * Refuses an embedder other than that of the head or of the thresholds: another model gives other vectors, and another
   * precision shifts scores, so that thresholds would miss their budget.
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
      throw new DetectorMisfit(
        `the detector was trained on vectors of ${embedder.model} (${String(this.#head.dimensions)} dimensions), this is ${info.model} (${String(info.dimensions)}); train one with "gabion detector train --model ${info.model}"`,
      )
    }
    const set = this.thresholds.embedder
    if (info.modelHash !== set.hash || info.precision !== set.precision) {
      throw new DetectorMisfit(
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
