// What can be asked of a classifier, checked by name before anything is loaded.

import { checkInteger, checkOneOf, checkOptions, checkSignal, checkString, invalidArgument } from '../options.js'

/** Precisions of weights and arithmetic; `auto` is `bf16` where gabion's kernels compute the model, else what its export has. */
export const CLASSIFIER_PRECISIONS = ['auto', 'fp32', 'bf16', 'int8'] as const
/** See {@link ClassifierOptions.precision}. */
export type ClassifierPrecision = (typeof CLASSIFIER_PRECISIONS)[number]

const PROVIDERS = ['cpu', 'cuda'] as const
const TRUNCATIONS = ['windows', 'longest_first', 'only_second'] as const
const AGGREGATIONS = ['max', 'mean'] as const
/** Most inputs and threads that an option may ask for. */
const MAX_THREADS = 1024

/** Options of `Classifier.load`. */
export interface ClassifierOptions {
  /** Default `auto`: bf16 where gabion's kernels compute the model. An ONNX export is run as it is. */
  precision?: ClassifierPrecision
  /** Requested providers, best first; `cuda` runs the folder's ONNX export. Default `['cpu']`. */
  providers?: readonly (typeof PROVIDERS)[number][]
  /** For the provider `cuda`: as in `EmbedderOptions`. */
  cudaLibrary?: string
  /** Inputs that may run at once; default: what cgroup quota, affinity and physical cores allow. */
  threads?: number
  /**
   * What becomes of inputs longer than the model takes. `windows` (default): the text, of a pair the second one, is read in windows that
   * overlap by a quarter, and nothing is lost; a pair whose first text takes more than half is cut as with `longest_first`.
   * `longest_first` and `only_second` cut the ends off, as transformers does.
   */
  truncation?: (typeof TRUNCATIONS)[number]
  /**
   * How the logits of windows are joined. Default: `max` for independent labels (`multi_label_classification`, a single output), so that
   * what one window shows is not diluted; `mean` for labels that exclude each other.
   */
  aggregation?: (typeof AGGREGATIONS)[number]
}

/** Options with defaults filled in; the default of `aggregation` depends on the model. */
export interface CheckedClassifierOptions {
  precision: ClassifierPrecision
  providers: (typeof PROVIDERS)[number][]
  cudaLibrary: string | undefined
  threads: number | undefined
  truncation: (typeof TRUNCATIONS)[number]
  aggregation: (typeof AGGREGATIONS)[number] | undefined
}

/** @throws GabionError `INVALID_ARGUMENT` naming the option */
export function checkClassifierOptions(value: ClassifierOptions | undefined): CheckedClassifierOptions {
  const options = checkOptions('options', value, ['precision', 'providers', 'cudaLibrary', 'threads', 'truncation', 'aggregation'])
  const { precision = 'auto', providers = ['cpu'], cudaLibrary, threads, truncation = 'windows', aggregation } = options
  if (!Array.isArray(providers) || providers.length === 0)
    throw invalidArgument('providers', 'an array with at least one provider', providers)
  return {
    precision: checkOneOf('precision', precision, CLASSIFIER_PRECISIONS),
    providers: (providers as unknown[]).map((provider) => checkOneOf('each of providers', provider, PROVIDERS)),
    cudaLibrary: cudaLibrary === undefined ? undefined : checkString('cudaLibrary', cudaLibrary),
    threads: threads === undefined ? undefined : checkInteger('threads', threads, 1, MAX_THREADS),
    truncation: checkOneOf('truncation', truncation, TRUNCATIONS),
    aggregation: aggregation === undefined ? undefined : checkOneOf('aggregation', aggregation, AGGREGATIONS),
  }
}

/** A text, or a pair such as premise and hypothesis, or query and passage. */
export type ClassifierInput = string | { readonly text: string; readonly pair: string }

/** @throws GabionError `INVALID_ARGUMENT` naming the input */
export function checkClassifierInput(name: string, value: unknown): readonly [string] | readonly [string, string] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) throw invalidArgument(name, 'a string or { text, pair }', value)
  const { text, pair } = checkOptions(name, value as { text?: unknown; pair?: unknown }, ['text', 'pair'])
  return [checkString(`${name}.text`, text), checkString(`${name}.pair`, pair)]
}

/** Options of `classify`. */
export interface ClassifyOptions {
  signal?: AbortSignal
  /** How many of the best labels `scores` has; default all. */
  topK?: number
}

/** @throws GabionError `INVALID_ARGUMENT` naming the option */
export function checkClassifyOptions(value: ClassifyOptions | undefined): { signal: AbortSignal | undefined; topK: number | undefined } {
  const { signal, topK } = checkOptions('options', value, ['signal', 'topK'])
  return {
    signal: signal === undefined ? undefined : checkSignal('signal', signal),
    topK: topK === undefined ? undefined : checkInteger('topK', topK, 1),
  }
}
