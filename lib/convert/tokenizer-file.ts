// The tokenizer that goes with converted graphs: the folder's own, checked against the encoder, or a copy that lowers texts.

import type { JsonObject } from '../json/json-object.js'
import { configObject, readConfig, readConfigIfPresent } from '../models/config-file.js'
import { paddingIdOf } from '../models/token-positions.js'

/** Of the word table's rows, how many the tokenizer must know at least. */
const SMALLEST_SHARE = 0.97

function isLowercase(normalizer: unknown): boolean {
  return typeof normalizer === 'object' && normalizer !== null && (normalizer as { type?: unknown }).type === 'Lowercase'
}

/** Puts a step that lowers the text before all others, unless there is one, as sentence-transformers does for `do_lower_case`. */
function withLowercase(tokenizer: JsonObject): Record<string, unknown> | null {
  const normalizer = tokenizer.fields.normalizer as { type?: unknown; normalizers?: unknown } | null | undefined
  if (isLowercase(normalizer)) return null
  const list = normalizer?.type === 'Sequence' && Array.isArray(normalizer.normalizers) ? (normalizer.normalizers as unknown[]) : null
  if (list?.some(isLowercase) === true) return null
  const steps = list ?? (normalizer === null || normalizer === undefined ? [] : [normalizer])
  return { ...tokenizer.fields, normalizer: { type: 'Sequence', normalizers: [{ type: 'Lowercase' }, ...steps] } }
}

/** Throws unless the tokenizer's padding token is the one that the encoder's position numbers skip. */
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

/** The ids of a vocabulary: the keys' values of a map, the places in a list; null for a kind that is not known here. */
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

/** Throws unless the tokenizer's ids are those that the word table has rows for, or nearly: tables are made a little longer at times. */
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
 * @param folder that config.json and tokenizer.json lie in
 * @param lowers whether every text is to be lowered first
 * @returns the JSON text of a tokenizer to put beside the graphs, or null where the folder's own does
 * @throws GabionError `MODEL_INVALID` for a file that is not what it should be, or of another model
 */
export async function tokenizerFor(folder: string, lowers: boolean): Promise<string | null> {
  const tokenizer = await readConfig(folder, 'tokenizer.json')
  const config = await readConfig(folder, 'config.json')
  checkVocabulary(config, tokenizer)
  checkPaddingToken(config, await readConfigIfPresent(folder, 'tokenizer_config.json'), tokenizer)
  const changed = lowers ? withLowercase(tokenizer) : null
  return changed === null ? null : JSON.stringify(changed)
}
