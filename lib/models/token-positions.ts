// Owns the numbering of token positions: from 0, or from the row after the padding token's.

import type { JsonObject } from '../json/json-object.js'

const DEFAULT_PADDING_ID = 1

/**
 * Null where the first token has position 0. RoBERTa-like models count the tokens other than the padding id, from the row after
 * that id.
 */
export function paddingIdOf(config: JsonObject): number | null {
  switch (config.stringOr('model_type', '')) {
    case 'mpnet':
      // Hard-coded in MPNet, whatever its config.json contains.
      return DEFAULT_PADDING_ID
    case 'camembert':
    case 'data2vec-text':
    case 'ibert':
    case 'longformer':
    case 'roberta':
    case 'roberta-prelayernorm':
    case 'xlm-roberta':
    case 'xlm-roberta-xl':
    case 'xmod':
      return config.has('pad_token_id') ? config.integer('pad_token_id', 0) : DEFAULT_PADDING_ID
    default:
      return null
  }
}

/** The longest input that the position table allows, in tokens; null if `config.json` has no such table. */
export function longestInputOf(config: JsonObject): number | null {
  const rows = encoderSize(config, 'positions')
  if (rows === null) return null
  const padding = paddingIdOf(config)
  return padding === null ? rows : rows - padding - 1
}

/** What architectures call the sizes of an encoder. */
const SIZE_NAMES = {
  width: ['hidden_size', 'dim', 'd_model', 'n_embd'],
  vocabulary: ['vocab_size'],
  positions: ['max_position_embeddings', 'n_positions'],
} as const

/**
 * A size by any of its names, at the top of `config.json` or in its `text_config`; null where there is none. Some architectures
 * write -1 for no limit.
 *
 * @throws GabionError `MODEL_INVALID` for a size that is no positive integer
 */
export function encoderSize(config: JsonObject, size: keyof typeof SIZE_NAMES): number | null {
  const places = config.has('text_config') ? [config, config.object('text_config')] : [config]
  for (const place of places) {
    const name = SIZE_NAMES[size].find((each) => place.has(each))
    if (name !== undefined) return place.fields[name] === -1 ? null : place.integer(name, 1)
  }
  return null
}
