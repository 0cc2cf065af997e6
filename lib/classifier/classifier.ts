// Texts and pairs to labels: the public face of Hugging Face classifiers.

import { basename } from 'node:path'
import { GabionError } from '../errors.js'
import { findCudaLibrary } from '../embedding/cuda-library.js'
import { nativeAddon, type NativeModel, type NativeNetwork, type NativeResult } from '../native.js'
import { invalidArgument } from '../options.js'
import { bestLabels, joinWindows, scoresOf, type Classification, type ClassifyTimings } from './classification.js'
import {
  findClassifierGraph,
  readClassifierFolder,
  readPackedNetwork,
  type ClassifierDescription,
  type ProblemType,
} from './classifier-folder.js'
import {
  checkClassifierInput,
  checkClassifierOptions,
  checkClassifyOptions,
  type CheckedClassifierOptions,
  type ClassifierInput,
  type ClassifierOptions,
  type ClassifierPrecision,
  type ClassifyOptions,
} from './classifier-options.js'
import { openClassifier, runClassifier, type SegmentTexts } from './native-classifier.js'

/** What a classifier runs, and where. */
export interface ClassifierInfo {
  model: string
  /** Absolute path of the model's folder. */
  folder: string
  /** `model_type` of config.json. */
  modelType: string
  /** Names of the logits, in their order. */
  labels: readonly string[]
  problemType: ProblemType
  precision: Exclude<ClassifierPrecision, 'auto'>
  provider: string
  /** Requested providers that could not be used, with the reason of each. */
  skippedProviders: readonly { provider: string; reason: string }[]
  /** What gabion's kernels run with; empty where ONNX Runtime runs the folder's export. */
  instructionSet: string
  threads: number
  /** Of the longest input that runs as one, special tokens included. */
  maxTokens: number
  truncation: 'windows' | 'longest_first' | 'only_second'
  aggregation: 'max' | 'mean'
}

/** The network that the options choose, and its precision. */
interface ChosenNetwork {
  network: NativeNetwork
  precision: ClassifierInfo['precision']
}

async function chooseNetwork(description: ClassifierDescription, options: CheckedClassifierOptions): Promise<ChosenNetwork> {
  const { folder, labels, vocabulary } = description
  const precision = options.precision === 'auto' ? 'bf16' : options.precision
  const wantsKernels = options.providers[0] === 'cpu' && nativeAddon().machine().encoderInstructionSet !== ''
  const packed = wantsKernels ? await readPackedNetwork(description) : 'this provider or processor'
  if (typeof packed !== 'string') {
    return { network: { checkpoint: { ...packed.checkpoint, precision }, head: packed.head }, precision }
  }
  const graph = await findClassifierGraph(folder)
  if (graph === null) {
    throw new GabionError(
      'MODEL_UNSUPPORTED',
      `gabion's kernels do not compute ${folder} (${packed}), and it has no ONNX export onnx/model.onnx or model.onnx; make one in Python ` +
        `with: optimum-cli export onnx --model ${folder} --task text-classification ${folder}/onnx`,
    )
  }
  if (options.precision !== 'auto' && options.precision !== 'fp32') {
    throw new GabionError(
      'MODEL_NOT_FOUND',
      `${folder} runs from its ONNX export (${packed}), which is run as it is: precision fp32 or auto`,
    )
  }
  const library = options.providers.includes('cuda') ? findCudaLibrary(options.cudaLibrary) : null
  const providers = options.providers.map((name) => (name === 'cuda' && library !== null ? `cuda:${library}` : name))
  return { network: { graph: { ...graph, providers, vocabulary, outputs: labels.length } }, precision: 'fp32' }
}

/**
 * A Hugging Face `…ForSequenceClassification` model in this process: NLI, rerankers, prompt guards, a fine-tune of your own.
 *
 * BERT, DistilBERT, RoBERTa, XLM-RoBERTa and MPNet run on gabion's kernels from the folder's safetensors; any other architecture runs in
 * ONNX Runtime from the folder's ONNX export. Each input runs at its own length, so its logits depend on nothing else.
 */
export class Classifier {
  readonly info: Readonly<ClassifierInfo>
  readonly #model: NativeModel
  #disposed = false

  private constructor(model: NativeModel, info: ClassifierInfo) {
    this.#model = model
    this.info = Object.freeze(info)
  }

  /**
   * Loads a model folder as transformers saves it.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `MODEL_NOT_FOUND`, `MODEL_INVALID`, `MODEL_UNSUPPORTED`, `PROVIDER_UNAVAILABLE`,
   *   `RUNTIME_MISSING`, `RUNTIME_INCOMPATIBLE`
   */
  static async load(folder: string, options?: ClassifierOptions): Promise<Classifier> {
    const checked = checkClassifierOptions(options)
    if (typeof folder !== 'string' || folder === '') throw invalidArgument('folder', 'the path of a model folder', folder)
    const description = await readClassifierFolder(folder)
    const { network, precision } = await chooseNetwork(description, checked)
    const { tokenizerFile, maxTokens, labels, problemType, modelType } = description
    const { truncation, threads } = checked
    const { model, native } = await openClassifier({
      tokenizerFile,
      ...network,
      pair: { maxTokens, truncation },
      ...(threads === undefined ? {} : { threads }),
    })
    const excludes = problemType === 'single_label_classification' && labels.length > 1
    return new Classifier(model, {
      model: basename(description.folder),
      folder: description.folder,
      modelType,
      labels: Object.freeze([...labels]),
      problemType,
      precision,
      provider: native.provider,
      skippedProviders: native.skippedProviders,
      instructionSet: native.encoderInstructionSet,
      threads: native.threads,
      maxTokens,
      truncation,
      aggregation: checked.aggregation ?? (excludes ? 'mean' : 'max'),
    })
  }

  /**
   * Classifies a text or a pair, off the event loop.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `ABORTED`, `DISPOSED`, `OVERLOADED`, `TOKENIZER_FAILED`, `INFERENCE_FAILED`; always as a
   *   rejection
   */
  async classify(input: ClassifierInput, options?: ClassifyOptions): Promise<Classification> {
    const [classification] = await this.#run([checkClassifierInput('input', input)], options)
    return classification as Classification
  }

  /**
   * Classifies many inputs, spread over the encoder threads, longest first.
   *
   * @returns as many as inputs, in their order
   * @throws GabionError as `classify`; the first failure fails the batch
   */
  async classifyBatch(inputs: readonly ClassifierInput[], options?: ClassifyOptions): Promise<Classification[]> {
    if (!Array.isArray(inputs)) throw invalidArgument('inputs', 'an array', inputs)
    const checked = inputs.map((input: unknown, index) => checkClassifierInput(`inputs[${String(index)}]`, input))
    return this.#run(checked, options)
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

  async #run(inputs: readonly (readonly string[])[], options: ClassifyOptions | undefined): Promise<Classification[]> {
    const { signal, topK } = checkClassifyOptions(options)
    if (this.#disposed) throw new GabionError('DISPOSED', 'the classifier was disposed')
    const start = performance.now()
    const timings: ClassifyTimings = { tokenizeMs: 0, queueMs: 0, encodeMs: 0, totalMs: 0 }
    const classifications: Classification[] = []
    const segmented = inputs.map(([text = '', ...pair]): SegmentTexts => [[text], pair])
    for (const result of await runClassifier(this.#model, segmented, signal)) {
      classifications.push(...this.#classificationsOf(result, topK, timings))
      const [tokenize = 0, queue = 0, encode = 0] = result.times
      timings.tokenizeMs += tokenize
      timings.queueMs = Math.max(timings.queueMs, queue)
      timings.encodeMs += encode
    }
    timings.totalMs = performance.now() - start
    return classifications
  }

  #classificationsOf(
    { vectors, windowCounts, tokenCounts }: NativeResult,
    topK: number | undefined,
    timings: ClassifyTimings,
  ): Classification[] {
    const { labels, problemType, aggregation } = this.info
    let row = 0
    return Array.from(windowCounts ?? [], (windows, index) => {
      const logits = joinWindows(vectors.subarray(row * labels.length, (row + windows) * labels.length), labels.length, aggregation)
      row += windows
      const scores = bestLabels(labels, scoresOf(logits, problemType), topK)
      const [tokenCount = 0, total = 0] = tokenCounts.subarray(2 * index)
      return { ...(scores[0] as Classification), scores, logits, windows, truncated: total > tokenCount, tokenCount, timings }
    })
  }
}
