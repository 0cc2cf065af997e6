// Public names, nothing else.

export { Embedder, type EmbedderInfo, type Tokens } from './embedding/embedder.js'
export type { EmbedBatchOptions, EmbedderOptions, EmbedOptions, Precision, Provider, Truncation } from './embedding/embedder-options.js'
export { EmbeddingBatch, type EmbedTimings } from './embedding/embedding-batch.js'
export type { CacheStats } from './embedding/vector-cache.js'
export { ERROR_CODES, GabionError, isGabionError, type GabionErrorCode } from './errors.js'
export { Projection, type FitPcaOptions, type ProjectionModel, type VectorRows } from './projection/projection.js'
