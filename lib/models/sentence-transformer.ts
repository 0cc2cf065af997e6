// Owns the configuration of a folder in the sentence-transformers layout: modules, length, tokenizer,
// prompts. Reads and validates; an unsupported module is an error that names it.

import { join } from 'node:path'
import { GabionError } from '../errors.js'
import type { JsonObject } from '../json/json-object.js'
import { readConfig, readConfigIfPresent } from './config-file.js'
import { isFolder, sizeOfFile } from './folder-entries.js'
import { UnknownSettings, unsupportedSetting } from './folder-settings.js'
import { assumedModules, POOLINGS, readPooledModules, type AssumedModules, type PooledModules, type Pooling } from './pooled-modules.js'
import { encoderSize } from './token-positions.js'
import { readTransformerSettings } from './transformer-settings.js'

/** Settings of the model as a whole. */
const SHARED = 'config_sentence_transformers.json'

/** Architectures whose settings gabion knows all. Of others it reads sizes only; what they compute is in an export's graph. */
const KNOWN_ENCODERS = new Map<string, 'encoder' | 'rotaryEncoder'>([
  ...['bert', 'distilbert', 'mpnet', 'roberta', 'xlm-roberta'].map((type) => [type, 'encoder'] as const),
  ...['modernbert', 'nomic_bert', 'gte', 'new'].map((type) => [type, 'rotaryEncoder'] as const),
])

/** Where `config.json` does not tell the number of token vectors: ids are not checked before they are looked up. */
const UNKNOWN_VOCABULARY = 0x7fffffff

/** A folder's configuration, without its weights or graphs. */
export interface SentenceTransformer {
  /** Values of a vector, after `truncate_dim`. */
  dimensions: number
  /** Values of a vector before it is cut. */
  wholeDimensions: number
  /** In tokens, special tokens included; longer texts are cut. */
  maxSequenceLength: number
  /** Whether the end of a longer text stays and not its beginning; null where tokenizer.json decides. */
  keepsEnd: boolean | null
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
  /** Whether a prompt's tokens are pooled. */
  includePrompt: boolean
  modules: PooledModules
  /** True where the model's modules require a graph that pools. */
  needsPoolingGraph: boolean
  /** True where texts are lowercased before tokenization, whatever `tokenizer.json` does. */
  lowersText: boolean
  /** Relative to the folder; empty for the folder itself. */
  transformerPath: string
  /** The files that make up this description, relative to the folder. */
  configFiles: string[]
  /** What the files say that gabion does not know or apply, in sentences. */
  warnings: string[]
}

interface Prompts {
  prompt: string
  prompts: Record<string, string>
}

function readPrompts(config: JsonObject | null): Prompts {
  const prompts: Record<string, string> = {}
  if (config?.has('prompts') === true) {
    const entries = config.object('prompts')
    for (const name of Object.keys(entries.fields)) if (entries.has(name)) prompts[name] = entries.string(name)
  }
  if (config?.has('default_prompt_name') !== true) return { prompt: '', prompts }
  const name = config.string('default_prompt_name')
  const prompt = Object.hasOwn(prompts, name) ? prompts[name] : undefined
  if (prompt === undefined) throw config.wrong('default_prompt_name', `one of the prompts (${Object.keys(prompts).join(', ')})`)
  return { prompt, prompts }
}

/** Prompts whose tokens are left out are supported by native pooling only. */
function checkPrompts({ prompts }: Prompts, modules: PooledModules, needsPoolingGraph: boolean): void {
  const name = Object.keys(prompts).find((each) => prompts[each] !== '')
  if (modules.includePrompt || !needsPoolingGraph || name === undefined) return
  throw new GabionError(
    'MODEL_UNSUPPORTED',
    `${modules.poolingFile}: include_prompt false is not supported with ${describeModules(modules)}; with one of ${POOLINGS.join(', ')} ` +
      `and Normalize it is (a prompt of the model is '${name}')`,
  )
}

/** What comes after the encoder, in words. */
export function describeModules({ poolings, layers }: PooledModules): string {
  return [poolings.join(' and '), ...layers.map((layer) => (layer.kind === 'normalize' ? layer.kind : layer.path))].join(', ')
}

function noTokenizer(folder: string, name: string): GabionError {
  return new GabionError(
    'MODEL_NOT_FOUND',
    `the model folder ${folder} has no ${name}. From vocab.txt or a sentencepiece model, Python makes one: ` +
      'AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) of transformers',
  )
}

async function assume(folder: string, assumed: AssumedModules): Promise<PooledModules> {
  const config = await readConfig(folder, 'config.json')
  const width = encoderSize(config, 'width')
  if (width === null) throw config.wrong('hidden_size', 'the width of a token vector')
  return assumedModules(folder, assumed, width)
}

/**
 * Reads the configuration files of a model folder.
 *
 * @param folder absolute path
 * @param assumed what a folder without modules.json would say in it
 * @throws GabionError `MODEL_NOT_FOUND` for a missing folder or file, `MODEL_INVALID` for one that does not say what it
 * should, `MODEL_UNSUPPORTED` for a module, pooling or prompt that gabion does not do
 */
export async function readSentenceTransformer(folder: string, assumed?: AssumedModules): Promise<SentenceTransformer> {
  if (!isFolder(folder)) throw new GabionError('MODEL_NOT_FOUND', `there is no model folder ${folder}`)
  const unknown = new UnknownSettings()
  const modules = assumed === undefined ? await readPooledModules(folder, unknown) : await assume(folder, assumed)
  const at = (name: string): string => join(modules.transformerPath, name)

  const config = await readConfig(folder, at('config.json'))
  const known = KNOWN_ENCODERS.get(config.stringOr('model_type', ''))
  if (known !== undefined) unknown.look(config, known, at('config.json'))
  const adapter = await readConfigIfPresent(folder, at('adapter_config.json'))
  if (adapter !== null)
    throw unsupportedSetting(
      adapter,
      'peft_type',
      'is not supported; merge the adapter into the model with merge_and_unload() and save that',
    )
  const transformer = await readTransformerSettings(folder, modules.transformerPath, config, unknown)
  const shared = await readConfigIfPresent(folder, SHARED)
  unknown.look(shared, 'sentenceTransformers', SHARED)
  if (shared?.has('model_type') === true && shared.fields.model_type !== 'SentenceTransformer')
    throw unsupportedSetting(shared, 'model_type', "is not supported; 'SentenceTransformer' is")
  const prompts = readPrompts(shared)
  const width = encoderSize(config, 'width')
  if (width !== null && width !== modules.tokenDimensions) {
    throw config.wrong('hidden_size', `${String(modules.tokenDimensions)} (as the Pooling module says)`, width)
  }

  if (sizeOfFile(join(folder, at('tokenizer.json'))) === null) throw noTokenizer(folder, at('tokenizer.json'))
  const present = [at('special_tokens_map.json'), at('added_tokens.json'), SHARED].filter((name) => sizeOfFile(join(folder, name)) !== null)
  const [first, ...others] = modules.poolings
  const nativePooling = others.length === 0 ? POOLINGS.find((name) => name === first) : undefined
  const needsPoolingGraph = nativePooling === undefined || modules.layers.length > 0
  checkPrompts(prompts, modules, needsPoolingGraph)
  const kept = shared?.has('truncate_dim') === true ? shared.integer('truncate_dim', 1) : modules.dimensions
  return {
    dimensions: Math.min(kept, modules.dimensions),
    wholeDimensions: modules.dimensions,
    maxSequenceLength: transformer.maxSequenceLength,
    keepsEnd: transformer.keepsEnd,
    pooling: nativePooling ?? 'mean',
    normalize: modules.normalize,
    tokenizerFile: join(folder, at('tokenizer.json')),
    vocabularySize: encoderSize(config, 'vocabulary') ?? UNKNOWN_VOCABULARY,
    ...prompts,
    includePrompt: modules.includePrompt,
    modules,
    needsPoolingGraph,
    lowersText: transformer.lowersText,
    transformerPath: modules.transformerPath,
    configFiles: [...modules.files, at('config.json'), at('tokenizer.json'), ...transformer.files, ...present],
    warnings: [...unknown.warnings(), ...transformer.notes],
  }
}
