// What can be asked of an embedder, checked by name before anything is loaded.

import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkSignal,
  checkString,
  invalidArgument,
} from '../options.js'
import type { PreparationProgress } from '../convert/prepared-model.js'
import { checkAssumedModules, type AssumedModules, type GraphPooling } from '../models/pooled-modules.js'
import { Projection } from '../projection/projection.js'

/** Precision of the weights; part of the identity of every vector. */
export const PRECISIONS = ['auto', 'fp32', 'bf16', 'int8', 'fp16'] as const
/** See {@link EmbedderOptions.precision}. */
export type Precision = (typeof PRECISIONS)[number]

/** Execution providers that can be requested. */
export const PROVIDERS = ['cpu', 'cuda'] as const
/** See {@link EmbedderOptions.providers}. */
export type Provider = (typeof PROVIDERS)[number]

/** Default of {@link EmbedderOptions.cache}: 32 MiB, about 15,000 sentences of 384 dimensions. */
export const DEFAULT_CACHE_BYTES = 32 * 1024 * 1024

/** A text that was longer than the model's maximum. */
export interface Truncation {
  text: string
  /** Tokens that were used, special tokens included. */
  tokenCount: number
  /** Tokens of the whole text. */
  totalTokenCount: number
}

/** Options of `Embedder.load`. */
export interface EmbedderOptions {
  /**
   * A known model's name, a repository of the hub (`owner/name`), either with `@revision` or without, or a model folder; default:
   * the bundled `all-MiniLM-L6-v2`. What is not on this machine is downloaded, and what has no graph is converted, once.
   */
  model?: string
  /** Default `auto`: the best that the folder holds for everyday use (bf16 weights, else fp32, else int8; fp16 first for cuda). */
  precision?: Precision
  /**
   * The ONNX file to run, relative to the model's folder, such as `onnx/model_O3.onnx`; `info.precision` is then that of its weights.
   * Default: graphs that gabion has made, else `onnx/model.onnx` or the best of the usual names that is there.
   */
  onnxFile?: string
  /**
   * How token vectors become one, for a model without modules.json, which says so itself: `mean`, `cls`, `max`, `mean_sqrt_len_tokens`,
   * `weightedmean` or `lasttoken`, as the model's card says.
   */
  pooling?: GraphPooling
  /** With `pooling`: whether vectors are scaled to unit length. Default true. */
  normalize?: boolean
  /**
   * Values per vector: the first ones of the model's, scaled to unit length, for models that were trained for it (Matryoshka). Part of a
   * vector's identity. Default: all, or what the folder says (`truncate_dim`).
   */
  dimensions?: number
  /** Requested providers, best first; the first that works is used and `info` says why others were skipped. Default `['cpu']`. */
  providers?: readonly Provider[]
  /**
   * For the provider `cuda`: ONNX Runtime's `libonnxruntime_providers_cuda.so`, or the folder that has it. Default: what the environment
   * variable `GABION_CUDA_PROVIDER` names, else that of an installed `onnxruntime-gpu` (Python) or `onnxruntime-node`.
   */
  cudaLibrary?: string
  /**
   * Texts that may run at once, and threads that may share a text that is the only one (eight at most). Default: what cgroup quota, affinity
   * and physical cores allow.
   */
  threads?: number
  /** `false` for no cache, or its bound in bytes (default 32 MiB). */
  cache?: false | { maxBytes?: number }
  /** Called for each text that was cut. Without it, `embed` warns once per process through `process.emitWarning`. */
  onTruncated?: (truncation: Truncation) => void
  /** Called while a model is downloaded or converted. */
  onProgress?: (progress: PreparationProgress) => void
  /** Ends a download or conversion. */
  signal?: AbortSignal
}

/** Options of `embed` of one text and of `embedSync`. */
export interface EmbedOptions {
  /** Returns the projected vector instead of the vector, computed in the native call. */
  projection?: Projection
  /** One of the model's prompts by its name (`info.prompts`), put before the text; `''` for none. Default: what the model's folder says. */
  prompt?: string
  /** Values per vector, as {@link EmbedderOptions.dimensions}; at most the embedder's own. A projection then takes vectors of this size. */
  dimensions?: number
  signal?: AbortSignal
}

/** Options of `embedBatch`, `embedWindows`, and `embed` of many texts. */
export interface EmbedBatchOptions extends EmbedOptions {
  /** Called on the event loop as parts of the batch are done. */
  onProgress?: (progress: { done: number; total: number }) => void
  /** `false` neither looks the texts up in the cache nor keeps their vectors: for texts that do not come again. */
  cache?: boolean
}

/** Options with every default filled in. */
export interface CheckedEmbedderOptions {
  model: string | undefined
  precision: Precision
  onnxFile: string | undefined
  assumed: AssumedModules | undefined
  dimensions: number | undefined
  providers: Provider[]
  cudaLibrary: string | undefined
  threads: number | undefined
  cacheBytes: number
  onTruncated: ((truncation: Truncation) => void) | undefined
  onProgress: ((progress: PreparationProgress) => void) | undefined
  signal: AbortSignal | undefined
}

const MAX_THREADS = 1024

/** @throws GabionError `INVALID_ARGUMENT` naming the option */
export function checkEmbedderOptions(value: string | EmbedderOptions | undefined): CheckedEmbedderOptions {
  const options = checkOptions('options', typeof value === 'string' ? { model: value } : value, [
    'model',
    'precision',
    'onnxFile',
    'pooling',
    'normalize',
    'dimensions',
    'providers',
    'cudaLibrary',
    'threads',
    'cache',
    'onTruncated',
    'onProgress',
    'signal',
  ])
  const { model, precision = 'auto', onnxFile, dimensions, providers = ['cpu'] } = options
  const { cudaLibrary, threads, cache, onTruncated, onProgress, signal } = options
  if (!Array.isArray(providers) || providers.length === 0)
    throw invalidArgument('providers', 'an array with at least one provider', providers)
  return {
    model: model === undefined ? undefined : checkString('model', model),
    precision: checkOneOf('precision', precision, PRECISIONS),
    onnxFile: onnxFile === undefined ? undefined : checkString('onnxFile', onnxFile),
    assumed: checkAssumedModules(options),
    dimensions: dimensions === undefined ? undefined : checkInteger('dimensions', dimensions, 1),
    providers: (providers as unknown[]).map((provider) => checkOneOf('each of providers', provider, PROVIDERS)),
    cudaLibrary: cudaLibrary === undefined ? undefined : checkString('cudaLibrary', cudaLibrary),
    threads: threads === undefined ? undefined : checkInteger('threads', threads, 1, MAX_THREADS),
    cacheBytes: checkCache(cache),
    onTruncated: onTruncated === undefined ? undefined : checkFunction('onTruncated', onTruncated),
    onProgress: onProgress === undefined ? undefined : checkFunction('onProgress', onProgress),
    signal: signal === undefined ? undefined : checkSignal('signal', signal),
  }
}

function checkCache(cache: EmbedderOptions['cache']): number {
  if (cache === undefined) return DEFAULT_CACHE_BYTES
  if (cache === false) return 0
  const { maxBytes } = checkOptions('cache', cache, ['maxBytes'])
  return maxBytes === undefined ? DEFAULT_CACHE_BYTES : checkInteger('cache.maxBytes', maxBytes, 0)
}

/** @throws GabionError `INVALID_ARGUMENT` naming the option */
export function checkEmbedOptions(value: EmbedOptions | undefined): EmbedOptions {
  if (value === undefined) return {}
  return checkCommon(checkOptions('options', value, ['projection', 'prompt', 'dimensions', 'signal']))
}

/** @throws GabionError `INVALID_ARGUMENT` naming the option */
export function checkEmbedBatchOptions(value: EmbedBatchOptions | undefined): EmbedBatchOptions {
  if (value === undefined) return {}
  const options = checkOptions('options', value, ['projection', 'prompt', 'dimensions', 'signal', 'onProgress', 'cache'])
  if (options.onProgress !== undefined) checkFunction('onProgress', options.onProgress)
  if (options.cache !== undefined) checkBoolean('cache', options.cache)
  return checkCommon(options)
}

function checkCommon<T extends EmbedOptions>(options: T): T {
  if (options.projection !== undefined && !(options.projection instanceof Projection)) {
    throw invalidArgument('projection', 'a Projection', options.projection)
  }
  if (options.prompt !== undefined) checkString('prompt', options.prompt)
  if (options.dimensions !== undefined) checkInteger('dimensions', options.dimensions, 1)
  if (options.signal !== undefined) checkSignal('signal', options.signal)
  return options
}
