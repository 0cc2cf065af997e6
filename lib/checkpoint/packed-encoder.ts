// An encoder as a checkpoint stores it, described for native code, which packs it for the kernels. Reads config.json and headers.

import { GabionError } from '../errors.js'
import type { JsonObject } from '../json/json-object.js'
import { paddingIdOf } from '../models/token-positions.js'
import type { NativeCheckpoint } from '../native.js'
import type { CheckpointFiles } from './checkpoint-files.js'
import { obstacleTo, readEncoderSizes, readRelativeBiases } from './encoder-settings.js'
import { KERNEL_ARCHITECTURES, TensorList } from './encoder-tensors.js'
import { hasRotaryPositions, obstacleToRotary, readRotaryEncoder } from './rotary-encoders.js'

/** An encoder without the precision in which it is packed. */
export type PackedEncoder = Omit<NativeCheckpoint, 'precision' | 'smoothScales'>

const WORDS = ['embeddings.word_embeddings.weight', 'embeddings.tok_embeddings.weight']

/**
 * What stands before the encoder's names: `bert.` or the like in files saved from a model with a head, else mostly nothing.
 *
 * @throws GabionError `MODEL_UNSUPPORTED` for files with no encoder, or several
 */
export function prefixOf(files: CheckpointFiles): string {
  const found = WORDS.flatMap((words) =>
    files.names.filter((name) => name === words || name.endsWith(`.${words}`)).map((name) => name.slice(0, -words.length)),
  )
  const [prefix] = found
  if (prefix !== undefined && found.length === 1) return prefix
  throw new GabionError(
    'MODEL_UNSUPPORTED',
    `${files.files.join(', ')}: one encoder is needed, ${String(found.length)} tensors are called ${WORDS.join(' or ')}`,
  )
}

/** Why the kernels cannot compute an embedding model's encoder; null if they can. Their variants decide whether its sizes fit. */
export function obstacleToPacking(config: JsonObject): string | null {
  return hasRotaryPositions(config) ? obstacleToRotary(config) : obstacleTo(config)
}

/**
 * Describes an encoder.
 *
 * @param config its config.json, of an architecture that the kernels compute
 * @param prefix before the names of its tensors
 * @throws GabionError `MODEL_INVALID`, `MODEL_UNSUPPORTED` for a checkpoint that lacks a tensor
 */
export async function readPackedEncoder(files: CheckpointFiles, config: JsonObject, prefix: string): Promise<PackedEncoder> {
  if (hasRotaryPositions(config)) {
    const { sizes, rotary, list, hasTypes } = readRotaryEncoder(files, config, prefix)
    const { files: names, tensors } = list
    return { ...sizes, files: names, tensors, hasTypes, positionsIncludeType: false, paddingId: null, relativeBiases: null, rotary }
  }
  const architecture = config.oneOf('model_type', KERNEL_ARCHITECTURES)
  const sizes = readEncoderSizes(config, architecture)
  const { hidden } = sizes
  const list = new TensorList()
  for (const table of ['word_embeddings', 'position_embeddings']) list.add(files, `${prefix}embeddings.${table}.weight`, [null, hidden])
  const hasTypes = files.has(`${prefix}embeddings.token_type_embeddings.weight`)
  if (hasTypes) list.add(files, `${prefix}embeddings.token_type_embeddings.weight`, [null, hidden])
  list.addNorm(files, `${prefix}embeddings.LayerNorm`, hidden)
  list.addLayers(files, prefix, architecture, sizes)
  return {
    ...sizes,
    files: list.files,
    tensors: list.tensors,
    hasTypes,
    positionsIncludeType: false,
    paddingId: paddingIdOf(config),
    relativeBiases: await readRelativeBiases(files, prefix, config, sizes.heads),
  }
}
