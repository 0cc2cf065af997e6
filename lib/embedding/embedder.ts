// Text to vectors: the public face of the native engine, with the cache in front of it.

import { GabionError } from '../errors.js'
import { fromNative, nativeAddon, type NativeModel, type NativeProjection, type NativeResult } from '../native.js'
import { checkInteger, checkOptions, checkString, invalidArgument } from '../options.js'
import type { Projection } from '../projection/projection.js'
import { BatchRun } from './batch-run.js'
import {
  checkEmbedBatchOptions,
  checkEmbedderOptions,
  checkEmbedOptions,
  type CheckedEmbedderOptions,
  type EmbedBatchOptions,
  type EmbedderOptions,
  type EmbedOptions,
} from './embedder-options.js'
import type { EmbeddingBatch } from './embedding-batch.js'
import { abortedError, runNative, unlessAborted } from './native-run.js'
import { openModel, type OpenedModel } from './open-model.js'
import { runWindows, type WindowBatch, type WindowRule } from './window-batch.js'
import { VectorCache, type CachedVector, type CacheStats } from './vector-cache.js'

/** What an embedder runs, and where. */
export interface EmbedderInfo {
  model: string
  /** Absolute path of the model's folder. */
  folder: string
  revision: string | null
  /** SHA-256 (hexadecimal) of the weights file. */
  modelHash: string
  precision: 'fp32' | 'bf16' | 'int8' | 'fp16'
  provider: string
  /** Wished providers that could not be used, with the reason of each. */
  providersPassedOver: readonly { provider: string; reason: string }[]
  /** Widest vector instruction set of this processor. */
  instructionSet: string
  /** Texts that may run at once. */
  threads: number
  dimensions: number
  /** Tokens, special tokens included; longer texts are cut and reported. */
  maxSequenceLength: number
  license: string
  /** Put before every text unless a call says otherwise; empty for none. */
  prompt: string
  /** What else a call may put before its texts, by name. */
  prompts: Readonly<Record<string, string>>
  /** Version of ONNX Runtime, which is opened to ask it where the model does without. */
  runtimeVersion: string
}

/** The tokens of a text. */
export interface Tokens {
  /** Ids with special tokens, cut to the model's maximum. */
  ids: Int32Array
  /** Tokens of the whole text, special tokens included. */
  tokens: number
  truncated: boolean
}

let warnedOfTruncation = false

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
  // Written by each synchronous call and read before the next one.
  readonly #syncNotes = new Float64Array(5)
  #disposed = false

  private constructor(opened: OpenedModel, options: CheckedEmbedderOptions) {
    const { description, graph, model, native } = opened
    this.#model = model
    this.#cache = new VectorCache(options.cacheBytes)
    this.#onTruncated = options.onTruncated
    this.info = Object.freeze({
      model: description.name,
      folder: description.folder,
      revision: description.revision,
      modelHash: graph.weightsHash,
      precision: graph.precision,
      provider: native.provider,
      providersPassedOver: native.providersPassedOver,
      instructionSet: native.encoderInstructionSet === '' ? nativeAddon().machine().instructionSet : native.encoderInstructionSet,
      threads: native.threads,
      dimensions: description.dimensions,
      maxSequenceLength: description.maxSequenceLength,
      license: description.license,
      prompt: description.prompt,
      prompts: Object.freeze({ ...description.prompts }),
      // gabion's own encoder does without ONNX Runtime, and opening it takes as long as loading a model.
      get runtimeVersion() {
        return native.runtimeVersion === '' ? nativeAddon().runtime().version : native.runtimeVersion
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

  /** Values a vector. */
  get dimensions(): number {
    return this.info.dimensions
  }

  /** What the cache has done and holds. */
  get cacheStats(): CacheStats {
    return this.#cache.stats
  }

  /**
   * The vector of one text (or its projected point, with a projection), computed off the event loop.
   *
   * @returns `dimensions` values of unit length, or `projection.components` values; the array is the caller's own
   * @throws GabionError `INVALID_ARGUMENT`, `ABORTED`, `DISPOSED`, `OVERLOADED`, `PROJECTION_MISMATCH`, `TOKENIZER_FAILED`,
   *   `INFERENCE_FAILED`; always as a rejection
   */
  async embed(text: string, options?: EmbedOptions): Promise<Float32Array> {
    checkString('text', text)
    const { projection, prompt, signal } = checkEmbedOptions(options)
    text = this.#promptOf(prompt) + text
    const native = this.#nativeProjection(projection)
    if (signal?.aborted === true) throw abortedError(signal)
    if (!this.#cache.enabled) {
      this.#cache.countMiss()
      const result = await runNative(this.#model, [text], native, signal)
      this.#reportTruncation(text, result.tokens[0], result.tokens[1])
      return result.projected ?? result.vectors
    }
    const key = cacheKey(text, projection)
    for (;;) {
      const record = this.#cache.find(key)
      if (record !== undefined) return (record.point ?? record.vector).slice()
      const other = this.#cache.underWay(key)
      if (other === undefined) break
      await unlessAborted(other, signal)
      this.#refuseIfDisposed()
    }
    const run = runNative(this.#model, [text], native, signal).then((result) => {
      this.#cache.keep(key, toRecord(result))
      return result
    })
    this.#cache.announce([key], run)
    const result = await run
    this.#reportTruncation(text, result.tokens[0], result.tokens[1])
    return result.projected?.slice() ?? result.vectors.slice()
  }

  /**
   * The same as {@link embed}, on the calling thread: blocks it for the time of one run. Meant for worker threads.
   *
   * @throws GabionError as `embed`, but thrown
   */
  embedSync(text: string, options?: EmbedOptions): Float32Array {
    checkString('text', text)
    const { projection, prompt, signal } = checkEmbedOptions(options)
    text = this.#promptOf(prompt) + text
    const native = this.#nativeProjection(projection)
    if (signal?.aborted === true) throw abortedError(signal)
    const key = this.#cache.enabled ? cacheKey(text, projection) : ''
    const record = this.#cache.enabled ? this.#cache.find(key) : undefined
    if (record !== undefined) return (record.point ?? record.vector).slice()
    this.#cache.countMiss()
    const vector = new Float32Array(this.dimensions)
    const point = projection === undefined ? null : new Float32Array(projection.components)
    const notes = this.#syncNotes
    try {
      nativeAddon().embedSync(this.#model, text, native, vector, point, notes)
    } catch (error) {
      throw fromNative(error)
    }
    const [kept, total] = [notes[3] ?? 0, notes[4] ?? 0]
    this.#reportTruncation(text, kept, total)
    if (!this.#cache.enabled) return point ?? vector
    this.#cache.keep(key, { vector, point, kept, total })
    return (point ?? vector).slice()
  }

  /**
   * The vectors of many texts, spread over the encoder threads, longest first. Equal texts run once.
   *
   * @param texts any number of strings; none gives an empty batch
   * @throws GabionError as `embed`; the first failure fails the batch
   */
  async embedBatch(texts: readonly string[], options?: EmbedBatchOptions): Promise<EmbeddingBatch> {
    if (!Array.isArray(texts)) throw invalidArgument('texts', 'an array of strings', texts)
    const { projection, prompt, signal, onProgress } = checkEmbedBatchOptions(options)
    const before = this.#promptOf(prompt)
    // Copied, so that a caller who changes the array meanwhile changes nothing here.
    const copied = texts.map((text: unknown, index) => before + checkString(`texts[${String(index)}]`, text))
    const native = this.#nativeProjection(projection)
    if (signal?.aborted === true) throw abortedError(signal)
    const run = new BatchRun({
      model: this.#model,
      cache: this.#cache,
      texts: copied,
      keyOf: (text) => cacheKey(text, projection),
      dimensions: this.dimensions,
      components: projection?.components ?? 0,
      projection: native,
      signal,
      onProgress,
    })
    const batch = await run.finish()
    if (this.#onTruncated !== undefined) {
      for (const [index, text] of copied.entries()) {
        if (batch.truncated(index)) {
          this.#onTruncated({ text, tokens: batch.tokenCounts[index] ?? 0, kept: batch.keptCounts[index] ?? 0 })
        }
      }
    }
    return batch
  }

  /**
   * The vectors of all windows of many texts, however long: nothing is cut off. A text that fits into one window has the
   * same vector as from {@link embed}. Not cached.
   *
   * @throws GabionError `INVALID_ARGUMENT` also for windows that the model cannot take; else as `embed`
   */
  async embedWindows(texts: readonly string[], rule: WindowRule, options?: EmbedBatchOptions): Promise<WindowBatch> {
    if (!Array.isArray(texts)) throw invalidArgument('texts', 'an array of strings', texts)
    const copied = texts.map((text: unknown, index) => checkString(`texts[${String(index)}]`, text))
    const { size, stride } = checkOptions('rule', rule, ['size', 'stride'])
    const checked = {
      size: checkInteger('rule.size', size, 1, this.info.maxSequenceLength),
      stride: checkInteger('rule.stride', stride, 1),
    }
    const { projection, signal, onProgress } = checkEmbedBatchOptions(options)
    const native = this.#nativeProjection(projection)
    if (signal?.aborted === true) throw abortedError(signal)
    return await runWindows({
      model: this.#model,
      texts: copied,
      rule: checked,
      dimensions: this.dimensions,
      components: projection?.components ?? 0,
      projection: native,
      signal,
      onProgress,
    })
  }

  /**
   * The tokens of a text, with the model's own prompt before it if it has one, on the calling thread.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `DISPOSED`, `TOKENIZER_FAILED`
   */
  tokenize(text: string): Tokens {
    checkString('text', text)
    this.#refuseIfDisposed()
    try {
      const { ids, total } = nativeAddon().tokenize(this.#model, this.info.prompt + text)
      return { ids, tokens: total, truncated: total > ids.length }
    } catch (error) {
      throw fromNative(error)
    }
  }

  /** Refuses new calls from now on; calls under way end well, and the last one frees the model. Safe to call again. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#cache.clear()
    nativeAddon().closeModel(this.#model)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #promptOf(name: string | undefined): string {
    if (name === undefined) return this.info.prompt
    if (name === '') return ''
    const prompt = Object.hasOwn(this.info.prompts, name) ? this.info.prompts[name] : undefined
    if (prompt === undefined) throw invalidArgument('prompt', `one of ${JSON.stringify(Object.keys(this.info.prompts))} or ''`, name)
    return prompt
  }

  #refuseIfDisposed(): void {
    if (this.#disposed) throw new GabionError('DISPOSED', 'the embedder was disposed')
  }

  #nativeProjection(projection: Projection | undefined): NativeProjection | null {
    this.#refuseIfDisposed()
    if (projection === undefined) return null
    let native = this.#projections.get(projection)
    if (native === undefined) {
      this.#checkProjection(projection)
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

  #checkProjection(projection: Projection): void {
    if (projection.dimensions !== this.dimensions) {
      throw new GabionError(
        'PROJECTION_MISMATCH',
        `the projection takes vectors of ${String(projection.dimensions)} dimensions, ${this.info.model} gives ${String(this.dimensions)}`,
      )
    }
    // The same model in another precision gives nearly the same vectors, but another file under one precision does not.
    const { model } = projection
    if (model === null) return
    const otherWeights = model.precision === this.info.precision && model.hash !== this.info.modelHash
    if (model.name !== this.info.model || otherWeights) {
      throw new GabionError(
        'PROJECTION_MISMATCH',
        `the projection was fitted on ${model.name} (${model.precision}, ${model.hash.slice(0, 12)}), this is ${this.info.model} ` +
          `(${this.info.precision}, ${this.info.modelHash.slice(0, 12)}); fit it again on this model's vectors`,
      )
    }
  }

  #reportTruncation(text: string, kept = 0, tokens = 0): void {
    if (tokens <= kept) return
    if (this.#onTruncated !== undefined) this.#onTruncated({ text, tokens, kept })
    else if (!warnedOfTruncation) {
      warnedOfTruncation = true
      process.emitWarning(
        `a text of ${String(tokens)} tokens was cut to the ${String(kept)} that ${this.info.model} reads; ` +
          'set onTruncated to be told of each one (this warning is given once)',
        { code: 'GABION_TRUNCATED' },
      )
    }
  }
}

// The cache belongs to one model and precision, so text and projection are all that tells records apart.
function cacheKey(text: string, projection: Projection | undefined): string {
  return projection === undefined ? `:${text}` : `${projection.id}:${text}`
}

function toRecord(result: NativeResult): CachedVector {
  return { vector: result.vectors, point: result.projected, kept: result.tokens[0] ?? 0, total: result.tokens[1] ?? 0 }
}
