// Text to vectors: the public face of the native engine, with the cache in front of it.

import { relative } from 'node:path'
import { GabionError } from '../errors.js'
import type { ExportPrecision } from '../models/export-graph.js'
import { abortedError, availableRuntimeVersion, fromNative, nativeAddon, type NativeModel, type NativeProjection } from '../native.js'
import { checkInteger, checkOptions, checkString, invalidArgument, outOfRange } from '../options.js'
import type { Projection } from '../projection/projection.js'
import { embedTexts, type EmbedCall } from './embed-texts.js'
import {
  checkEmbedBatchOptions,
  checkEmbedderOptions,
  checkEmbedOptions,
  type CheckedEmbedderOptions,
  type EmbedBatchOptions,
  type EmbedderOptions,
  type EmbedOptions,
} from './embedder-options.js'
import { EmbeddingBatch } from './embedding-batch.js'
import { openModel, type OpenedModel } from './open-model.js'
import { requireFit } from './projection-fit.js'
import { TokenDecoder } from './token-decoder.js'
import { VectorCache, type CacheStats, type TextRecord } from './vector-cache.js'
import { cutRecord, type VectorCut } from './vector-cut.js'
import { WindowBatch, windowsOf, type TextWindow, type WindowRule } from './window-batch.js'

/** What an embedder runs, and where. */
export interface EmbedderInfo {
  model: string
  /** Absolute path of the model's folder. */
  folder: string
  revision: string | null
  /**
   * Hexadecimal identity of the weights: of a graph the SHA-256 of its file of weights; of a checkpoint a SHA-256 over the headers of its
   * safetensors files and the beginning of each tensor, so that a load need not read all of them.
   */
  modelHash: string
  /** Of the weights; of an ONNX export as its content is, whatever its name. */
  precision: ExportPrecision
  /** The ONNX file that runs, or the first safetensors file where gabion's own encoder runs the checkpoint; relative to `folder`. */
  graphFile: string
  /** In int8 over a checkpoint: the file in `GABION_CACHE` with what the first load measured for later ones; else null. */
  calibrationFile: string | null
  provider: string
  /** Requested providers that could not be used, with the reason of each. */
  skippedProviders: readonly { provider: string; reason: string }[]
  /** Widest vector instruction set of this processor. */
  instructionSet: string
  /** Texts that may run at once. */
  threads: number
  /** Values per vector, unless a call asks for fewer. */
  dimensions: number
  /** Values per vector by the model's folder. Vectors of another number are cut and scaled to unit length. */
  modelDimensions: number
  /** Tokens, special tokens included; longer texts are cut and reported. */
  maxSequenceLength: number
  license: string
  /** Put before every text unless a call says otherwise; empty for none. */
  prompt: string
  /** What else a call may put before its texts, by name. */
  prompts: Readonly<Record<string, string>>
  /** What the model's folder says that gabion does not know or apply, in sentences; mostly empty. */
  warnings: readonly string[]
  /** Version of ONNX Runtime, which is opened to ask it where the model does without; null where there is none for the platform. */
  runtimeVersion: string | null
}

/** The tokens of a text. */
export interface Tokens {
  /** Ids with special tokens, cut to the model's maximum. */
  ids: Int32Array
  /** Tokens of the whole text, special tokens included. */
  totalTokenCount: number
  truncated: boolean
}

let warnedOfTruncation = false

/** Keeps nothing, for all models. */
const NO_CACHE = new VectorCache(0)

/**
 * Computes sentence vectors in this process.
 *
 * Each text runs at its own length, and each number of it is computed on one thread, so its vector depends on the text alone:
 * it has the same bits alone, in any batch, and at any thread count; on a graphics card the same but for float16's rounding.
 * Nothing leaves the machine.
 */
export class Embedder {
  readonly info: Readonly<EmbedderInfo>
  readonly #model: NativeModel
  readonly #cache: VectorCache
  readonly #onTruncated: CheckedEmbedderOptions['onTruncated']
  readonly #projections = new WeakMap<Projection, NativeProjection>()
  readonly #tokenizerFile: string
  readonly #skippedTokens: ReadonlyMap<string, number>
  #decoder: Promise<TokenDecoder> | null = null
  // Written by each synchronous call and read before the next one.
  readonly #syncStats = new Float64Array(5)
  #disposed = false

  private constructor(opened: OpenedModel, options: CheckedEmbedderOptions) {
    const { description, ownDimensions, graph, model, native, calibrationFile, skippedTokens } = opened
    this.#model = model
    this.#tokenizerFile = description.tokenizerFile
    this.#skippedTokens = skippedTokens
    this.#cache = new VectorCache(options.cacheBytes)
    this.#onTruncated = options.onTruncated
    this.info = Object.freeze({
      model: description.name,
      folder: description.folder,
      revision: description.revision,
      modelHash: graph.weightsHash,
      precision: graph.precision,
      graphFile: relative(description.folder, graph.file),
      calibrationFile,
      provider: native.provider,
      skippedProviders: native.skippedProviders,
      instructionSet: native.encoderInstructionSet === '' ? nativeAddon().machine().instructionSet : native.encoderInstructionSet,
      threads: native.threads,
      dimensions: description.dimensions,
      modelDimensions: ownDimensions,
      maxSequenceLength: description.maxSequenceLength,
      license: description.license,
      prompt: description.prompt,
      prompts: Object.freeze({ ...description.prompts }),
      warnings: Object.freeze([...description.warnings]),
      // gabion's own encoder does without ONNX Runtime, and opening it takes as long as loading a model.
      get runtimeVersion() {
        return native.runtimeVersion === '' ? availableRuntimeVersion() : native.runtimeVersion
      },
    })
  }

  /**
   * Loads a model: the bundled one, a known name, a folder, or as the options say.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `MODEL_NOT_FOUND`, `MODEL_INVALID`, `MODEL_UNSUPPORTED`, `RUNTIME_MISSING`,
   *   `RUNTIME_INCOMPATIBLE`, `PROVIDER_UNAVAILABLE`, or `INFERENCE_FAILED` when the self-test gives a wrong vector
   */
  static async load(options?: string | EmbedderOptions): Promise<Embedder> {
    const checked = checkEmbedderOptions(options)
    return new Embedder(await openModel(checked), checked)
  }

  /** Values per vector. */
  get dimensions(): number {
    return this.info.dimensions
  }

  /** What the cache has done and holds. */
  get cacheStats(): CacheStats {
    return this.#cache.stats
  }

  /**
   * The vector of one text (or its projected vector, with a projection), computed off the event loop; of an array of texts what
   * {@link embedBatch} gives.
   *
   * @returns `dimensions` values of unit length, or `projection.components` values; the array is the caller's own
   * @throws GabionError `INVALID_ARGUMENT`, `ABORTED`, `DISPOSED`, `OVERLOADED`, `PROJECTION_MISMATCH`, `TOKENIZER_FAILED`,
   *   `INFERENCE_FAILED`; always as a rejection
   */
  async embed(text: string, options?: EmbedOptions): Promise<Float32Array>
  async embed(texts: readonly string[], options?: EmbedBatchOptions): Promise<EmbeddingBatch>
  async embed(input: string | readonly string[], options?: EmbedOptions): Promise<Float32Array | EmbeddingBatch>
  async embed(input: string | readonly string[], options?: EmbedBatchOptions): Promise<Float32Array | EmbeddingBatch> {
    if (Array.isArray(input)) return await this.embedBatch(input, options)
    const text = checkString('text', input)
    const { prompt, ...checked } = checkEmbedOptions(options)
    const before = this.#promptOf(prompt)
    const whole = before + text
    let result: Float32Array | undefined
    await embedTexts([whole], this.#callOf(checked, before), (_, record) => {
      this.#reportTruncation(whole, record)
      result = this.#ownVector(record)
    })
    return result as Float32Array
  }

  /**
   * The same as {@link embed}, on the calling thread: blocks it for the time of one run. Meant for worker threads.
   *
   * @throws GabionError as `embed`, but thrown
   */
  embedSync(text: string, options?: EmbedOptions): Float32Array {
    checkString('text', text)
    const { prompt, ...checked } = checkEmbedOptions(options)
    const before = this.#promptOf(prompt)
    const whole = before + text
    const { projection, keyPrefix, skippedTokens, cut } = this.#callOf(checked, before)
    const finished = (record: TextRecord): Float32Array => this.#ownVector(cut === null ? record : cutRecord(record, cut))
    const key = this.#cache.enabled ? keyPrefix + whole : ''
    const cached = this.#cache.get(key)
    if (cached !== undefined) return finished(cached)
    this.#cache.countMiss()
    const vectors = new Float32Array(this.dimensions)
    const projected = projection === null ? null : new Float32Array(checked.projection?.components ?? 0)
    const stats = this.#syncStats
    try {
      nativeAddon().embedSync(this.#model, whole, projection, vectors, projected, stats, skippedTokens)
    } catch (error) {
      throw fromNative(error)
    }
    const record = { vectors, projected, spans: null, tokenCount: stats[3] ?? 0, totalTokenCount: stats[4] ?? 0 }
    this.#reportTruncation(whole, record)
    this.#cache.set(key, record)
    return finished(record)
  }

  /**
   * The vectors of many texts, spread over the encoder threads, longest first. Equal texts run once.
   *
   * @param texts any number of strings; none gives an empty batch
   * @throws GabionError as `embed`; the first failure fails the batch
   */
  async embedBatch(texts: readonly string[], options?: EmbedBatchOptions): Promise<EmbeddingBatch> {
    const { prompt, ...checked } = checkEmbedBatchOptions(options)
    const before = this.#promptOf(prompt)
    const copied = copyTexts(texts, before)
    const call = this.#callOf(checked, before)
    const dimensions = checked.dimensions ?? this.dimensions
    const components = checked.projection?.components ?? 0
    const rows = copied.length
    const data = new Float32Array(rows * dimensions)
    const projected = checked.projection === undefined ? null : new Float32Array(rows * components)
    const tokenCounts = new Int32Array(rows)
    const totalTokenCounts = new Int32Array(rows)
    const totals = await embedTexts(copied, call, (indexes, record) => {
      for (const row of indexes) {
        data.set(record.vectors, row * dimensions)
        if (record.projected !== null) projected?.set(record.projected, row * components)
        tokenCounts[row] = record.tokenCount
        totalTokenCounts[row] = record.totalTokenCount
      }
    })
    const batch = new EmbeddingBatch({ rows, dimensions, data, tokenCounts, totalTokenCounts, projected, components, ...totals })
    if (this.#onTruncated !== undefined) {
      for (const [index, text] of copied.entries()) {
        if (!batch.truncated(index)) continue
        this.#onTruncated({ text, tokenCount: tokenCounts[index] ?? 0, totalTokenCount: totalTokenCounts[index] ?? 0 })
      }
    }
    return batch
  }

  /**
   * The vectors of all windows of many texts, however long: nothing is cut off. A text that fits into one window has the
   * same vector as from {@link embed}.
   *
   * @throws GabionError `INVALID_ARGUMENT` also for windows that the model cannot take; else as `embed`
   */
  async embedWindows(texts: readonly string[], rule: WindowRule, options?: EmbedBatchOptions): Promise<WindowBatch> {
    const { size, stride } = checkOptions('rule', rule, ['size', 'stride'])
    const checkedRule = {
      size: checkInteger('rule.size', size, 1, this.info.maxSequenceLength),
      stride: checkInteger('rule.stride', stride, 1),
    }
    const copied = copyTexts(texts, '')
    const windows: (readonly TextWindow[])[] = Array.from({ length: copied.length }, () => [])
    const totals = await embedTexts(copied, this.#callOf(checkEmbedBatchOptions(options), '', checkedRule), (indexes, record) => {
      for (const index of indexes) windows[index] = windowsOf(record)
    })
    return new WindowBatch(windows, totals)
  }

  /**
   * The tokens of a text, with the model's own prompt before it if it has one, on the calling thread.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `DISPOSED`, `TOKENIZER_FAILED`
   */
  tokenize(text: string): Tokens {
    checkString('text', text)
    return this.#tokenize(this.info.prompt + text)
  }

  /**
   * A text whose tokens are these, without any prompt: to be embedded with `prompt: ''`.
   *
   * Ids carry no sign of the vocabulary that they are of. They are taken for this model's if they begin and end with its special tokens,
   * as {@link tokenize} returns them, and if their text has exactly these tokens.
   *
   * @param ids - with special tokens, at most `maxSequenceLength`
   * @returns null for ids that are not this model's
   * @throws GabionError `DISPOSED`, `MODEL_INVALID`, `MODEL_UNSUPPORTED` for a tokenizer whose ids cannot be read
   */
  async textOf(ids: readonly number[]): Promise<string | null> {
    const [first, last] = this.#tokenize('').ids
    if (first === undefined || last === undefined || ids[0] !== first || ids.at(-1) !== last) return null
    this.#decoder ??= TokenDecoder.load(this.#tokenizerFile)
    const text = (await this.#decoder).decode(ids.slice(1, -1))
    if (text === null) return null
    const again = this.#tokenize(text).ids
    return again.length === ids.length && again.every((id, index) => id === ids[index]) ? text : null
  }

  /** Refuses new calls from now on; calls in flight end well, and the last one frees the model. Safe to call again. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#cache.clear()
    nativeAddon().closeModel(this.#model)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  // What all texts of a call share. The cache belongs to one model and precision, so projection and rule complete a text's key.
  #callOf(options: EmbedBatchOptions, prompt: string, rule: WindowRule | null = null): EmbedCall {
    const { projection, signal, onProgress, cache = true } = options
    this.#refuseIfDisposed()
    const cut = this.#cutOf(options)
    const native = cut === null ? this.#nativeProjection(projection) : null
    if (signal?.aborted === true) throw abortedError(signal)
    const ofRule = rule === null ? '' : `${rule.size}/${rule.stride}`
    // A text that begins like a prompt has another vector than the prompt with the rest as its text.
    const skippedTokens = this.#skippedTokens.get(prompt) ?? 0
    // Vectors are kept as the model gives them, whatever is cut off: one run serves calls with any number of dimensions.
    const keyPrefix = `${native === null ? '' : (projection?.id ?? '')}:${ofRule}:${skippedTokens}:`
    const store = cache ? this.#cache : NO_CACHE
    return { model: this.#model, cache: store, rule, projection: native, cut, keyPrefix, skippedTokens, signal, onProgress }
  }

  /** How the model's vectors are cut for a call; null where they stay as they are. */
  #cutOf({ dimensions = this.dimensions, projection }: EmbedOptions): VectorCut | null {
    const from = this.dimensions
    checkInteger('dimensions', dimensions, 1, from)
    if (projection !== undefined) requireFit(projection, this.info, dimensions)
    const normalize = dimensions !== this.info.modelDimensions
    return dimensions === from && !normalize ? null : { from, to: dimensions, normalize, projection }
  }

  /**
   * The array that a caller gets. A copy, since the cache keeps its own, and made here, since the addon's arrays are of the realm in which it
   * was loaded (in Jest another one than the caller's).
   */
  #ownVector({ projected, vectors }: TextRecord): Float32Array {
    return new Float32Array(projected ?? vectors)
  }

  #promptOf(name: string | undefined): string {
    if (name === undefined) return this.info.prompt
    if (name === '') return ''
    const prompt = Object.hasOwn(this.info.prompts, name) ? this.info.prompts[name] : undefined
    if (prompt === undefined) throw outOfRange('prompt', `one of ${JSON.stringify(Object.keys(this.info.prompts))} or ''`, name)
    return prompt
  }

  #tokenize(text: string): Tokens {
    this.#refuseIfDisposed()
    try {
      const { ids, totalTokenCount } = nativeAddon().tokenize(this.#model, text)
      return { ids: new Int32Array(ids), totalTokenCount, truncated: totalTokenCount > ids.length }
    } catch (error) {
      throw fromNative(error)
    }
  }

  #refuseIfDisposed(): void {
    if (this.#disposed) throw new GabionError('DISPOSED', 'the embedder was disposed')
  }

  #nativeProjection(projection: Projection | undefined): NativeProjection | null {
    if (projection === undefined) return null
    let native = this.#projections.get(projection)
    if (native === undefined) {
      const { matrix, offset } = projection.affine()
      try {
        native = nativeAddon().createProjection(matrix, offset)
      } catch (error) {
        throw fromNative(error)
      }
      this.#projections.set(projection, native)
    }
    return native
  }

  #reportTruncation(text: string, { tokenCount, totalTokenCount }: TextRecord): void {
    if (totalTokenCount <= tokenCount) return
    if (this.#onTruncated !== undefined) this.#onTruncated({ text, tokenCount, totalTokenCount })
    else if (!warnedOfTruncation) {
      warnedOfTruncation = true
      process.emitWarning(
        `a text of ${String(totalTokenCount)} tokens was cut to the ${String(tokenCount)} that ${this.info.model} reads; ` +
          'set onTruncated to see each one (this warning is given once)',
        { code: 'GABION_TRUNCATED' },
      )
    }
  }
}

// Copied, so that a caller that changes the array meanwhile changes nothing here.
function copyTexts(texts: readonly string[], prompt: string): string[] {
  if (!Array.isArray(texts)) throw invalidArgument('texts', 'an array of strings', texts)
  return texts.map((text: unknown, index) => prompt + checkString(`texts[${String(index)}]`, text))
}
