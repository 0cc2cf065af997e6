// An embedder without a model, for tests of code that uses an embedder. Knows the interface of an embedder, and no language.

import { EmbeddingBatch, type EmbedTimings } from '../embedding/embedding-batch.js'
import { checkEmbedBatchOptions, checkEmbedOptions, type EmbedBatchOptions, type EmbedOptions } from '../embedding/embedder-options.js'
import type { EmbedderInfo } from '../embedding/embedder.js'
import { unitVector } from '../embedding/vector-cut.js'
import { WindowBatch, type WindowRule } from '../embedding/window-batch.js'
import { GabionError } from '../errors.js'
import type { MonitorEmbedder } from '../monitor/monitor.js'
import { checkInteger, checkOptions, checkString, invalidArgument } from '../options.js'

/** Options of {@link FakeEmbedder}. */
export interface FakeEmbedderOptions {
  /** Values per vector; default 384. */
  dimensions?: number
  /** Vectors by text, instead of generated ones; each is normalized to unit length. */
  vectors?: Readonly<Record<string, ArrayLike<number>>>
}

const NO_TIME: EmbedTimings = { tokenizeMs: 0, queueMs: 0, encodeMs: 0, projectMs: 0, totalMs: 0 }

/**
 * A fake `Embedder` for tests: no model, no native code, no files. A text's unit vector is a hash of its characters: equal texts have
 * equal vectors, all others are unrelated. Words count as tokens, and nothing is ever truncated.
 */
export class FakeEmbedder implements MonitorEmbedder {
  readonly info: Readonly<EmbedderInfo>
  readonly #vectors: ReadonlyMap<string, Float32Array>

  /** @throws GabionError `INVALID_ARGUMENT` */
  constructor(options?: FakeEmbedderOptions) {
    const { dimensions = 384, vectors = {} } = checkOptions('options', options, ['dimensions', 'vectors'])
    checkInteger('dimensions', dimensions, 1)
    this.#vectors = new Map(
      Object.entries(vectors).map(([text, vector]) => {
        if (vector.length !== dimensions)
          throw invalidArgument(`vectors[${JSON.stringify(text)}]`, `of ${String(dimensions)} values`, vector)
        return [text, unitVector(Float32Array.from(vector))]
      }),
    )
    this.info = Object.freeze({
      model: 'fake',
      folder: '',
      revision: null,
      modelHash: '0'.repeat(64),
      precision: 'fp32',
      provider: 'fake',
      skippedProviders: [],
      instructionSet: 'none',
      threads: 1,
      dimensions,
      modelDimensions: dimensions,
      maxSequenceLength: 256,
      license: 'Apache-2.0',
      prompt: '',
      prompts: {},
      warnings: [],
      graphFile: '',
      calibrationFile: null,
      runtimeVersion: null,
    })
  }

  get dimensions(): number {
    return this.info.dimensions
  }

  async embed(text: string, options?: EmbedOptions): Promise<Float32Array>
  async embed(texts: readonly string[], options?: EmbedBatchOptions): Promise<EmbeddingBatch>
  async embed(input: string | readonly string[], options?: EmbedOptions): Promise<Float32Array | EmbeddingBatch>
  async embed(input: string | readonly string[], options?: EmbedBatchOptions): Promise<Float32Array | EmbeddingBatch> {
    if (Array.isArray(input)) return await this.embedBatch(input, options)
    const { projection, signal, dimensions } = checkEmbedOptions(options)
    const vector = await Promise.resolve(this.#vectorOf(checkString('text', input), dimensions))
    refuseIfAborted(signal)
    return projection?.apply(vector) ?? vector
  }

  async embedBatch(texts: readonly string[], options?: EmbedBatchOptions): Promise<EmbeddingBatch> {
    const { projection, signal, onProgress, dimensions = this.dimensions } = checkEmbedBatchOptions(options)
    const vectors = await Promise.resolve(
      texts.map((text, index) => this.#vectorOf(checkString(`texts[${String(index)}]`, text), dimensions)),
    )
    refuseIfAborted(signal)
    const tokenCounts = Int32Array.from(texts, wordsOf)
    onProgress?.({ done: texts.length, total: texts.length })
    return new EmbeddingBatch({
      rows: texts.length,
      dimensions,
      data: joined(vectors, dimensions),
      tokenCounts,
      totalTokenCounts: tokenCounts,
      projected:
        projection === undefined
          ? null
          : joined(
              vectors.map((vector) => projection.apply(vector)),
              projection.components,
            ),
      components: projection?.components ?? 0,
      timings: { ...NO_TIME },
      cached: 0,
    })
  }

  /** One window per non-blank text, for any rule. */
  async embedWindows(texts: readonly string[], _rule: WindowRule, options?: EmbedBatchOptions): Promise<WindowBatch> {
    const batch = await this.embedBatch(texts, options)
    const windows = texts.map((text, index) =>
      text.trim() === ''
        ? []
        : [
            {
              vector: batch.row(index),
              projected: batch.projected === null ? null : batch.projectedRow(index),
              start: 0,
              end: text.length,
            },
          ],
    )
    return new WindowBatch(windows, { timings: { ...NO_TIME }, cached: 0 })
  }

  #vectorOf(text: string, dimensions = this.dimensions): Float32Array {
    checkInteger('dimensions', dimensions, 1, this.dimensions)
    const vector = this.#vectors.get(text) ?? generated(text, this.dimensions)
    return dimensions === this.dimensions ? vector.slice() : unitVector(vector.subarray(0, dimensions))
  }
}

/** FNV-1a over the text seeds xorshift32; the sum of four uniform values is close enough to normal. */
function generated(text: string, dimensions: number): Float32Array {
  let state = 0x811c9dc5
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193)
  state ||= 1
  const next = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32 - 0.5
  }
  return unitVector(Float32Array.from({ length: dimensions }, () => next() + next() + next() + next()))
}

function joined(vectors: readonly Float32Array[], length: number): Float32Array {
  const all = new Float32Array(vectors.length * length)
  for (const [index, vector] of vectors.entries()) all.set(vector, index * length)
  return all
}

function wordsOf(text: string): number {
  return text.split(/\s+/).filter((word) => word !== '').length
}

function refuseIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new GabionError('ABORTED', 'the call was aborted', { cause: signal.reason })
}
