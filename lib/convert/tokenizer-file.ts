// The tokenizer that goes with converted graphs: the folder's own, checked against the encoder, or a copy that lowers texts.

import { ConfigFile } from '../models/config-file.js'
import { paddingIdOf } from '../models/token-positions.js'

function isLowercase(normalizer: unknown): boolean {
  return typeof normalizer === 'object' && normalizer !== null && (normalizer as { type?: unknown }).type === 'Lowercase'
}

/** Puts a step that lowers the text before all others, unless there is one, as sentence-transformers does for `do_lower_case`. */
function withLowercase(tokenizer: ConfigFile): Record<string, unknown> | null {
  const normalizer = tokenizer.fields.normalizer as { type?: unknown; normalizers?: unknown } | null | undefined
  if (isLowercase(normalizer)) return null
  const list = normalizer?.type === 'Sequence' && Array.isArray(normalizer.normalizers) ? (normalizer.normalizers as unknown[]) : null
  if (list?.some(isLowercase) === true) return null
  const steps = list ?? (normalizer === null || normalizer === undefined ? [] : [normalizer])
  return { ...tokenizer.fields, normalizer: { type: 'Sequence', normalizers: [{ type: 'Lowercase' }, ...steps] } }
}

/** Throws unless the tokenizer's padding token is the one that the encoder's position numbers skip. */
function checkPaddingToken(config: ConfigFile, settings: ConfigFile | null, tokenizer: ConfigFile): void {
  const expected = paddingIdOf(config)
  const token = settings?.fields.pad_token
  const content = typeof token === 'string' ? token : (token as { content?: unknown } | null | undefined)?.content
  if (expected === null || typeof content !== 'string' || !tokenizer.has('added_tokens')) return
  for (const entry of tokenizer.list('added_tokens')) {
    const { content: name, id } = ConfigFile.of(tokenizer.file, entry).fields
    if (name === content && id !== expected) {
      throw config.wrong('pad_token_id', `${String(id)}, the id of ${content} in tokenizer.json (is it the tokenizer of another model?)`)
    }
  }
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
  const tokenizer = await ConfigFile.read(folder, 'tokenizer.json')
  const config = await ConfigFile.read(folder, 'config.json')
  checkPaddingToken(config, await ConfigFile.readIfPresent(folder, 'tokenizer_config.json'), tokenizer)
  const changed = lowers ? withLowercase(tokenizer) : null
  return changed === null ? null : JSON.stringify(changed)
}
