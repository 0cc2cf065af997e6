// Owns the sources of a comparison's vectors: a local embedder, a cloud's model, a recording of one. Each returns a vector and its
// latency, one text at a time, and can act as a monitor's embedder.

import { EmbeddingBatch } from '../embedding/embedding-batch.js'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import type { MonitorEmbedder } from '../monitor/monitor.js'
import type { Projection } from '../projection/projection.js'
import type { CloudProvider, CloudVector } from './cloud/provider.js'
import type { Recording } from './cloud/recording.js'

/** A vector and its latency; null if it was not measured. */
export interface TimedVector {
  readonly vector: Float32Array
  readonly milliseconds: number | null
}

/** A source of vectors. */
export interface VectorSource {
  readonly name: string
  /** @throws the errors of the embedder or the cloud */
  embed(text: string, signal?: AbortSignal): Promise<TimedVector>
  /** For monitors. */
  readonly embedder: MonitorEmbedder
  /** Tokens charged so far; null for a source without charges. */
  chargedTokens(): number | null
}

/** A local embedder. */
export function localSource(embedder: Embedder): VectorSource {
  return {
    name: embedder.info.model,
    embedder,
    chargedTokens: () => null,
    async embed(text, signal) {
      const started = performance.now()
      const vector = await embedder.embed(text, signal === undefined ? {} : { signal })
      return { vector, milliseconds: performance.now() - started }
    },
  }
}

/**
 * A cloud's model, a recording, or both: recorded texts are not requested again, and requested ones are recorded.
 *
 * @param provider null: a text without a recorded vector is an error
 */
export function cloudSource(provider: CloudProvider | null, recording: Recording | null): VectorSource {
  const name = provider?.model ?? recording?.model ?? 'nothing'
  let tokens = 0
  const find = async (text: string, signal?: AbortSignal): Promise<CloudVector> => {
    const known = recording?.find(text)
    if (known !== undefined) {
      tokens += known.tokens
      return known
    }
    if (provider === null) {
      throw new GabionError(
        'INVALID_ARGUMENT',
        `the recording ${recording?.file ?? ''} has no vector for the text beginning ${JSON.stringify(text.slice(0, 40))}: record it from the cloud first`,
      )
    }
    const found = await provider.embed(text, signal)
    tokens += found.tokens
    await recording?.add(text, found)
    return found
  }
  return {
    name,
    chargedTokens: () => tokens,
    embed: (text, signal) => find(text, signal),
    embedder: new RemoteEmbedder(name, find, recording?.dimensions ?? 0),
  }
}

/** A monitor's embedder over a source of single vectors. */
class RemoteEmbedder implements MonitorEmbedder {
  readonly info: MonitorEmbedder['info']
  readonly #find: (text: string, signal?: AbortSignal) => Promise<CloudVector>

  constructor(name: string, find: (text: string, signal?: AbortSignal) => Promise<CloudVector>, dimensions: number) {
    this.#find = find
    this.info = {
      model: name,
      folder: '',
      revision: null,
      modelHash: '',
      precision: 'fp32',
      provider: 'cloud',
      skippedProviders: [],
      instructionSet: '',
      threads: 1,
      dimensions,
      modelDimensions: dimensions,
      maxSequenceLength: Number.MAX_SAFE_INTEGER,
      license: '',
      prompt: '',
      prompts: {},
      warnings: [],
      graphFile: '',
      calibrationFile: null,
      runtimeVersion: null,
    }
  }

  async embed(text: string, options: { projection?: Projection; signal?: AbortSignal } = {}): Promise<Float32Array> {
    const { vector } = await this.#find(text, options.signal)
    return options.projection?.apply(vector) ?? vector.slice()
  }

  async embedBatch(texts: readonly string[], options: { projection?: Projection; signal?: AbortSignal } = {}): Promise<EmbeddingBatch> {
    const { projection, signal } = options
    const started = performance.now()
    const found: CloudVector[] = []
    for (const text of texts) found.push(await this.#find(text, signal))
    const dimensions = found[0]?.vector.length ?? Math.max(1, this.info.dimensions)
    const data = new Float32Array(found.length * dimensions)
    const components = projection?.components ?? 0
    const projected = projection === undefined ? null : new Float32Array(found.length * components)
    found.forEach(({ vector }, row) => {
      data.set(vector, row * dimensions)
      if (projection !== undefined) projected?.set(projection.apply(vector), row * components)
    })
    const counts = Int32Array.from(found, ({ tokens }) => tokens)
    const milliseconds = performance.now() - started
    return new EmbeddingBatch({
      ...{ rows: found.length, dimensions, data, tokenCounts: counts, totalTokenCounts: counts, projected, components, cached: 0 },
      timings: { tokenizeMs: 0, queueMs: 0, encodeMs: milliseconds, projectMs: 0, totalMs: milliseconds },
    })
  }

  embedWindows(): never {
    throw new GabionError('INVALID_ARGUMENT', `${this.info.model} cannot split texts into windows: compare with the detector 'classic'`)
  }
}

/** Embeds texts sequentially. */
export async function embedTimed(
  source: VectorSource,
  texts: readonly string[],
  options: { signal?: AbortSignal; onText?: (done: number) => void } = {},
): Promise<{ vectors: { rows: number; dimensions: number; data: Float32Array }; milliseconds: number[] }> {
  const found: TimedVector[] = []
  for (const text of texts) {
    found.push(await source.embed(text, options.signal))
    options.onText?.(found.length)
  }
  const dimensions = found[0]?.vector.length ?? 0
  const data = new Float32Array(found.length * dimensions)
  found.forEach(({ vector }, row) => {
    data.set(vector, row * dimensions)
  })
  return {
    vectors: { rows: found.length, dimensions, data },
    milliseconds: found.flatMap(({ milliseconds }) => (milliseconds === null ? [] : [milliseconds])),
  }
}
