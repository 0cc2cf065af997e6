// What the kernels need to know of an encoder besides its tensors: sizes, attention biases, and whether they can compute it at all. Reads
// config.json.

import { relativeBuckets } from '../convert/weight-layout.js'
import type { JsonObject } from '../json/json-object.js'
import { longestInputOf } from '../models/token-positions.js'
import type { CheckpointFiles } from './checkpoint-files.js'
import { KERNEL_ARCHITECTURES, type EncoderSizes, type KernelArchitecture } from './encoder-tensors.js'

/** Why the kernels cannot compute an encoder; null if they can. Their variants decide whether its sizes fit. */
export function obstacleTo(config: JsonObject): string | null {
  const type = config.string('model_type')
  if (!KERNEL_ARCHITECTURES.some((name) => name === type)) return `model_type '${type}'`
  const activation = config.stringOr(type === 'distilbert' ? 'activation' : 'hidden_act', 'gelu')
  if (activation !== 'gelu') return `activation '${activation}'`
  const positions = config.stringOr('position_embedding_type', 'absolute')
  return positions === 'absolute' ? obstacleOfStorage(config) : `position_embedding_type '${positions}'`
}

/** Why no encoder of this kind is computed, whatever its architecture; null if nothing is against it. */
export function obstacleOfStorage(config: JsonObject): string | null {
  if (config.booleanOr('is_decoder', false)) return 'is_decoder true'
  const changed = ['quantization_config', 'pruned_heads'].find(
    (key) => config.has(key) && Object.keys(config.object(key).fields).length > 0,
  )
  return changed === undefined ? null : `a ${changed}`
}

/** Sizes of an encoder; DistilBERT has names of its own for them. */
export function readEncoderSizes(config: JsonObject, architecture: KernelArchitecture): EncoderSizes {
  if (architecture === 'distilbert') {
    return {
      layers: config.integer('n_layers', 1),
      heads: config.integer('n_heads', 1),
      hidden: config.integer('dim', 1),
      intermediate: config.integer('hidden_dim', 1),
      epsilon: 1e-12,
    }
  }
  return {
    layers: config.integer('num_hidden_layers', 1),
    heads: config.integer('num_attention_heads', 1),
    hidden: config.integer('hidden_size', 1),
    intermediate: config.integer('intermediate_size', 1),
    epsilon: config.positiveNumber('layer_norm_eps'),
  }
}

/** MPNet's attention biases by distance, from those by bucket; null of other architectures. `prefix` is that of the checkpoint's names. */
export async function readRelativeBiases(
  files: CheckpointFiles,
  prefix: string,
  config: JsonObject,
  heads: number,
): Promise<Float32Array | null> {
  if (config.string('model_type') !== 'mpnet') return null
  const count = config.integer('relative_attention_num_buckets', 4)
  const table = await files.read(`${prefix}encoder.relative_attention_bias.weight`, [count, heads])
  const buckets = relativeBuckets(longestInputOf(config) ?? 0, count)
  const biases = new Float32Array(buckets.length * heads)
  for (const [row, bucket] of buckets.entries()) biases.set(table.subarray(bucket * heads, (bucket + 1) * heads), row * heads)
  return biases
}
