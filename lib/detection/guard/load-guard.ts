// Owns loading of the guard: its folder, the model in native code, and the first stage of the cascade.

import { join } from 'node:path'
import { nodeCrypto } from '../../lazy.js'
import { readText } from '../../json/json-file.js'
import { checkInteger, checkOneOf, checkOptions, checkString } from '../../options.js'
import { packagePath } from '../../package-folder.js'
import { loadErosionDetector, type ErosionOptions } from '../erosion/load-erosion.js'
import { parseGuardDescription, type GuardDescription } from './description.js'
import { parseCalibratedLines } from './lines.js'
import { GuardDetector } from './guard-detector.js'
import type { GuardInput, GuardLogits, GuardScorer } from './scorer.js'
import { TermModel } from './terms.js'

/** Folder of the bundled guard. */
export const GUARD_FOLDER = packagePath('models', 'guard')

/** Which exchanges the guard reads: all, those that a first stage finds suspicious, or none (the `erosion` detector alone). */
export const GUARD_MODES = ['always', 'suspicious', 'off'] as const

/** See {@link GUARD_MODES}. */
export type GuardMode = (typeof GUARD_MODES)[number]

/** Precisions of the guard's model. */
export const GUARD_PRECISIONS = ['fp32', 'bf16', 'int8'] as const

/** Options of {@link loadGuardDetector}. */
export interface GuardOptions {
  /** Default `always`. */
  mode?: Exclude<GuardMode, 'off'>
  /** Folder of a guard; default: the bundled one. */
  folder?: string
  /** File of `gabion detector calibrate` with lines of your own; default: the guard's. */
  lines?: string
  /** Default: that of the embedder. */
  precision?: (typeof GUARD_PRECISIONS)[number]
  /** Readings that may run at once; default: what the machine allows. */
  threads?: number
}

/**
 * Creates a guard detector. Rules are chosen by the embedder's vectors; a first stage, if the mode asks for one, judges them.
 *
 * @param erosion - settings of the first stage
 * @throws GabionError `INVALID_ARGUMENT`, `ARTIFACT_INVALID`, `MODEL_NOT_FOUND`, `MODEL_INVALID`, `RUNTIME_MISSING`
 */
export async function loadGuardDetector(
  embedder: { readonly info: Parameters<typeof loadErosionDetector>[0]['info'] },
  options?: GuardOptions,
  erosion?: ErosionOptions,
): Promise<GuardDetector> {
  const given = checkOptions('guard', options, ['mode', 'folder', 'lines', 'precision', 'threads'])
  const mode = checkOneOf('guard.mode', given.mode ?? 'always', ['always', 'suspicious'])
  const folder = given.folder === undefined ? GUARD_FOLDER : checkString('guard.folder', given.folder)
  const precision = checkOneOf('guard.precision', given.precision ?? precisionOf(embedder.info.precision), GUARD_PRECISIONS)
  if (given.threads !== undefined) checkInteger('guard.threads', given.threads, 1)
  const file = join(folder, 'guard.json')
  const text = await readText(file, 'the guard')
  const identity = { guard: guardHash(text), precision }
  const own = given.lines === undefined ? null : await readText(checkString('guard.lines', given.lines), "the guard's lines")
  const described = parseGuardDescription(text, file)
  const description = own === null ? described : { ...described, lines: parseCalibratedLines(own, given.lines!, identity) }
  const first = mode === 'suspicious' ? await loadErosionDetector(embedder, erosion) : null
  const terms = description.terms === null ? null : await readTerms(folder, description.terms)
  const { SegmentClassifier } = await import('../../classifier/segment-classifier.js')
  const model = await SegmentClassifier.load({ folder, precision, ...(given.threads !== undefined && { threads: given.threads }) })
  // Precisions differ by less than the lines' own uncertainty, so they continue each other's states.
  const fingerprint = nodeCrypto()
    .createHash('sha256')
    .update(text)
    .update(`${mode} ${first?.fingerprint ?? ''}${own ?? ''}`)
    .digest('hex')
  return new GuardDetector({
    description,
    identity,
    scorer: new NativeScorer(model, description.outputs.length),
    terms,
    first,
    fingerprint,
  })
}

/** SHA-256 of a guard's description, which names its weights. */
function guardHash(description: string): string {
  return nodeCrypto().createHash('sha256').update(description).digest('hex')
}

/** The tables of the linear part, which are in the file of the weights. */
async function readTerms(folder: string, { bucketBits, intercepts }: NonNullable<GuardDescription['terms']>): Promise<TermModel> {
  const { CheckpointFiles } = await import('../../checkpoint/checkpoint-files.js')
  await using files = await CheckpointFiles.open([join(folder, 'model.safetensors')])
  const idf = await files.read('terms.idf', [2 ** bucketBits])
  return new TermModel({ bucketBits, intercepts, idf, weights: await files.read('terms.weight', [intercepts.length, 2 ** bucketBits]) })
}

function precisionOf(embedder: string): (typeof GUARD_PRECISIONS)[number] {
  return GUARD_PRECISIONS.find((precision) => precision === embedder) ?? 'bf16'
}

/** The part of a `SegmentClassifier` that is used here. */
interface SegmentModel {
  score(
    inputs: readonly { segments: readonly (readonly string[])[] }[],
    options?: { signal?: AbortSignal },
  ): Promise<{ readonly logits: Float32Array }>
  dispose(): void
}

/** Reads exchanges with the model in native code. */
class NativeScorer implements GuardScorer {
  readonly #model: SegmentModel
  readonly #width: number

  /** `width`: logits of an input. */
  constructor(model: SegmentModel, width: number) {
    this.#model = model
    this.#width = width
  }

  async score(inputs: readonly GuardInput[], { signal }: { readonly signal?: AbortSignal | undefined }): Promise<GuardLogits[]> {
    const { logits } = await this.#model.score(inputs.map(segmentsOf), signal === undefined ? {} : { signal })
    return inputs.map((_, index) => logits.subarray(index * this.#width, (index + 1) * this.#width))
  }

  dispose(): void {
    this.#model.dispose()
  }
}

/** As the guard was trained: each string is tokenized by itself, and an exchange of the history has its speakers' names. */
function segmentsOf({ rules, history, user, reply }: GuardInput): { segments: readonly (readonly string[])[] } {
  return { segments: [rules, history.flatMap((exchange) => ['user:', exchange.user, 'assistant:', exchange.assistant]), [user], [reply]] }
}
