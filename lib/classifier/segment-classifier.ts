// A guard's model: inputs of segments in, logits out. Knows neither levels nor conversations.

import { GabionError } from '../errors.js'
import { nativeAddon, type NativeModel, type NativeResult } from '../native.js'
import { checkInteger, checkOneOf, checkOptions, checkSignal, checkString, invalidArgument } from '../options.js'
import { GUARD_SEGMENTS, readGuardFolder, type GuardFolder } from './guard-folder.js'
import { openClassifier, runClassifier, type OpenedClassifier, type SegmentTexts } from './native-classifier.js'

const PRECISIONS = ['fp32', 'bf16', 'int8'] as const
const MAX_THREADS = 1024

/** Precision of the weights and of the arithmetic, as of an embedder. */
export type ClassifierPrecision = (typeof PRECISIONS)[number]

/** Options of `SegmentClassifier.load`. */
export interface SegmentClassifierOptions {
  /** With `guard.json` and `model.safetensors`. */
  folder: string
  /** Default `bf16`. */
  precision?: ClassifierPrecision
  /** Inputs that may run at once; default: what the machine allows. */
  threads?: number
  /** Folder of the encoder whose tables it shares; default: what `guard.json` names. A guard with its own `config.json` needs none. */
  encoder?: string
}

/** What a segment classifier is. */
export interface SegmentClassifierInfo extends Pick<GuardFolder, 'folder' | 'outputs' | 'budgets' | 'settings' | 'encoder'> {
  precision: ClassifierPrecision
  /** What the kernels run with. */
  instructionSet: string
  threads: number
}

/** One input: for each segment (rules, history, user, reply) its strings, which are tokenized one by one and joined. */
export interface SegmentInput {
  readonly segments: SegmentTexts
}

/** Results over n inputs and the classifier's k outputs. */
export interface SegmentScores {
  /** n × k, row-major: the maximum over an input's windows. */
  logits: Float32Array
  /** n × k: the window that has the maximum. */
  windows: Int32Array
  /** Windows of each input. */
  windowCounts: Int32Array
  /** Tokens of each input, of all its windows, separators included. */
  tokenCounts: Int32Array
  /** Tokens of each input beyond the budgets of its segments. */
  droppedTokens: Int32Array
  /** Milliseconds; summed over inputs but for the queue. */
  times: { tokenizeMs: number; queueMs: number; encodeMs: number }
}

/**
 * A cross-encoder over the segments of an exchange.
 *
 * Token ids of rules and history are remembered, so that a long prompt is tokenized once. A long reply is read in windows, each after all
 * other segments. Each input runs at its own length: its logits depend on nothing else.
 */
export class SegmentClassifier {
  readonly info: Readonly<SegmentClassifierInfo>
  readonly #model: NativeModel
  #disposed = false

  private constructor({ model, native }: OpenedClassifier, guard: GuardFolder, precision: ClassifierPrecision) {
    this.#model = model
    const { folder, outputs, budgets, settings, encoder } = guard
    const { encoderInstructionSet: instructionSet, threads } = native
    this.info = Object.freeze({ folder, outputs, budgets, settings, encoder, precision, instructionSet, threads })
  }

  /**
   * Loads a guard's folder; see docs/detector.md for its files.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `MODEL_NOT_FOUND`, `MODEL_INVALID`, `MODEL_UNSUPPORTED`, `RUNTIME_MISSING`
   */
  static async load(options: SegmentClassifierOptions): Promise<SegmentClassifier> {
    const { folder, precision = 'bf16', threads, encoder } = checkOptions('options', options, ['folder', 'precision', 'threads', 'encoder'])
    const checkedPrecision = checkOneOf('precision', precision, PRECISIONS)
    if (threads !== undefined) checkInteger('threads', threads, 1, MAX_THREADS)
    if (encoder !== undefined) checkString('encoder', encoder)
    const guard = await readGuardFolder(checkString('folder', folder), encoder)
    const { tokenizerFile, checkpoint, head, segments, budgets } = guard
    const opened = await openClassifier({
      tokenizerFile,
      checkpoint: { ...checkpoint, precision: checkedPrecision },
      head,
      segments,
      stride: budgets.replyStride,
      ...(threads === undefined ? {} : { threads }),
    })
    return new SegmentClassifier(opened, guard, checkedPrecision)
  }

  /**
   * Computes the logits of inputs, off the event loop.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `ABORTED`, `DISPOSED`, `OVERLOADED`, `TOKENIZER_FAILED`, `INFERENCE_FAILED`; always as a
   *   rejection
   */
  async score(inputs: readonly SegmentInput[], options?: { signal?: AbortSignal }): Promise<SegmentScores> {
    const { signal } = checkOptions('options', options, ['signal'])
    if (signal !== undefined) checkSignal('signal', signal)
    const checked = checkInputs(inputs)
    if (this.#disposed) throw new GabionError('DISPOSED', 'the classifier was disposed')
    return joinResults(await runClassifier(this.#model, checked, signal), checked.length, this.info.outputs.length)
  }

  /** Refuses new calls from now on; calls in flight end well, and the last one frees the model. Safe to call again. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    nativeAddon().closeModel(this.#model)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

function checkInputs(inputs: readonly SegmentInput[]): SegmentTexts[] {
  if (!Array.isArray(inputs)) throw invalidArgument('inputs', 'an array', inputs)
  return inputs.map((input: SegmentInput | null, index) => {
    const name = `inputs[${String(index)}].segments`
    const segments: unknown = input?.segments
    if (!Array.isArray(segments) || segments.length !== GUARD_SEGMENTS.length) {
      throw invalidArgument(name, `an array of ${String(GUARD_SEGMENTS.length)}: ${GUARD_SEGMENTS.join(', ')}`, segments)
    }
    return segments.map((texts: unknown, at) => {
      const segment = `${name}[${String(at)}]`
      const isLast = at === segments.length - 1
      if (!Array.isArray(texts) || (isLast && texts.length === 0))
        throw invalidArgument(segment, isLast ? 'an array of at least one string' : 'an array of strings', texts)
      return texts.map((text: unknown) => checkString(`each of ${segment}`, text))
    })
  })
}

/** Joins windows by the maximum of each logit. */
function joinResults(results: readonly NativeResult[], inputs: number, outputs: number): SegmentScores {
  const scores: SegmentScores = {
    logits: new Float32Array(inputs * outputs).fill(-Infinity),
    windows: new Int32Array(inputs * outputs),
    windowCounts: new Int32Array(inputs),
    tokenCounts: new Int32Array(inputs),
    droppedTokens: new Int32Array(inputs),
    times: { tokenizeMs: 0, queueMs: 0, encodeMs: 0 },
  }
  let input = 0
  for (const { vectors, windowCounts, tokenCounts, times } of results) {
    let row = 0
    for (const [index, count] of (windowCounts ?? new Int32Array()).entries()) {
      for (let window = 0; window < count; window++, row++) {
        for (let output = 0; output < outputs; output++) {
          const logit = vectors[row * outputs + output] as number
          const at = input * outputs + output
          if (logit <= (scores.logits[at] as number)) continue
          scores.logits[at] = logit
          scores.windows[at] = window
        }
      }
      const [used = 0, total = 0] = tokenCounts.subarray(2 * index)
      scores.windowCounts[input] = count
      scores.tokenCounts[input] = used
      scores.droppedTokens[input++] = total - used
    }
    const [tokenize = 0, queue = 0, encode = 0] = times
    scores.times.tokenizeMs += tokenize
    scores.times.queueMs = Math.max(scores.times.queueMs, queue)
    scores.times.encodeMs += encode
  }
  return scores
}
