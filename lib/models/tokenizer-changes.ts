// Owns what a folder's settings change of its tokenizer.json: Python's classes read some of its parts and make others from
// tokenizer_config.json. Refuses what cannot be changed here.

import { isFields, type JsonObject } from '../json/json-object.js'
import { unsupportedSetting } from './folder-settings.js'

/** What decides besides tokenizer.json. */
export interface TokenizerSettings {
  /** `do_lower_case` of the Transformer module. */
  lowers: boolean
  /** tokenizer_config.json */
  settings: JsonObject | null
  /** config.json */
  config: JsonObject
}

/** Classes that make BERT's normalizer from their own settings, whatever tokenizer.json has. */
const BERT_CLASS = /^(Bert|DistilBert|MPNet|Electra|MobileBert|SqueezeBert|ConvBert|Splinter|Funnel|Lxmert|LayoutLM)Tokenizer(Fast)?$/
/** The class of a folder that names none. */
const BERT_TYPES = ['bert', 'distilbert', 'mpnet', 'electra', 'mobilebert', 'squeezebert', 'convbert']
const BYTE_LEVEL_CLASS = /^(Roberta|Longformer|Bart|GPT2)Tokenizer(Fast)?$/

function isLowercase(normalizer: unknown): boolean {
  return isFields(normalizer) && normalizer.type === 'Lowercase'
}

/** Prepends a lowercase normalizer, unless there is one, as sentence-transformers does for `do_lower_case`. */
function withLowercase(normalizer: unknown): unknown {
  if (isLowercase(normalizer)) return normalizer
  const list =
    isFields(normalizer) && normalizer.type === 'Sequence' && Array.isArray(normalizer.normalizers) ? normalizer.normalizers : null
  if (list?.some(isLowercase) === true) return normalizer
  const steps: unknown[] = list ?? (normalizer === null || normalizer === undefined ? [] : [normalizer])
  return { type: 'Sequence', normalizers: [{ type: 'Lowercase' }, ...steps] }
}

function classOf({ settings, config }: TokenizerSettings): string {
  const named = settings?.stringOr('tokenizer_class', null) ?? config.stringOr('tokenizer_class', null)
  if (named !== null) return named
  return BERT_TYPES.includes(config.stringOr('model_type', '')) ? 'BertTokenizer' : ''
}

/** The normalizer that a class for BERT makes; the file's own where it means the same. */
function normalizerOfBert(own: unknown, settings: JsonObject | null): unknown {
  const made = {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: settings?.booleanOr('tokenize_chinese_chars', true) ?? true,
    strip_accents: settings?.has('strip_accents') === true ? settings.boolean('strip_accents') : null,
    lowercase: settings?.booleanOr('do_lower_case', true) ?? true,
  }
  if (!isFields(own)) return made
  return Object.entries(made).every(([key, value]) => (own[key] ?? null) === value) ? own : made
}

function contentOf(token: unknown): string | null {
  if (typeof token === 'string') return token
  return isFields(token) && typeof token.content === 'string' ? token.content : null
}

/** Python adds the tokens that its settings name to those of tokenizer.json; their ids would be beyond the model's vectors or wrong. */
function checkAddedTokens(tokenizer: JsonObject, settings: JsonObject): void {
  const added = tokenizer.has('added_tokens') ? tokenizer.objects('added_tokens').map(({ fields }) => fields.content) : []
  const known = new Set<unknown>(added)
  const named = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']
  for (const key of [...named, 'extra_special_tokens', 'additional_special_tokens', 'added_tokens_decoder']) {
    const value = settings.fields[key]
    const tokens = named.includes(key) ? [value] : Array.isArray(value) ? (value as unknown[]) : isFields(value) ? Object.values(value) : []
    for (const each of tokens) {
      const token = contentOf(each)
      // A word of the vocabulary would become a token that is found within words.
      if (token !== null && !known.has(token))
        throw unsupportedSetting(
          settings,
          key,
          `names the token ${JSON.stringify(token)}, which tokenizer.json has not among its added_tokens`,
        )
    }
  }
}

/**
 * Applies a folder's settings to its tokenizer.json.
 *
 * @returns the changed content, or null where the file is right as it is
 * @throws GabionError `MODEL_UNSUPPORTED` naming file, key and value; `MODEL_INVALID`
 */
export function changedTokenizer(tokenizer: JsonObject, given: TokenizerSettings): Record<string, unknown> | null {
  const model = tokenizer.has('model') ? tokenizer.object('model') : null
  if (model?.has('dropout') === true && model.fields.dropout !== 0)
    throw unsupportedSetting(model, 'dropout', 'of the model is not supported: a text would get other tokens each time')
  if (given.settings !== null) checkAddedTokens(tokenizer, given.settings)
  const name = classOf(given)
  checkPrefixSpace(tokenizer, given.settings, name)
  const own = tokenizer.fields.normalizer
  const ofClass = BERT_CLASS.test(name) ? normalizerOfBert(own, given.settings) : own
  const lowered = given.lowers ? withLowercase(ofClass) : ofClass
  return lowered === own ? null : { ...tokenizer.fields, normalizer: lowered }
}

function checkPrefixSpace(tokenizer: JsonObject, settings: JsonObject | null, name: string): void {
  const before = tokenizer.fields.pre_tokenizer
  if (!BYTE_LEVEL_CLASS.test(name) || settings?.has('add_prefix_space') !== true || !isFields(before) || before.type !== 'ByteLevel') return
  if (settings.boolean('add_prefix_space') !== before.add_prefix_space)
    throw unsupportedSetting(settings, 'add_prefix_space', `contradicts tokenizer.json, which has ${String(before.add_prefix_space)}`)
}
