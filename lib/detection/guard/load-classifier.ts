// Owns a detector over any Hugging Face classifier: its labels of harm are the signal `unsafe` of a guard that knows no rules.

import { nodeCrypto } from '../../lazy.js'
import { checkInteger, checkNumber, checkOneOf, checkOptions, checkString, invalidArgument, outOfRange } from '../../options.js'
import type { Classification } from '../../classifier/classification.js'
import { CLASSIFIER_PRECISIONS, type ClassifierPrecision } from '../../classifier/classifier-options.js'
import type { GuardDescription } from './description.js'
import { GuardDetector } from './guard-detector.js'
import type { GuardInput, GuardLogits, GuardScorer } from './scorer.js'
import { logOdds } from './signals.js'

const READS = ['reply', 'exchange'] as const
const DEFAULT_LINES = { elevated: 0.5, alert: 0.9 }

/** A classifier as a detector: see {@link loadClassifierDetector}. */
export interface ClassifierDetectorOptions {
  /** Folder of a `…ForSequenceClassification` model. */
  classifier: string
  /** Its labels that mean harm: the probability of `unsafe` is their sum, of independent labels the highest. */
  unsafe: readonly string[]
  /** `reply` (default): the reply alone. `exchange`: the user's message and the reply as a pair, for models trained on pairs. */
  reads?: (typeof READS)[number]
  /** Probabilities of `unsafe` at which a level is entered. Default .5 and .9. */
  lines?: { elevated?: number; alert?: number }
  /** Default `auto`. */
  precision?: ClassifierPrecision
  /** Readings that may run at once; default: what the machine allows. */
  threads?: number
}

/**
 * Loads a classifier as a detector. Level, strength, reasons and reports are those of the guard; rules and system prompt are not read.
 *
 * @throws GabionError `INVALID_ARGUMENT`, and as `Classifier.load`
 */
export async function loadClassifierDetector(options: ClassifierDetectorOptions): Promise<GuardDetector> {
  const given = checkOptions('detector', options, ['classifier', 'unsafe', 'reads', 'lines', 'precision', 'threads'])
  const folder = checkString('detector.classifier', given.classifier)
  const reads = checkOneOf('detector.reads', given.reads ?? 'reply', READS)
  const lines = checkLines({ ...DEFAULT_LINES, ...checkOptions('detector.lines', given.lines, ['elevated', 'alert']) })
  const precision = checkOneOf('detector.precision', given.precision ?? 'auto', CLASSIFIER_PRECISIONS)
  if (given.threads !== undefined) checkInteger('detector.threads', given.threads, 1)
  const { Classifier } = await import('../../classifier/classifier.js')
  // The highest logits of a long reply's windows, so that harm in one is not diluted by the others.
  const model = await Classifier.load(folder, {
    precision,
    aggregation: 'max',
    ...(given.threads !== undefined && { threads: given.threads }),
  })
  try {
    const unsafe = checkLabels(given.unsafe, model.info.labels)
    if (model.info.problemType === 'regression')
      throw invalidArgument('detector.classifier', 'a classifier: this model gives one number without a scale', folder)
    const { modelType, labels } = model.info
    const parts = [folder, modelType, labels, [...unsafe], reads, lines]
    return new GuardDetector({
      description: descriptionOf(model.info.model, lines),
      scorer: new ClassifierScorer(model, unsafe, reads),
      terms: null,
      first: null,
      fingerprint: nodeCrypto().createHash('sha256').update(JSON.stringify(parts)).digest('hex'),
    })
  } catch (error) {
    model.dispose()
    throw error
  }
}

function checkLines({ elevated, alert }: typeof DEFAULT_LINES): typeof DEFAULT_LINES {
  for (const [level, line] of Object.entries({ elevated, alert })) {
    const checked = checkNumber(`detector.lines.${level}`, line)
    if (checked <= 0 || checked >= 1) throw outOfRange(`detector.lines.${level}`, 'between 0 and 1', line)
  }
  if (elevated > alert) throw outOfRange('detector.lines.elevated', 'at most detector.lines.alert', elevated)
  return { elevated, alert }
}

function checkLabels(value: unknown, labels: readonly string[]): ReadonlySet<string> {
  if (!Array.isArray(value) || value.length === 0) throw invalidArgument('detector.unsafe', 'an array with at least one label', value)
  return new Set((value as unknown[]).map((label) => checkOneOf('each of detector.unsafe', label, labels)))
}

/** A guard with one output, whose logit is its log-odds. */
function descriptionOf(name: string, lines: { elevated: number; alert: number }): GuardDescription {
  return {
    encoder: { name, tokenizerSha256: '' },
    outputs: ['unsafe'],
    shownRules: 0,
    flagWeights: [[0, 0]],
    terms: null,
    calibration: { unsafe: { logits: { unsafe: 1 }, terms: {}, b: 0 } },
    lines: {
      alert: { breaks: null, unsafe: lines.alert, strength: null },
      elevated: { breaks: null, unsafe: lines.elevated, wavers: null, strength: 0.5 },
      kept: { wavers: lines.elevated },
    },
    cascade: { likelihood: 0, closeness: 0 },
  }
}

/** The part of a `Classifier` that is used here. */
interface ClassifierModel {
  readonly info: { readonly problemType: string }
  classifyBatch(inputs: readonly (string | { text: string; pair: string })[], options?: { signal?: AbortSignal }): Promise<Classification[]>
  dispose(): void
}

class ClassifierScorer implements GuardScorer {
  readonly #model: ClassifierModel
  readonly #unsafe: ReadonlySet<string>
  readonly #reads: (typeof READS)[number]

  constructor(model: ClassifierModel, unsafe: ReadonlySet<string>, reads: (typeof READS)[number]) {
    this.#model = model
    this.#unsafe = unsafe
    this.#reads = reads
  }

  async score(inputs: readonly GuardInput[], { signal }: { readonly signal?: AbortSignal | undefined }): Promise<GuardLogits[]> {
    const texts = inputs.map(({ user, reply }) => (this.#reads === 'reply' ? reply : { text: user, pair: reply }))
    const found = await this.#model.classifyBatch(texts, signal === undefined ? {} : { signal })
    return found.map(({ scores }) => [logOdds(this.#probabilityOf(scores))])
  }

  dispose(): void {
    this.#model.dispose()
  }

  #probabilityOf(scores: Classification['scores']): number {
    const harmful = scores.filter(({ label }) => this.#unsafe.has(label)).map(({ score }) => score)
    const areIndependent = this.#model.info.problemType === 'multi_label_classification'
    return areIndependent ? Math.max(...harmful) : harmful.reduce((sum, score) => sum + score, 0)
  }
}
