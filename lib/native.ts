// Declares the whole native surface, loads the addon, and says what to do when it cannot be loaded.
// The addon's errors carry the codes of lib/errors.ts; from here on they are GabionErrors.

import { createRequire } from 'node:module'
import { ERROR_CODES, GabionError, type GabionErrorCode } from './errors.js'
import { HOST_TARGET, PLATFORM_PACKAGE, binariesLocation, problemOfBinaries } from './native-binaries.js'

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
  graphFile: string
  /** The file next to the graph that it maps. A run after a write to it fails with `MODEL_INVALID`. */
  weightsFile?: string
  tokenizerFile: string
  pooling: 'mean' | 'cls' | 'max' | 'mean_sqrt_len_tokens' | 'lasttoken'
  normalize: boolean
  /** Tokens that a text is cut to, special tokens included. */
  maxTokens: number
  /** Rows of the embedding table; the tokenizer may not give an id beyond it. */
  vocabularySize: number
  dimensions: number
  /** What gabion's own encoder computes with; graphs of standard operators have a precision of their own. */
  encoderPrecision: 'fp32' | 'bf16' | 'int8'
  /** Requested execution providers, best first: `cpu`, or `cuda:` with the absolute path of its library. */
  providers: string[]
  /** Texts of this model that may run at once; without it the machine decides. */
  threads?: number
}

/** What was opened. */
export interface NativeModelDescription {
  provider: string
  skippedProviders: { provider: string; reason: string }[]
  /** What gabion's own encoder runs with; empty if the graph is made of standard operators. */
  encoderInstructionSet: string
  /** Of the ONNX Runtime that runs the graph; empty for gabion's own encoder. */
  runtimeVersion: string
  threads: number
}

/** How long texts are cut: windows of at most `size` tokens, special tokens not counted, one every `stride` tokens. */
export interface NativeWindowRule {
  readonly size: number
  readonly stride: number
}

/** Results of one request over n texts: of all their windows in order, which without a rule is one window per text. */
export interface NativeResult {
  /** Windows × dimensions, row-major. */
  vectors: Float32Array
  /** Windows × components, row-major; null without a projection. */
  projected: Float32Array | null
  /** A pair per text: token count, total token count. */
  tokenCounts: Int32Array
  /** Windows of each text; null without a rule. */
  windowCounts: Int32Array | null
  /** A pair per window: its first UTF-16 unit in the text, and the one behind its last. Null without a rule. */
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
  closeModel(model: NativeModel): void
  createProjection(matrix: Float64Array, offset: Float64Array): NativeProjection
  /** Embeds on the encoder threads; returns the request's id. */
  embed(
    model: NativeModel,
    texts: readonly string[],
    projection: NativeProjection | null,
    rule: NativeWindowRule | null,
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
   */
  embedSync(
    model: NativeModel,
    text: string,
    projection: NativeProjection | null,
    vector: Float32Array,
    projected: Float32Array | null,
    stats: Float64Array,
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
  /** Starts to open ONNX Runtime on another thread; the first use reports a failure. */
  prepareRuntime(): void
  /** Opens ONNX Runtime. */
  runtime(): { version: string; library: string }
  /** `encoderInstructionSet` is empty where gabion's own encoder cannot run. */
  machine(): { instructionSet: string; encoderInstructionSet: string; defaultThreads: number }
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
    if (location === null) throw notLoaded(`there is no package ${PLATFORM_PACKAGE}`)
    const problem = problemOfBinaries(location.folder)
    if (problem !== null) throw notLoaded(problem.what)
    try {
      const load = createRequire(import.meta.url)('node-gyp-build') as (folder: string) => NativeAddon
      loaded = load(location.packageFolder)
    } catch (cause) {
      throw notLoaded((cause instanceof Error ? cause.message.split('\n')[0] : undefined) ?? String(cause), cause)
    }
  }
  return loaded
}

function notLoaded(reason: string, cause?: unknown): GabionError {
  return new GabionError(
    'RUNTIME_MISSING',
    `gabion's native addon could not be loaded on ${HOST_TARGET}, Node ${process.version}: ${reason}\n` +
      '`npx gabion doctor` says how to mend it. From a package: binaries exist for Linux x64 and arm64 with glibc, as optional dependencies. ' +
      'From a checkout: run `npm run setup`.',
    cause === undefined ? undefined : { cause },
  )
}

/** Gives an error of the addon its class; other errors become `INTERNAL`. */
export function fromNative(error: unknown): GabionError {
  if (error instanceof GabionError) return error
  const code = (error as { code?: unknown } | null)?.code
  const message = error instanceof Error ? error.message : String(error)
  const known = typeof code === 'string' && code in ERROR_CODES
  return new GabionError(known ? (code as GabionErrorCode) : 'INTERNAL', message, { cause: error })
}
