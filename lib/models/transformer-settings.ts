// Owns what the Transformer module's own file and the tokenizer's settings say of a text's way to token ids: the longest input, which end
// of a longer text stays, lowercasing. Refuses settings by which sentence-transformers would take another way.

import { join } from 'node:path'
import { isFields, type JsonObject } from '../json/json-object.js'
import { configObject, readConfigIfPresent } from './config-file.js'
import { TRANSFORMER_FILES, unsupportedSetting, type UnknownSettings } from './folder-settings.js'
import { longestInputOf } from './token-positions.js'

/** The way from a text to token ids. */
export interface TransformerSettings {
  /** In tokens, special tokens included. */
  maxSequenceLength: number
  /** Whether the end of a longer text stays and not its beginning; null where tokenizer.json decides. */
  keepsEnd: boolean | null
  /** Whether texts are lowercased before tokenization, whatever tokenizer.json does. */
  lowersText: boolean
  /** What was read, relative to the model's folder. */
  files: string[]
  /** What is known and has no effect here, but would elsewhere. */
  notes: string[]
}

/** Keys of `processor_kwargs`, `model_kwargs` and `config_kwargs` that have no effect on a vector, or are read. */
const HARMLESS = {
  processor_kwargs: ['model_max_length', 'truncation_side', 'padding_side', 'use_fast', 'trust_remote_code'],
  model_kwargs: ['attn_implementation', 'dtype', 'torch_dtype', 'trust_remote_code', 'use_safetensors', 'low_cpu_mem_usage', 'device_map'],
  config_kwargs: ['use_cache', 'attn_implementation', 'dtype', 'torch_dtype', 'trust_remote_code'],
}
const OLDER_NAMES = { processor_kwargs: 'tokenizer_args', model_kwargs: 'model_args', config_kwargs: 'config_args' } as const

/** Room for a token between two special ones. */
const MIN_INPUT = 3

/** A larger `model_max_length` stands for none. */
const NO_LIMIT = 1_000_000

const NOT_SUPPORTED = 'is not supported'

async function readOwnFile(folder: string, path: string): Promise<{ own: JsonObject | null; file: string | null }> {
  for (const name of TRANSFORMER_FILES) {
    const own = await readConfigIfPresent(folder, join(path, name))
    if (own !== null && Object.keys(own.fields).length > 0) return { own, file: join(path, name) }
  }
  return { own: null, file: null }
}

function refuseOtherOutputs(own: JsonObject): void {
  const expect = (key: string, value: string): void => {
    if (own.has(key) && own.fields[key] !== value) throw unsupportedSetting(own, key, `${NOT_SUPPORTED}; '${value}' is`)
  }
  expect('transformer_task', 'feature-extraction')
  if (own.has('modality_config')) checkModalities(own)
  expect('module_output_name', 'token_embeddings')
  for (const key of ['query_expansion', 'tokenizer_name_or_path']) if (own.has(key)) throw unsupportedSetting(own, key, NOT_SUPPORTED)
}

/** The last hidden state of plain text is read; a model that prefers messages would put texts into its chat template. */
function checkModalities(own: JsonObject): void {
  const { text, message } = own.object('modality_config').fields
  const { method, method_output_name: output } = isFields(text) ? text : {}
  const [first, ...more] = Array.isArray(output) ? (output as unknown[]) : [output]
  if (message !== undefined || method !== 'forward' || first !== 'last_hidden_state' || more.length > 0)
    throw unsupportedSetting(own, 'modality_config', `${NOT_SUPPORTED}; text by 'forward' with 'last_hidden_state' is`)
}

/** One of the three groups of arguments for transformers' own functions, under its newer or older name. */
function argumentsOf(own: JsonObject, name: keyof typeof HARMLESS): JsonObject | null {
  const key = own.has(OLDER_NAMES[name]) ? OLDER_NAMES[name] : name
  if (!own.has(key)) return null
  const given = own.object(key)
  const foreign = Object.keys(given.fields).find((each) => !HARMLESS[name].includes(each))
  if (foreign !== undefined) throw unsupportedSetting(given, foreign, `in ${key} ${NOT_SUPPORTED}`)
  return given
}

/** `processing_kwargs.text.max_length`, the only part with an effect that is read. */
function lengthOfProcessing(own: JsonObject): number | null {
  if (!own.has('processing_kwargs')) return null
  const { text, common, ...others } = own.object('processing_kwargs').fields
  const settings = isFields(text) ? text : {}
  const { max_length: longest, padding: _, truncation = true, ...more } = settings
  const foreign = Object.keys({ ...others, ...more }).length > 0 || (isFields(common) && Object.keys(common).length > 0)
  if (foreign || ![true, 'longest_first', 'only_first'].includes(truncation as string))
    throw unsupportedSetting(own, 'processing_kwargs', `${NOT_SUPPORTED}; text.max_length is`)
  return longest === undefined || longest === null ? null : configObject(own.source, settings).integer('max_length', MIN_INPUT)
}

function limitOf(settings: JsonObject | null): number {
  const declared = settings?.fields.model_max_length ?? settings?.fields.max_len
  return typeof declared === 'number' && declared >= 1 && declared <= NO_LIMIT ? Math.floor(declared) : Infinity
}

/** The folder's maximum length, by default the tokenizer's; at most the length of the position table. */
function maxSequenceLengthOf(
  own: JsonObject | null,
  processor: JsonObject | null,
  tokenizer: JsonObject | null,
  config: JsonObject,
): number {
  const longest = longestInputOf(config) ?? Infinity
  const processing = own === null ? null : lengthOfProcessing(own)
  if (processing !== null) return Math.min(processing, longest)
  if (processor?.has('model_max_length') === true) return Math.min(limitOf(processor), longest)
  if (own?.has('max_seq_length') === true) return Math.min(own.integer('max_seq_length', MIN_INPUT), longest)
  const limit = Math.min(limitOf(tokenizer), longest)
  if (limit < Infinity) return limit
  throw (own ?? config).wrong('max_seq_length', `an integer of ${String(MIN_INPUT)} or more`)
}

function keepsEndOf(...sources: (JsonObject | null)[]): boolean | null {
  const source = sources.find((each) => each?.has('truncation_side') === true)
  if (source === undefined || source === null) return null
  return source.oneOf('truncation_side', ['left', 'right']) === 'left'
}

/**
 * Reads and checks the settings.
 *
 * @param path of the Transformer module, relative to the model's folder
 * @param config its config.json
 * @throws GabionError `MODEL_INVALID`, `MODEL_UNSUPPORTED` naming file, key and value
 */
export async function readTransformerSettings(
  folder: string,
  path: string,
  config: JsonObject,
  unknown: UnknownSettings,
): Promise<TransformerSettings> {
  const { own, file } = await readOwnFile(folder, path)
  const tokenizerFile = join(path, 'tokenizer_config.json')
  const tokenizer = await readConfigIfPresent(folder, tokenizerFile)
  unknown.look(tokenizer, 'tokenizer', tokenizerFile)
  let processor: JsonObject | null = null
  const notes: string[] = []
  if (own !== null && file !== null) {
    unknown.look(own, 'transformer', file)
    refuseOtherOutputs(own)
    argumentsOf(own, 'model_kwargs')
    argumentsOf(own, 'config_kwargs')
    processor = argumentsOf(own, 'processor_kwargs')
    for (const key of ['query_length', 'document_length'])
      if (own.has(key))
        notes.push(`${file}: ${key} ${JSON.stringify(own.fields[key])} is of encode_query and encode_document; embed does not use it`)
  }
  for (const key of ['split_special_tokens', 'fix_mistral_regex'])
    if (tokenizer?.booleanOr(key, false) === true) throw unsupportedSetting(tokenizer, key, NOT_SUPPORTED)
  const present = tokenizer === null ? [] : [tokenizerFile]
  return {
    maxSequenceLength: maxSequenceLengthOf(own, processor, tokenizer, config),
    keepsEnd: keepsEndOf(processor, tokenizer),
    lowersText: own?.booleanOr('do_lower_case', false) === true,
    files: file === null ? present : [file, ...present],
    notes,
  }
}
