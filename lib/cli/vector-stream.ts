// Owns embedding of an endless stream of texts in bounded memory: two batches in flight, results in order.

import type { Embedder } from '../embedding/embedder.js'
import type { EmbeddingBatch } from '../embedding/embedding-batch.js'
import type { Projection } from '../projection/projection.js'
import { inBatches, type SourceText } from './text-source.js'

/** Texts per batch: enough to keep all threads busy, few enough for memory and an early first result. */
const BATCH_ROWS = 256
const BATCH_CHARACTERS = 1 << 20

/** A batch of vectors with its position in the stream. */
export interface VectorChunk {
  batch: EmbeddingBatch
  /** Index of the batch's first text in the stream. */
  first: number
}

/** Options of {@link embedStream}. */
export interface EmbedStreamOptions {
  signal: AbortSignal
  projection?: Projection | undefined
  /** Called with the source bytes and the number of the texts done so far. */
  onProgress?: (bytes: number, texts: number) => void
}

/** Embeds a stream of texts; while one batch is consumed the next one is already being computed. */
export async function* embedStream(
  embedder: Embedder,
  source: AsyncIterable<SourceText> | Iterable<SourceText>,
  options: EmbedStreamOptions,
): AsyncGenerator<VectorChunk> {
  const tally = { texts: 0, bytes: 0 }
  let ahead: Promise<VectorChunk> | null = null
  let first = 0
  let from = 0
  for await (const items of inBatches(source, BATCH_ROWS, BATCH_CHARACTERS)) {
    const bytes = (items.at(-1)?.end ?? 0) - from
    const report = (texts: number): void => {
      tally.texts += texts
      tally.bytes += (bytes * texts) / items.length
      options.onProgress?.(tally.bytes, tally.texts)
    }
    const next = embedChunk(embedder, items, first, options, report)
    // A rejection is handled where the promise is awaited below; until then it must not count as unhandled.
    next.catch(() => undefined)
    first += items.length
    from += bytes
    if (ahead !== null) yield await ahead
    ahead = next
  }
  if (ahead !== null) yield await ahead
}

async function embedChunk(
  embedder: Embedder,
  items: readonly SourceText[],
  first: number,
  { signal, projection }: EmbedStreamOptions,
  report: (texts: number) => void,
): Promise<VectorChunk> {
  let reported = 0
  const onProgress = ({ done }: { done: number }): void => {
    report(done - reported)
    reported = done
  }
  const texts = items.map((item) => item.text)
  const batch = await embedder.embedBatch(texts, { signal, onProgress, ...(projection !== undefined && { projection }) })
  return { batch, first }
}

/** Nine significant digits round-trip every 32-bit float and take half the space of seventeen. */
export function floatsForJson(values: Float32Array): number[] {
  return Array.from(values, (value) => Number(value.toPrecision(9)))
}
