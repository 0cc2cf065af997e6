// Public names only. Names of a single task are in subpaths: gabion/projection, gabion/convert, gabion/server,
// gabion/ai-sdk, gabion/testing. docs/api.md describes every name, and a test compares the two.

export { Embedder, type EmbedderInfo, type Tokens } from './embedding/embedder.js'
export type { EmbedBatchOptions, EmbedderOptions, EmbedOptions, Precision, Provider, Truncation } from './embedding/embedder-options.js'
export { EmbeddingBatch, type EmbedTimings } from './embedding/embedding-batch.js'
export { cosineSimilarity, dotProduct, semanticSearch, type SearchHit, type SemanticSearchOptions } from './embedding/similarity.js'
export type { CacheStats } from './embedding/vector-cache.js'
export { WindowBatch, type TextWindow, type WindowRule } from './embedding/window-batch.js'
export type { PreparationProgress } from './convert/prepared-model.js'

export { Classifier, type ClassifierInfo } from './classifier/classifier.js'
export type { ClassifierInput, ClassifierOptions, ClassifierPrecision, ClassifyOptions } from './classifier/classifier-options.js'
export type { Classification, ClassifyTimings, LabelScore } from './classifier/classification.js'
export type { ProblemType } from './classifier/classifier-folder.js'

export { Projection, type FitPcaOptions, type VectorRows } from './projection/projection.js'

export { Monitor, type DetectorName, type MonitorEmbedder, type MonitorOptions } from './monitor/monitor.js'
export { Conversation, type Exchange, type Instructions, type SavedConversation } from './monitor/conversation.js'
export { StreamGuard, type StreamGuardOptions, type StreamGuardResult } from './monitor/stream/stream-guard.js'
export { parseTranscript, type TranscriptConversation, type TranscriptExchange, type TranscriptOptions } from './transcripts/transcript.js'
export { watchConversations, watchEvents, type ConversationSummary, type WatchItem, type WatchOptions } from './monitor/watch.js'
export type { FollowedEvent } from './transcripts/follow.js'

export type { ConversationExchange, Detector, EmbeddedExchange, EmbeddedText, EmbeddedWindow } from './detection/detector.js'
export type { DetectorVerdict, ExchangeTimings, ExchangeVerdict, Level } from './detection/verdict.js'
export { loadGuardDetector } from './detection/guard/load-guard.js'
export type { GuardVerdict } from './detection/guard/guard-detector.js'
export { loadErosionDetector, type ErosionOptions } from './detection/erosion/load-erosion.js'
export type { ErosionDetector, ErosionVerdict } from './detection/erosion/erosion.js'
export { loadClassicDetector, type ClassicOptions } from './detection/classic-artifact.js'
export type { ClassicDetector, ClassicVerdict } from './detection/classic.js'
export { loadPolicies, type PolicyOptions } from './detection/policy/load-policies.js'
export { GuardedDetector, type GuardedVerdict, type PolicyFinding, type RoleFinding } from './detection/policy/guarded-detector.js'
export type { PolicySet } from './detection/policy/policy-set.js'
export { loadLexicon } from './detection/erosion/lexicon-file.js'
export { RefusalReader, type RefusalLexicon } from './detection/erosion/lexicon.js'

export { ERROR_CODES, GabionError, isGabionError, type GabionErrorCode } from './errors.js'
