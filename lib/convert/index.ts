// The public names of gabion/convert: models from the hub, and checkpoints to graphs.

import type { GraphManifest } from '../models/graph-manifest.js'
import type { ConvertOptions } from './convert-model.js'

export type { ConversionProgress, ConvertOptions } from './convert-model.js'
export type { PreparationProgress } from './prepared-model.js'
export type { FileRecord, GraphManifest, GraphPrecision, GraphRecord, GraphTarget, Parity } from '../models/graph-manifest.js'
export { pullModel, type HubModel, type LocalModel, type PullOptions, type PullProgress } from '../models/hub/pull.js'
export type { RetryPolicy } from '../models/hub/client.js'

/**
 * Converts the checkpoint of a sentence-transformers folder into ONNX graphs for gabion, without Python.
 *
 * For each precision `onnx/` gets a weights file in safetensors form and a small graph that refers to it; see the weight
 * layout for names and shapes. The model folder's configuration, tokenizer, model card and license files are copied.
 * The new folder appears whole or not at all.
 *
 * @returns the manifest that was written
 * @throws GabionError `MODEL_UNSUPPORTED` for an architecture, activation, module or tensor that cannot be converted (the
 * message names it), `MODEL_INVALID` or `MODEL_NOT_FOUND` for bad input, `INFERENCE_FAILED` for a graph that was measured and is wrong, `INVALID_ARGUMENT` for wrong options or an output
 * folder that exists, `ABORTED` if the signal fires
 */
export async function convertModel(options: ConvertOptions): Promise<GraphManifest> {
  const converter = await import('./convert-model.js')
  return converter.convertModel(options)
}
