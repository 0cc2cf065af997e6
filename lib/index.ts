// Public names, nothing else.

export { Embedder, type EmbedderInfo, type Tokens } from './embedding/embedder.js'
export { PRECISIONS, PROVIDERS } from './embedding/embedder-options.js'
export type { EmbedBatchOptions, EmbedderOptions, EmbedOptions, Precision, Provider, Truncation } from './embedding/embedder-options.js'
export { EmbeddingBatch, type EmbeddingBatchParts, type EmbedTimings } from './embedding/embedding-batch.js'
export { WindowBatch, type TextWindow, type WindowRule } from './embedding/window-batch.js'
export type { CacheStats } from './embedding/vector-cache.js'
export {
  PcaAccumulator,
  Projection,
  type FitPcaOptions,
  type ProjectionFit,
  type ProjectionModel,
  type ProjectionParts,
  type VectorRows,
} from './projection/projection.js'
export { StandardScaler } from './projection/scaler.js'
export { LinearAdapter, type AdapterMethod, type AdapterOptions, type AdapterQuality } from './projection/adapter.js'
export { importProjection, type ImportOptions } from './projection/import.js'
export type {
  AlertState,
  Detector,
  DetectorTurn,
  DetectorVerdict,
  EmbeddedExchange,
  EmbeddedText,
  EmbeddedWindow,
} from './detection/detector.js'
export {
  ClassicDetector,
  type ClassicDetectorOptions,
  type ClassicPreset,
  type ClassicThresholds,
  type ClassicVerdict,
} from './detection/classic.js'
export type { ClassicAccumulation, ClassicQuantities, ClassicState, ClassicWeights } from './detection/classic-formulas.js'
export { loadErosionDetector, type ErosionOptions } from './detection/erosion/load-erosion.js'
export type { ErosionState } from './detection/erosion/level.js'
export { ErosionDetector, type ErosionDetectorOptions, type ErosionVerdict, type NearestAnchor } from './detection/erosion/erosion.js'
export { DEPLOYMENT_SAFE_TEXT, loadClassicDetector, type ClassicOptions, type PointSource } from './detection/classic-artifact.js'
export { DEFAULT_DETECTOR, DETECTORS, Monitor, type DetectorName, type MonitorEmbedder, type MonitorOptions } from './monitor/monitor.js'
export {
  type ConversationEmbedder,
  Conversation,
  type Exchange,
  type SavedConversation,
  type TurnFacts,
  type TurnTimings,
  type TurnVerdict,
} from './monitor/conversation.js'
export type { TranscriptExchange } from './monitor/exchanges.js'
export { parseTranscript, type TranscriptConversation, type TranscriptForm } from './monitor/transcript.js'
export type { FollowedEvent } from './monitor/follow.js'
export { watchConversations, watchEvents, type ConversationSummary, type WatchItem, type WatchOptions } from './monitor/watch.js'
export { convertModel, type ConversionProgress, type ConvertOptions, type PreparationProgress } from './convert/index.js'
export { pullModel, type HubModel, type LocalModel, type Patience, type PullOptions, type PullProgress } from './models/index.js'
export { GRAPH_PRECISIONS, GRAPH_TARGETS } from './models/index.js'
export type { FileRecord, GraphManifest, GraphPrecision, GraphRecord, GraphTarget, Parity } from './models/index.js'
export { ERROR_CODES, GabionError, isGabionError, type GabionErrorCode } from './errors.js'
export {
  GuardedDetector,
  type GuardedState,
  type GuardedVerdict,
  type GuardFindings,
  type PolicyFinding,
  type RoleFinding,
} from './detection/policy/guarded-detector.js'
export { loadPolicies, type PolicyOptions } from './detection/policy/load-policies.js'
export type { PolicySet, ReadyPolicy, RoleWatch } from './detection/policy/policy-set.js'
export type { Anchor, EmbedderFingerprint, ErosionArtifact, ThresholdSet, TrainingSet } from './detection/erosion/artifact.js'
export type { Contributions, HeadWeights } from './detection/erosion/head.js'
export type { Language } from './detection/erosion/language.js'
export { LEXICON_LANGUAGES, loadLexicon } from './detection/erosion/lexicon-file.js'
export { RefusalReader, type RefusalFlags, type RefusalLexicon } from './detection/erosion/lexicon.js'
export type { BenignScale } from './detection/erosion/level.js'
export { AGGREGATES, type Aggregate, type Threshold } from './detection/erosion/thresholds.js'
export type { ExampleVectors, PolicyHead } from './detection/policy/policy-head.js'
export type { RoleState } from './detection/policy/role-drift.js'
