// An embedding model for the Vercel AI SDK, computed in the caller's process.

import type { EmbeddingModelV3 } from '@ai-sdk/provider'
import { Embedder } from '../embedding/embedder.js'
import { checkOptions, invalidArgument } from '../options.js'

/** Options of {@link gabionEmbedding}. */
export interface GabionEmbeddingOptions {
  /** Name of one of the model's prompts (`info.prompts`), prepended to every text; `''` for none. Default: that of the model folder. */
  prompt?: string
  /** Values per vector, as of `Embedder.embed`. Default: the embedder's. */
  dimensions?: number
}

/**
 * An embedding model for `embed` and `embedMany` of the AI SDK. The caller disposes of the embedder. Truncated texts are reported
 * as warnings of the result.
 *
 * @throws GabionError `INVALID_ARGUMENT`; a call rejects as `Embedder.embedBatch` does
 */
export function gabionEmbedding(embedder: Embedder, options?: GabionEmbeddingOptions): EmbeddingModelV3 {
  if (!(embedder instanceof Embedder)) throw invalidArgument('embedder', 'an Embedder', embedder)
  const { prompt, dimensions } = checkOptions('options', options, ['prompt', 'dimensions'])
  return {
    specificationVersion: 'v3',
    provider: 'gabion',
    modelId: embedder.info.model,
    maxEmbeddingsPerCall: Infinity,
    supportsParallelCalls: true,
    async doEmbed({ values, abortSignal }) {
      const batch = await embedder.embedBatch(values, {
        ...(prompt !== undefined && { prompt }),
        ...(dimensions !== undefined && { dimensions }),
        ...(abortSignal !== undefined && { signal: abortSignal }),
      })
      const rows = values.map((_, index) => index)
      return {
        embeddings: rows.map((index) => Array.from(batch.row(index))),
        usage: { tokens: batch.tokenCounts.reduce((sum, count) => sum + count, 0) },
        warnings: rows
          .filter((index) => batch.truncated(index))
          .map((index) => ({
            type: 'other',
            message: `text ${String(index)} has ${String(batch.totalTokenCounts[index])} tokens and was truncated to ${String(batch.tokenCounts[index])}`,
          })),
      }
    },
  }
}
