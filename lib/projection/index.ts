// The public names of gabion/projection: fitting, importing and applying affine maps of vectors, and adapters between models.

export {
  PcaAccumulator,
  Projection,
  type FitPcaOptions,
  type ProjectionFit,
  type ProjectionModel,
  type ProjectionParts,
  type VectorRows,
} from './projection.js'
export { StandardScaler } from './scaler.js'
export { LinearAdapter, type AdapterMethod, type AdapterOptions, type AdapterQuality } from './adapter.js'
export { importProjection, type ImportOptions } from './import.js'
