// Owns the tokenizer of converted graphs: the folder's own, checked against the encoder, or a copy with what its settings change.

import type { JsonObject } from '../json/json-object.js'
import { configObject, readConfig } from '../models/config-file.js'
import { paddingIdOf } from '../models/token-positions.js'
import { changedTokenizer, readTokenizerSettings } from '../models/tokenizer-changes.js'

/** Minimum share of the word table's rows that the tokenizer must use. */
const SMALLEST_SHARE = 0.97

/** Checks that the tokenizer's padding token is the one that the encoder's positions skip. */
function checkPaddingToken(config: JsonObject, settings: JsonObject | null, tokenizer: JsonObject): void {
  const expected = paddingIdOf(config)
  const token = settings?.fields.pad_token
  const content = typeof token === 'string' ? token : (token as { content?: unknown } | null | undefined)?.content
  if (expected === null || typeof content !== 'string' || !tokenizer.has('added_tokens')) return
  for (const entry of tokenizer.list('added_tokens')) {
    const { content: name, id } = configObject(tokenizer.source, entry).fields
    if (name === content && id !== expected) {
      throw config.wrong('pad_token_id', `${String(id)}, the id of ${content} in tokenizer.json (is it the tokenizer of another model?)`)
    }
  }
}

/** The ids of a vocabulary: the values of a map, the indices of a list; null for an unknown kind. */
function highestId(tokenizer: JsonObject): { count: number; highest: number } | null {
  const vocabulary = tokenizer.has('model') ? tokenizer.object('model').fields.vocab : undefined
  if (typeof vocabulary !== 'object' || vocabulary === null) return null
  const ids = new Set<unknown>(Array.isArray(vocabulary) ? vocabulary.keys() : Object.values(vocabulary))
  if (tokenizer.has('added_tokens'))
    for (const entry of tokenizer.list('added_tokens')) ids.add(configObject(tokenizer.source, entry).fields.id)
  let highest = -1
  for (const id of ids) if (typeof id === 'number' && id > highest) highest = id
  return { count: ids.size, highest }
}

/** Checks that the word table has a row for every id of the tokenizer and few more; some tables are slightly padded. */
function checkVocabulary(config: JsonObject, tokenizer: JsonObject): void {
  const rows = config.integer('vocab_size', 1)
  const found = highestId(tokenizer)
  if (found === null) return
  const asks = '(is it the tokenizer of another model?)'
  if (found.highest >= rows) throw config.wrong('vocab_size', `above ${String(found.highest)}, the highest id of tokenizer.json ${asks}`)
  if (found.count < rows * SMALLEST_SHARE)
    throw config.wrong('vocab_size', `near ${String(found.count)}, the tokens of tokenizer.json ${asks}`)
}

/**
 * Checks the tokenizer of an encoder's folder.
 *
 * @param folder with config.json and tokenizer.json
 * @param lowers whether texts must be lowercased
 * @returns the JSON text of a tokenizer for the graphs' folder, or null where the folder's own is suitable
 * @throws GabionError `MODEL_INVALID` for an invalid file, or one of another model
 */
export async function tokenizerFor(folder: string, lowers: boolean): Promise<string | null> {
  const tokenizer = await readConfig(folder, 'tokenizer.json')
  const given = await readTokenizerSettings(folder, lowers)
  checkVocabulary(given.config, tokenizer)
  checkPaddingToken(given.config, given.settings, tokenizer)
  const changed = changedTokenizer(tokenizer, given)
  return changed === null ? null : JSON.stringify(changed)
}
