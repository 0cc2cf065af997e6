// Declares the whole native surface, loads the addon, and says what to do when it cannot be loaded.
// The addon's errors carry the codes of lib/errors.ts; from here on they are GabionErrors.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { onAbort } from './abort.js'
import { ERROR_CODES, GabionError, isGabionError, messageOf, wrongRange, type GabionErrorCode } from './errors.js'
import { HOST_TARGET, PACKAGED_TARGETS } from './host-target.js'
import { ADDON, PLATFORM_PACKAGE, binariesLocation, problemOfBinaries } from './native-binaries.js'
import { isBundled, wasBundled } from './package-folder.js'

declare const kind: unique symbol
/** A loaded model; opaque. */
export interface NativeModel {
  readonly [kind]: 'model'
}
/** An affine map that native code applies to vectors; opaque. */
export interface NativeProjection {
  readonly [kind]: 'projection'
}

/** What the engine needs to know of a model; paths are absolute. */
export interface NativeModelOptions {
  /** Or a checkpoint. */
  graphFile?: string
  checkpoint?: NativeCheckpoint
  /** Name of the graph's output that is read; the first without it. */
  graphOutput?: string
  /** The file next to the graph that it maps. A run after a write to it fails with `MODEL_INVALID`. */
  weightsFile?: string
  tokenizerFile: string
  pooling: 'mean' | 'cls' | 'max' | 'mean_sqrt_len_tokens' | 'lasttoken'
  normalize: boolean
  /** Tokens that a text is cut to, special tokens included. */
  maxTokens: number
  /** Whether the end of a longer text stays; without it, what tokenizer.json says. */
  keepsEnd?: boolean
  /** Rows of the embedding table; the tokenizer may not give an id beyond it. */
  vocabularySize: number
  dimensions: number
  /** Leading values of the finished vector that are kept; without it all. */
  keptDimensions?: number
  /** What gabion's own encoder computes with; graphs of standard operators have a precision of their own. */
  encoderPrecision: 'fp32' | 'bf16' | 'int8'
  /** Requested execution providers, best first: `cpu`, or `cuda:` with the absolute path of its library. */
  providers: string[]
  /** Texts of this model that may run at once; without it the machine decides. */
  threads?: number
}

/** A tensor in one of a checkpoint's files: [rows, columns], or [rows] with one column. */
export interface NativeTensor {
  /** Index into the checkpoint's files. */
  file: number
  type: 'F32' | 'BF16' | 'F16' | 'F64'
  rows: number
  columns: number
  /** First byte in the file. */
  offset: number
}

/** Rotary embeddings in the place of positions, and what else the architectures that have them do. */
export interface NativeRotary {
  /** Angles per position, one for two values of a head. */
  inverseFrequencies: readonly Float32Array[]
  /** Per layer: which of the inverse frequencies rotates queries and keys, and how far away keys may be (0: any distance). */
  attention: readonly { rotary: number; window: number }[]
  /** Tokens of the longest input. */
  longest: number
  feedForward: 'gelu' | 'gated-gelu' | 'gated-silu'
  /** Whether norms come before attention and feed-forward, and one after the last layer. */
  normFirst: boolean
}

/** An encoder as a checkpoint stores it, which native code packs for its kernels. */
export interface NativeCheckpoint {
  /** Absolute paths. */
  files: readonly string[]
  /**
   * Embeddings of words, positions and, with `hasTypes`, token types; weight and bias of their norm; per layer weight and bias of query,
   * key, value, attention output, attention norm, feed-forward input, feed-forward output and last norm. Linear weights are [out, in].
   * A gated feed-forward input has two halves, the activated one with its bias and the weight of the other; with `rotary.normFirst`, the
   * norm of the last hidden state comes in the end. Null: the architecture has none; a bias is then zero.
   */
  tensors: readonly (NativeTensor | null)[]
  layers: number
  heads: number
  hidden: number
  intermediate: number
  epsilon: number
  hasTypes: boolean
  /** Whether type 0 is added to the positions already, as in gabion's graphs; types then count from type 0. */
  positionsIncludeType: boolean
  /** Where positions count the tokens other than this id, from the row after it; else null. */
  paddingId: number | null
  /** [2 · longest − 1, heads], by key − query + longest − 1; null for none. */
  relativeBiases: Float32Array | null
  rotary?: NativeRotary
  precision: 'fp32' | 'bf16' | 'int8'
  /** For int8: what {@link NativeModelDescription.smoothScales} was of the same weights and instruction set; without it, it is computed. */
  smoothScales?: Float32Array
}

/** What a classifier computes from the hidden state: vectors, concatenated and scaled, through dense layers. */
export interface NativeHead {
  /** The first token's vector, or the mean of all tokens or of a segment with its separator. */
  features: readonly ({ kind: 'first' | 'mean' } | { kind: 'segment'; segment: number })[]
  scale: number
  /** Weights are [out, in], row-major. */
  layers: readonly { weight: Float32Array; bias: Float32Array; activation: 'none' | 'tanh' | 'relu' | 'gelu' }[]
}

/** One part of an input, followed by a separator. */
export interface NativeSegment {
  /** Without the separator; of the last segment: of one window. */
  maxTokens: number
  /** Which end of a longer one is kept; the last segment is cut into windows instead. */
  keepTail: boolean
  /** Left out with its separator where it has no tokens. */
  optional: boolean
  /** Its strings recur, so that their token ids are remembered. */
  cached: boolean
  tokenType: 0 | 1
}

/** A classifier that is one graph, with logits as its output. */
export interface NativeClassifierGraph {
  file: string
  /** The file next to the graph that it maps, if any. */
  weightsFile: string | null
  /** See {@link NativeModelOptions.providers}. */
  providers: readonly string[]
  /** Rows of the embedding table. */
  vocabulary: number
  /** Number of logits. */
  outputs: number
}

/** An encoder that native code packs, with its head, or a graph. */
export type NativeNetwork = { checkpoint: NativeCheckpoint; head: NativeHead } | { graph: NativeClassifierGraph }

/** What becomes of inputs that are longer than a model takes. */
export type NativeTruncation = 'longest_first' | 'only_second' | 'windows'

/** What the engine needs to know of a classifier; paths are absolute. */
export type NativeClassifierOptions = { tokenizerFile: string; threads?: number } & NativeNetwork &
  (
    | {
        segments: readonly NativeSegment[]
        /** Tokens from the start of a window of the last segment to the start of the next. */
        stride: number
      }
    /** One text or two, by the tokenizer's own template; `maxTokens` includes special tokens. */
    | { pair: { maxTokens: number; truncation: NativeTruncation } }
  )

/** What was opened. */
export interface NativeModelDescription {
  provider: string
  skippedProviders: { provider: string; reason: string }[]
  /** What gabion's own encoder runs with; empty if the graph is made of standard operators. */
  encoderInstructionSet: string
  /** Of the ONNX Runtime that runs the graph; empty for gabion's own encoder. */
  runtimeVersion: string
  threads: number
  /** Values per vector; of a classifier: logits. */
  width: number
  /** Of a checkpoint in int8: the scales between activations and weights, if they were computed; else null. */
  smoothScales: Float32Array | null
}

/** How long texts are cut: windows of at most `size` tokens, special tokens not counted, one every `stride` tokens. */
export interface NativeWindowRule {
  readonly size: number
  readonly stride: number
}

/** Results of one request over n texts: of all their windows in order, which without a rule is one window per text. */
export interface NativeResult {
  /** Windows × dimensions, row-major; of a classifier the logits. */
  vectors: Float32Array
  /** Windows × components, row-major; null without a projection. */
  projected: Float32Array | null
  /** A pair per text: tokens of all its windows, and those plus the tokens that were cut off. */
  tokenCounts: Int32Array
  /** Windows of each text; null for an embedder without a rule. */
  windowCounts: Int32Array | null
  /**
   * A pair per window: its first UTF-16 unit in the text, and the one behind its last; of a classifier the same in tokens of the last
   * segment. Null for an embedder without a rule.
   */
  spans: Int32Array | null
  /** Milliseconds: tokenize, queue, encode, project; summed over texts except for the queue. */
  times: Float64Array
}

/** The addon's functions. All throw errors with a `code`; none blocks, except where it says so. */
export interface NativeAddon {
  openModel(
    options: NativeModelOptions,
    done: (code: GabionErrorCode | null, message: string | null, model?: NativeModel, description?: NativeModelDescription) => void,
  ): void
  /** Opens a classifier, which takes inputs of segments. */
  openClassifier(
    options: NativeClassifierOptions,
    done: (code: GabionErrorCode | null, message: string | null, model?: NativeModel, description?: NativeModelDescription) => void,
  ): void
  closeModel(model: NativeModel): void
  createProjection(matrix: Float64Array, offset: Float64Array): NativeProjection
  /**
   * Embeds on the encoder threads; returns the request's id.
   *
   * @param skippedTokens leading tokens of each text, a prompt's, that are not pooled; of no effect with a rule
   */
  embed(
    model: NativeModel,
    texts: readonly string[],
    projection: NativeProjection | null,
    rule: NativeWindowRule | null,
    done: (code: GabionErrorCode | null, message: string | null, result?: NativeResult) => void,
    skippedTokens?: number,
  ): number
  /**
   * Classifies on the encoder threads; returns the request's id. Of a model for pairs an input has two segments of one string each, or
   * none in the second.
   *
   * @param texts    the strings of all segments of all inputs, in order; at least one
   * @param counts   strings of each segment of each input
   * @param segments of an input
   */
  classify(
    model: NativeModel,
    texts: readonly string[],
    counts: Float64Array,
    segments: number,
    done: (code: GabionErrorCode | null, message: string | null, result?: NativeResult) => void,
  ): number
  /** Without effect for a request that has ended. */
  cancel(request: number): void
  /**
   * Embeds one text on this thread, blocking it, into the caller's arrays.
   *
   * @param vector    as many values as the model has dimensions
   * @param projected as many values as the projection has components; null without a projection
   * @param stats     gets five numbers: milliseconds of tokenizing, encoding and projecting; tokens used, tokens of the whole text
   * @param skippedTokens leading tokens of the text, a prompt's, that are not pooled
   */
  embedSync(
    model: NativeModel,
    text: string,
    projection: NativeProjection | null,
    vector: Float32Array,
    projected: Float32Array | null,
    stats: Float64Array,
    skippedTokens?: number,
  ): void
  /** Blocks for some microseconds. */
  tokenize(model: NativeModel, text: string): { ids: Int32Array; totalTokenCount: number }
  /**
   * Adds Σ (x − shift)(x − shift)ᵀ and Σ (x − shift) over rows to sums, on all threads; blocks. The shift must be exact in the
   * precision of the rows.
   *
   * @param products dimensions × dimensions
   * @param sums     as many values as dimensions
   */
  addOuterProducts(
    rows: Float32Array | Float64Array,
    dimensions: number,
    shift: Float64Array,
    products: Float64Array,
    sums: Float64Array,
  ): void
  /**
   * Eigenvalues of a symmetric matrix, greatest first, and the unit eigenvectors of the first `count`; destroys the matrix, blocks.
   *
   * @param values  n values for a matrix of n × n
   * @param vectors count × n
   */
  symmetricEigen(matrix: Float64Array, count: number, values: Float64Array, vectors: Float64Array): void
  /**
   * Compares rows with one vector, on all threads; blocks.
   *
   * @param query  as many values as the rows have dimensions
   * @param scores one per row: dot products, or cosines, which are NaN where a vector is zero
   */
  compareRows(rows: Float32Array | Float64Array, query: Float64Array, scores: Float64Array, cosine: boolean): void
  /** Starts to open ONNX Runtime on another thread; the first use reports a failure. */
  prepareRuntime(): void
  /** Opens ONNX Runtime. */
  runtime(): { version: string; library: string }
  /** `encoderInstructionSet` is empty where gabion's own encoder cannot run. */
  machine(): { instructionSet: string; encoderInstructionSet: string; defaultThreads: number }
  /** Whether gabion's own encoder computes these sizes on this processor. */
  fitsEncoder(shape: Pick<NativeCheckpoint, 'layers' | 'heads' | 'hidden' | 'intermediate' | 'epsilon'>): boolean
}

let loaded: NativeAddon | undefined

/**
 * The addon, loaded at the first call.
 *
 * @throws GabionError `RUNTIME_MISSING` with what to do about it
 */
export function nativeAddon(): NativeAddon {
  if (loaded === undefined) {
    const location = binariesLocation()
    if (location === null) throw notLoaded(missingBinaries())
    const problem = problemOfBinaries(location.folder)
    if (problem !== null) throw notLoaded(problem.what)
    try {
      loaded = createRequire(import.meta.url)(join(location.folder, ADDON)) as NativeAddon
    } catch (cause) {
      throw notLoaded(messageOf(cause).split('\n')[0] ?? '', cause)
    }
  }
  return loaded
}

/** Why there are no binaries, and how to get some. */
function missingBinaries(): string {
  return PACKAGED_TARGETS.includes(HOST_TARGET)
    ? `there is no package ${PLATFORM_PACKAGE}, an optional dependency`
    : `there are no binaries for it, only for ${PACKAGED_TARGETS.join(', ')}`
}

function notLoaded(reason: string, cause?: unknown): GabionError {
  if (isBundled()) return wasBundled(cause)
  return new GabionError(
    'RUNTIME_MISSING',
    `gabion's native addon could not be loaded on ${HOST_TARGET}, Node ${process.version}: ${reason}\n` +
      '`npx gabion doctor` says how to mend it. From a checkout: run `npm run setup`.',
    cause === undefined ? undefined : { cause },
  )
}

/** The version of ONNX Runtime, opened if need be; null where there is none. Throws what else keeps it from being opened. */
export function availableRuntimeVersion(): string | null {
  try {
    return nativeAddon().runtime().version
  } catch (error) {
    const failure = fromNative(error)
    if (failure.code === 'RUNTIME_MISSING') return null
    throw failure
  }
}

/** Gives an error of the addon its class; other errors become `INTERNAL`. */
export function fromNative(error: unknown): GabionError {
  if (isGabionError(error)) return error
  const code = (error as { code?: unknown } | null)?.code
  const known = typeof code === 'string' && code in ERROR_CODES
  return nativeError(known ? (code as GabionErrorCode) : 'INTERNAL', messageOf(error), { cause: error })
}

/** Kinds of arguments are checked before native code gets them: what it refuses is a value. */
function nativeError(code: GabionErrorCode | null, message: string, options?: { cause: unknown }): GabionError {
  return code === 'INVALID_ARGUMENT' ? wrongRange(message, options) : new GabionError(code ?? 'INTERNAL', message, options)
}

/** The error of an aborted call; its cause is the signal's reason. */
export function abortedError(signal: AbortSignal): GabionError {
  return new GabionError('ABORTED', 'the call was aborted', { cause: signal.reason })
}

/** Takes the outcome of a request. */
type NativeDone = (code: GabionErrorCode | null, message: string | null, result?: NativeResult) => void

/**
 * One request to the encoder threads. Settles exactly once. An abort rejects at once; queued inputs are dropped and running ones are
 * stopped between two layers.
 *
 * @param start - calls the addon's function, and returns the request's id
 * @throws GabionError what the addon reports, or `ABORTED`; always as a rejection
 */
export function runRequest(
  start: (addon: NativeAddon, done: NativeDone) => number,
  signal: AbortSignal | undefined,
): Promise<NativeResult> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortedError(signal))
      return
    }
    const addon = nativeAddon()
    let id: number
    try {
      id = start(addon, (code, message, result) => {
        endWait?.()
        if (result !== undefined) resolve(result)
        else reject(nativeError(code, message ?? 'the native request ended without a result'))
      })
    } catch (error) {
      reject(fromNative(error))
      return
    }
    const endWait =
      signal &&
      onAbort(signal, () => {
        addon.cancel(id)
        reject(abortedError(signal))
      })
  })
}
