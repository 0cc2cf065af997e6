// Owns the configuration of a folder in the sentence-transformers layout: modules, length, tokenizer,
// prompts. Reads and validates; an unsupported module is an error that names it.

import { join } from 'node:path'
import { GabionError } from '../errors.js'
import type { JsonObject } from '../json/json-object.js'
import { readConfig, readConfigIfPresent } from './config-file.js'
import { isFolder, sizeOfFile } from './folder-entries.js'
import { POOLINGS, readPooledModules, type PooledModules, type Pooling } from './pooled-modules.js'
import { longestInputOf } from './token-positions.js'

/** A folder's configuration, without its weights or graphs. */
export interface SentenceTransformer {
  dimensions: number
  /** In tokens, special tokens included; longer texts are cut. */
  maxSequenceLength: number
  /** Pooling by native code; of no effect where the graph pools. */
  pooling: Pooling
  /** Whether vectors are scaled to unit length. */
  normalize: boolean
  /** Absolute path. */
  tokenizerFile: string
  /** Rows of the word table: every token id is below it. */
  vocabularySize: number
  /** Put before every text; empty for none. */
  prompt: string
  /** Prompts that a caller may choose by name. */
  prompts: Readonly<Record<string, string>>
  modules: PooledModules
  /** True where the model's modules require a graph that pools. */
  needsPoolingGraph: boolean
  /** True where texts are lowercased before tokenization, whatever `tokenizer.json` does. */
  lowersText: boolean
  /** Relative to the folder; empty for the folder itself. */
  transformerPath: string
  /** The files that make up this description, relative to the folder. */
  configFiles: string[]
}

/** The folder's maximum length, by default the tokenizer's; at most the length of the position table. */
function maxSequenceLengthOf(transformer: JsonObject | null, tokenizer: JsonObject | null, config: JsonObject): number {
  const longest = longestInputOf(config) ?? Infinity
  if (transformer?.has('max_seq_length') === true) return Math.min(transformer.integer('max_seq_length', 1), longest)
  const declared = tokenizer?.fields.model_max_length
  const limit = typeof declared === 'number' && declared >= 1 && declared <= 1_000_000 ? Math.floor(declared) : Infinity
  if (Math.min(limit, longest) < Infinity) return Math.min(limit, longest)
  throw (transformer ?? config).wrong('max_seq_length', 'an integer of 1 or more')
}

function readPrompts(config: JsonObject | null, modules: PooledModules): { prompt: string; prompts: Record<string, string> } {
  const prompts: Record<string, string> = {}
  if (config?.has('prompts') === true) {
    const entries = config.object('prompts')
    for (const name of Object.keys(entries.fields)) prompts[name] = entries.string(name)
  }
  if (config?.has('default_prompt_name') !== true) return { prompt: '', prompts }
  const name = config.string('default_prompt_name')
  const prompt = Object.hasOwn(prompts, name) ? prompts[name] : undefined
  if (prompt === undefined) throw config.wrong('default_prompt_name', `one of the prompts (${Object.keys(prompts).join(', ')})`)
  if (prompt !== '' && !modules.includePrompt) {
    throw new GabionError(
      'MODEL_UNSUPPORTED',
      `${config.source}: texts get the prompt '${name}', whose tokens the Pooling module leaves out (include_prompt), which is not supported`,
    )
  }
  return { prompt, prompts }
}

/**
 * Reads the configuration files of a model folder.
 *
 * @param folder absolute path
 * @throws GabionError `MODEL_NOT_FOUND` for a missing folder or file, `MODEL_INVALID` for one that does not say what it
 * should, `MODEL_UNSUPPORTED` for a module, pooling or prompt that gabion does not do
 */
export async function readSentenceTransformer(folder: string): Promise<SentenceTransformer> {
  if (!isFolder(folder)) throw new GabionError('MODEL_NOT_FOUND', `there is no model folder ${folder}`)
  const modules = await readPooledModules(folder)
  const at = (name: string): string => join(modules.transformerPath, name)

  const transformerConfig = await readConfigIfPresent(folder, at('sentence_bert_config.json'))
  const config = await readConfig(folder, at('config.json'))
  const tokenizerConfig = await readConfigIfPresent(folder, at('tokenizer_config.json'))
  const { prompt, prompts } = readPrompts(await readConfigIfPresent(folder, 'config_sentence_transformers.json'), modules)
  if (config.integer('hidden_size', 1) !== modules.tokenDimensions) {
    throw config.wrong('hidden_size', `${String(modules.tokenDimensions)} (as the Pooling module says)`)
  }
  const vocabularySize = config.integer('vocab_size', 1)
  const maxSequenceLength = maxSequenceLengthOf(transformerConfig, tokenizerConfig, config)

  if (sizeOfFile(join(folder, at('tokenizer.json'))) === null)
    throw new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no ${at('tokenizer.json')}`)
  const optional = [
    ...['sentence_bert_config.json', 'tokenizer_config.json', 'special_tokens_map.json'].map(at),
    'config_sentence_transformers.json',
  ]
  const present = optional.filter((name) => sizeOfFile(join(folder, name)) !== null)
  const [first, ...others] = modules.poolings
  const nativePooling = others.length === 0 ? POOLINGS.find((name) => name === first) : undefined
  return {
    dimensions: modules.dimensions,
    maxSequenceLength,
    pooling: nativePooling ?? 'mean',
    normalize: modules.normalize,
    tokenizerFile: join(folder, at('tokenizer.json')),
    vocabularySize,
    prompt,
    prompts,
    modules,
    needsPoolingGraph: nativePooling === undefined || modules.layers.length > 0,
    lowersText: transformerConfig?.booleanOr('do_lower_case', false) === true,
    transformerPath: modules.transformerPath,
    configFiles: [...modules.files, at('config.json'), at('tokenizer.json'), ...present],
  }
}
