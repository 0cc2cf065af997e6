// Internals for this repository's benchmarks, scripts and test child processes, from the same module instances as the public names.
// Not part of the package's interface: it may change with any commit.

export { OnnxGraph, ONNX_TYPE, CONTRIB_DOMAIN } from './convert/onnx-graph.js'
export { SafetensorsReader } from './convert/safetensors-reader.js'
export { writeSafetensors } from './convert/safetensors-writer.js'
export { SegmentClassifier } from './classifier/segment-classifier.js'
export { CLASSIC_FOLDER, DEPLOYMENT_SAFE_TEXT } from './detection/classic-artifact.js'
export { EROSION_ARTIFACTS } from './detection/erosion/load-erosion.js'
export { spearman } from './statistics/correlation.js'
export { median, quantile } from './statistics/quantile.js'
export { cosine } from './statistics/vectors.js'
export { KNOWN_MODELS } from './models/index.js'
export { resolveModel } from './models/resolve.js'
export { nativeAddon } from './native.js'
export { BINARIES, binariesLocation } from './native-binaries.js'
export { npyHeader } from './files/npy.js'
