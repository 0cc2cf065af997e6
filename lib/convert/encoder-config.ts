// Owns the encoder's hyperparameters, read from config.json. Refuses those that the graph does not support.

import type { JsonObject } from '../json/json-object.js'
import { readConfig } from '../models/config-file.js'
import { unsupportedSetting } from '../models/folder-settings.js'
import { paddingIdOf } from '../models/token-positions.js'

/** Supported architectures, by `model_type`. */
export const MODEL_TYPES = ['bert', 'mpnet', 'roberta', 'xlm-roberta'] as const

/** See {@link MODEL_TYPES}. */
export type ModelType = (typeof MODEL_TYPES)[number]

/** Activation functions of the feed-forward block. */
export type Activation = 'gelu' | 'gelu_tanh' | 'quick_gelu' | 'relu' | 'silu'

/** Transformers' names of `hidden_act`, some of them synonyms. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_python_tanh: 'gelu_tanh',
  gelu_accurate: 'gelu_tanh',
  quick_gelu: 'quick_gelu',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
}

/** The sizes and kinds of an encoder. */
export interface EncoderConfig {
  modelType: ModelType
  layers: number
  /** Width of a token's vector. */
  hidden: number
  heads: number
  /** Width inside the feed-forward block. */
  intermediate: number
  /** Rows of the word table. */
  vocabulary: number
  /** Rows of the position table. */
  positions: number
  /**
   * Null where the first token has position 0. Otherwise positions count the tokens other than this id, starting at the row
   * after it, and a token of this id (which a text can contain) has the row of its id.
   */
  paddingId: number | null
  /** Rows of the token type table; 0 where there is none. */
  tokenTypes: number
  /** Rows of the table of attention biases by distance, shared by all layers; 0 where there is none. */
  relativeBuckets: number
  activation: Activation
  layerNormEpsilon: number
}

/** The longest input of an encoder, in tokens. */
export function longestInput(config: Pick<EncoderConfig, 'positions' | 'paddingId'>): number {
  return config.positions - (config.paddingId === null ? 0 : config.paddingId + 1)
}

/** The way out for a checkpoint that gabion does not compute. */
export const EXPORT_INSTEAD =
  'An ONNX export of it (onnx/model.onnx) is run as it is: optimum-cli export onnx --model FOLDER --task feature-extraction FOLDER/onnx'

function readModelType(config: JsonObject): ModelType {
  const name = config.string('model_type')
  const known = MODEL_TYPES.find((type) => type === name)
  if (known !== undefined) return known
  throw unsupportedSetting(config, 'model_type', `cannot be converted to a graph; ${MODEL_TYPES.join(', ')} can. ${EXPORT_INSTEAD}`)
}

function readActivation(config: JsonObject): Activation {
  const name = config.string('hidden_act')
  const known = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined
  if (known !== undefined) return known
  const names = Object.keys(ACTIVATIONS).join(', ')
  throw unsupportedSetting(config, 'hidden_act', `cannot be converted; ${names} can`)
}

/**
 * Reads the `config.json` of an encoder.
 *
 * @param folder with the file
 * @throws GabionError `MODEL_UNSUPPORTED` for another architecture, activation or kind of positions; `MODEL_INVALID` for
 * a field that is missing or of the wrong type; `MODEL_NOT_FOUND` if there is no such file
 */
export async function readEncoderConfig(folder: string): Promise<EncoderConfig> {
  const config = await readConfig(folder, 'config.json')
  const modelType = readModelType(config)
  const positionKind = config.stringOr('position_embedding_type', 'absolute')
  if (positionKind !== 'absolute') {
    throw unsupportedSetting(config, 'position_embedding_type', "cannot be converted; 'absolute' can")
  }
  if (config.booleanOr('is_decoder', false)) throw unsupportedSetting(config, 'is_decoder', 'cannot be converted')
  for (const key of ['quantization_config', 'pruned_heads'])
    if (config.has(key) && Object.keys(config.object(key).fields).length > 0) throw unsupportedSetting(config, key, 'cannot be converted')

  const result: EncoderConfig = {
    modelType,
    layers: config.integer('num_hidden_layers', 1),
    hidden: config.integer('hidden_size', 1),
    heads: config.integer('num_attention_heads', 1),
    intermediate: config.integer('intermediate_size', 1),
    vocabulary: config.integer('vocab_size', 1),
    positions: config.integer('max_position_embeddings', 1),
    paddingId: paddingIdOf(config),
    tokenTypes: modelType === 'mpnet' ? 0 : config.integer('type_vocab_size', 1),
    relativeBuckets: modelType === 'mpnet' ? config.integer('relative_attention_num_buckets', 4) : 0,
    activation: readActivation(config),
    layerNormEpsilon: config.positiveNumber('layer_norm_eps'),
  }
  if (result.hidden % result.heads !== 0) {
    throw config.wrong('num_attention_heads', `a divisor of hidden_size (${String(result.hidden)})`)
  }
  if (longestInput(result) < 1) throw config.wrong('max_position_embeddings', `more than the rows up to pad_token_id`)
  return result
}
