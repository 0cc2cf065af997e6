// The public names of gabion/ai-sdk.

export { gabionEmbedding, type GabionEmbeddingOptions } from './embedding.js'
export { gabionMiddleware, type GabionMiddlewareOptions } from './middleware.js'
