// Owns what a folder's settings change of its tokenizer.json: Python's classes read some of its parts and make others from
// tokenizer_config.json. Refuses what cannot be changed here.

import { GabionError } from '../errors.js'
import { isFields, type JsonObject } from '../json/json-object.js'
import { readConfig, readConfigIfPresent } from './config-file.js'
import { unsupportedSetting } from './folder-settings.js'

/** What decides besides tokenizer.json. */
export interface TokenizerSettings {
  /** `do_lower_case` of the Transformer module. */
  lowers: boolean
  /** tokenizer_config.json */
  settings: JsonObject | null
  /** special_tokens_map.json */
  specialTokens: JsonObject | null
  /** added_tokens.json: ids by token. */
  addedTokens: JsonObject | null
  /** config.json */
  config: JsonObject
}

/**
 * Reads what decides besides tokenizer.json. The two older files of added tokens count only where tokenizer_config.json does not list them.
 *
 * @param folder of config.json and tokenizer.json
 */
export async function readTokenizerSettings(folder: string, lowers: boolean): Promise<TokenizerSettings> {
  const settings = await readConfigIfPresent(folder, 'tokenizer_config.json')
  const older = settings?.has('added_tokens_decoder') !== true
  return {
    lowers,
    settings,
    specialTokens: older ? await readConfigIfPresent(folder, 'special_tokens_map.json') : null,
    addedTokens: older ? await readConfigIfPresent(folder, 'added_tokens.json') : null,
    config: await readConfig(folder, 'config.json'),
  }
}

/** Classes that make BERT's normalizer from their own settings, whatever tokenizer.json has. */
const BERT_CLASS = /^(Bert|DistilBert|MPNet|Electra|MobileBert|SqueezeBert|ConvBert|Splinter|Funnel|Lxmert|LayoutLM)Tokenizer(Fast)?$/
const BYTE_LEVEL_CLASS = /^(Roberta|Longformer|Bart|GPT2)Tokenizer(Fast)?$/
/** Makes its own normalizer and splitting into words. */
const XLM_ROBERTA_CLASS = /^XLMRobertaTokenizer(Fast)?$/
/** The kind of tokenizer.json's model that a class is for. */
const MODEL_OF_CLASS = [
  [BERT_CLASS, 'WordPiece'],
  [BYTE_LEVEL_CLASS, 'BPE'],
  [XLM_ROBERTA_CLASS, 'Unigram'],
] as const
/** The class of a folder that names none, by `model_type`. */
const DEFAULT_CLASS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['bert', 'distilbert', 'mpnet', 'electra', 'mobilebert', 'squeezebert', 'convbert'].map((type) => [type, 'BertTokenizer']),
  ),
  roberta: 'RobertaTokenizer',
  'xlm-roberta': 'XLMRobertaTokenizer',
}

/** Settings that name tokens. */
const TOKEN_SETTINGS = [
  ...['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'],
  ...['extra_special_tokens', 'additional_special_tokens', 'added_tokens_decoder'],
]

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

/** The class that reads a tokenizer in Python; empty for one that follows tokenizer.json. */
function classOf(tokenizer: JsonObject, { settings, config }: TokenizerSettings): string {
  const named = settings?.stringOr('tokenizer_class', null) ?? config.stringOr('tokenizer_class', null)
  const name = named ?? DEFAULT_CLASS[config.stringOr('model_type', '')] ?? ''
  const found = tokenizer.has('model') ? tokenizer.object('model').stringOr('type', null) : null
  const expected = MODEL_OF_CLASS.find(([pattern]) => pattern.test(name))?.[1]
  if (found === null || expected === undefined || found === expected) return name
  if (named === null) return ''
  throw unsupportedSetting(
    settings?.has('tokenizer_class') === true ? settings : config,
    'tokenizer_class',
    `does not fit tokenizer.json, whose model is ${found} and not ${expected}`,
  )
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

/** The normalizer of a class for XLM-RoBERTa: SentencePiece's own step of the file's. */
function normalizerOfXlmRoberta(own: unknown): unknown {
  const steps: unknown[] = isFields(own) && Array.isArray(own.normalizers) ? own.normalizers : [own]
  return steps.find((step) => isFields(step) && step.type === 'Precompiled') ?? null
}

/** The splitting of a class for XLM-RoBERTa, into words and then pieces; the file's own where it means the same. */
function splittingOfXlmRoberta(own: unknown, settings: JsonObject | null): unknown {
  const scheme = (settings?.booleanOr('add_prefix_space', true) ?? true) ? 'always' : 'never'
  const steps: unknown[] = isFields(own) && Array.isArray(own.pretokenizers) ? own.pretokenizers : []
  const [words, pieces] = steps
  if (steps.length === 2 && isFields(words) && words.type === 'WhitespaceSplit' && isFields(pieces) && pieces.type === 'Metaspace') {
    const found = pieces.prepend_scheme ?? (pieces.add_prefix_space === false ? 'never' : 'always')
    if (found === scheme && pieces.split !== false) return own
  }
  const made = { type: 'Metaspace', replacement: '▁', prepend_scheme: scheme, split: true }
  return { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, made] }
}

function contentOf(token: unknown): string | null {
  if (typeof token === 'string') return token
  return isFields(token) && typeof token.content === 'string' ? token.content : null
}

/** The tokens that a setting names: one, or those of a list or an object. */
function tokensOf(value: unknown): string[] {
  const one = contentOf(value)
  if (one !== null) return [one]
  const many: unknown[] = Array.isArray(value) ? value : isFields(value) ? Object.values(value) : []
  return many.flatMap((each) => contentOf(each) ?? [])
}

/** Python adds the tokens that its settings name to those of tokenizer.json; their ids would be beyond the model's vectors or wrong. */
function checkAddedTokens(tokenizer: JsonObject, { settings, specialTokens, addedTokens }: TokenizerSettings): void {
  const added = tokenizer.has('added_tokens') ? tokenizer.objects('added_tokens').map(({ fields }) => fields.content) : []
  const known = new Set<unknown>(added)
  const check = (source: JsonObject | null, key: string, tokens: string[]): void => {
    // A word of the vocabulary would become a token that is found within words.
    const token = tokens.find((each) => !known.has(each))
    if (token === undefined || source === null) return
    throw unsupportedSetting(source, key, `names the token ${JSON.stringify(token)}, which tokenizer.json has not among its added_tokens`)
  }
  for (const source of [settings, specialTokens]) for (const key of TOKEN_SETTINGS) check(source, key, tokensOf(source?.fields[key]))
  for (const token of Object.keys(addedTokens?.fields ?? {})) check(addedTokens, token, [token])
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
  checkAddedTokens(tokenizer, given)
  const name = classOf(tokenizer, given)
  if (BYTE_LEVEL_CLASS.test(name)) checkPrefixSpace(tokenizer, given.settings, name)
  const own = tokenizer.fields
  let { normalizer, pre_tokenizer: splitting } = own
  if (BERT_CLASS.test(name)) normalizer = normalizerOfBert(normalizer, given.settings)
  if (XLM_ROBERTA_CLASS.test(name)) {
    normalizer = normalizerOfXlmRoberta(normalizer)
    splitting = splittingOfXlmRoberta(splitting, given.settings)
  }
  if (given.lowers) normalizer = withLowercase(normalizer)
  if ((normalizer ?? null) === (own.normalizer ?? null) && splitting === own.pre_tokenizer) return null
  return { ...own, normalizer, pre_tokenizer: splitting }
}

/** Such a class puts a space before texts only if its settings say so. */
function checkPrefixSpace(tokenizer: JsonObject, settings: JsonObject | null, name: string): void {
  const before = tokenizer.fields.pre_tokenizer
  if (!isFields(before) || before.type !== 'ByteLevel') return
  const wanted = settings?.booleanOr('add_prefix_space', false) ?? false
  if (wanted !== before.add_prefix_space)
    throw new GabionError(
      'MODEL_UNSUPPORTED',
      `${(settings ?? tokenizer).source}: add_prefix_space ${String(wanted)} of ${name} contradicts tokenizer.json, which has ` +
        String(before.add_prefix_space),
    )
}
