// A model folder's checkpoint for gabion's own encoder, which packs the weights as they are published: no graph, no copy on disk.

import { CheckpointFiles } from '../checkpoint/checkpoint-files.js'
import { obstacleToPacking, prefixOf, readPackedEncoder, type PackedEncoder } from '../checkpoint/packed-encoder.js'
import { hasRotaryPositions } from '../checkpoint/rotary-encoders.js'
import { EXPORT_INSTEAD } from '../convert/encoder-config.js'
import { keptTokenizer } from '../convert/prepared-model.js'
import { tokenizerFor } from '../convert/tokenizer-file.js'
import { GabionError } from '../errors.js'
import { readConfig } from '../models/config-file.js'
import type { ModelDescription } from '../models/model-folder.js'
import { findWeightFiles } from '../models/weight-files.js'
import { nativeAddon } from '../native.js'
import type { CheckedEmbedderOptions } from './embedder-options.js'

/**
 * The tokenizer of a checkpoint, checked against its config.json: the folder's file, or one in gabion's own cache with what its settings
 * change.
 *
 * @throws GabionError `MODEL_INVALID` for the tokenizer of another model, `MODEL_UNSUPPORTED`, `STORAGE_FAILED`
 */
export async function tokenizerOfCheckpoint({ encoderFolder, lowersText, tokenizerFile }: ModelDescription): Promise<string> {
  const changed = encoderFolder === null ? null : await tokenizerFor(encoderFolder, lowersText)
  return changed === null ? tokenizerFile : keptTokenizer(changed)
}

/** A checkpoint that the kernels of this processor compute. */
export interface PackedModel {
  encoder: PackedEncoder
  precision: 'fp32' | 'bf16' | 'int8'
  /** See `CheckpointFiles.identity`. */
  identity: string
}

/**
 * Describes the encoder of a folder for the kernels.
 *
 * @returns null where the folder has no checkpoint, or one that they do not compute
 * @throws GabionError `MODEL_INVALID`, `MODEL_UNSUPPORTED` for a checkpoint of which tensors are missing or of other shapes, or for one that
 * neither the kernels nor the converter compute
 */
export async function readPackedModel(
  { encoderFolder, graphs }: Pick<ModelDescription, 'encoderFolder' | 'graphs'>,
  { precision, providers, onnxFile }: Pick<CheckedEmbedderOptions, 'precision' | 'providers' | 'onnxFile'>,
): Promise<PackedModel | null> {
  if (encoderFolder === null || onnxFile !== undefined || precision === 'fp16' || providers[0] !== 'cpu') return null
  if (nativeAddon().machine().encoderInstructionSet === '') return null
  const config = await readConfig(encoderFolder, 'config.json')
  const obstacle = obstacleToPacking(config)
  if (obstacle !== null) {
    if (graphs.length > 0 || !hasRotaryPositions(config)) return null
    throw new GabionError(
      'MODEL_UNSUPPORTED',
      `${config.source}: ${config.string('model_type')} with ${obstacle} cannot be read from its weights. ${EXPORT_INSTEAD}`,
    )
  }
  await using files = await CheckpointFiles.open(await findWeightFiles(encoderFolder))
  const encoder = await readPackedEncoder(files, config, prefixOf(files))
  if (!nativeAddon().fitsEncoder(encoder)) return null
  return { encoder, precision: precision === 'auto' ? 'bf16' : precision, identity: await files.identity() }
}
