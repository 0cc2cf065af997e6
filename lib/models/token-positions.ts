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
    case 'roberta':
    case 'xlm-roberta':
      return config.has('pad_token_id') ? config.integer('pad_token_id', 0) : DEFAULT_PADDING_ID
    default:
      return null
  }
}

/** The longest input that the position table allows, in tokens; null if `config.json` has no such table. */
export function longestInputOf(config: JsonObject): number | null {
  if (!config.has('max_position_embeddings')) return null
  const padding = paddingIdOf(config)
  const rows = config.integer('max_position_embeddings', 1)
  return padding === null ? rows : rows - padding - 1
}
