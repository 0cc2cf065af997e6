// Entry point of this folder for the rest of gabion.

export {
  GRAPH_PRECISIONS,
  GRAPH_TARGETS,
  type FileRecord,
  type GraphPrecision,
  type GraphRecord,
  type GraphTarget,
  type Parity,
} from './graph-manifest.js'
export { readGraphManifest, type GraphManifest } from './graph-manifest.js'
export { DEFAULT_MODEL, KNOWN_MODELS, findKnownModel, type KnownModel } from './known-models.js'
export { bundledModelLicenses, readModelLicense, type ModelLicense } from './licenses.js'
export { readModelFolder, type GraphDescription, type ModelDescription } from './model-folder.js'
export { type SelfTest } from './model-manifest.js'
export { bundledFolder, resolveModel, resolveModelFolder } from './resolve.js'
export { POOLINGS, type Pooling } from './pooled-modules.js'
export { requireVerified, verifyModel, type ModelVerification, type VerifiedFile } from './verify.js'
export {
  findLocalModel,
  parseHubModel,
  pullModel,
  type HubModel,
  type LocalModel,
  type PullOptions,
  type PullProgress,
} from './hub/pull.js'
export { type RetryPolicy } from './hub/client.js'
