// What the converter must know of a model, taken from its config.json. Says no to what the graph does not do.

import { GabionError } from '../errors.js'
import { ConfigFile } from '../models/config-file.js'

/** The sizes of a BERT encoder. */
export interface EncoderConfig {
  modelType: 'bert'
  layers: number
  /** Width of a token's vector. */
  hidden: number
  heads: number
  /** Width inside the feed-forward block. */
  intermediate: number
  /** Rows of the word table. */
  vocabulary: number
  /** Rows of the position table: the longest input in tokens. */
  positions: number
  tokenTypes: number
  layerNormEpsilon: number
}

/**
 * Reads `config.json` of a folder.
 *
 * @throws GabionError `MODEL_UNSUPPORTED` for another architecture, activation or kind of positions; `MODEL_INVALID` for
 * a field that is missing or of the wrong type; `MODEL_NOT_FOUND` if there is no such file
 */
export async function readEncoderConfig(folder: string): Promise<EncoderConfig> {
  const config = await ConfigFile.read(folder, 'config.json')
  const onlySupports = (field: string, supported: string): void => {
    const value = config.string(field)
    if (value !== supported) {
      throw new GabionError('MODEL_UNSUPPORTED', `${config.file}: ${field} '${value}' cannot be converted; '${supported}' can`)
    }
  }
  onlySupports('model_type', 'bert')
  onlySupports('hidden_act', 'gelu')
  if (config.has('position_embedding_type')) onlySupports('position_embedding_type', 'absolute')
  if (config.booleanOr('is_decoder', false)) throw new GabionError('MODEL_UNSUPPORTED', `${config.file}: a decoder cannot be converted`)

  const result: EncoderConfig = {
    modelType: 'bert',
    layers: config.integer('num_hidden_layers', 1),
    hidden: config.integer('hidden_size', 1),
    heads: config.integer('num_attention_heads', 1),
    intermediate: config.integer('intermediate_size', 1),
    vocabulary: config.integer('vocab_size', 1),
    positions: config.integer('max_position_embeddings', 1),
    tokenTypes: config.integer('type_vocab_size', 1),
    layerNormEpsilon: config.positiveNumber('layer_norm_eps'),
  }
  if (result.hidden % result.heads !== 0) {
    throw config.wrong('num_attention_heads', `a divisor of hidden_size (${String(result.hidden)})`)
  }
  return result
}
