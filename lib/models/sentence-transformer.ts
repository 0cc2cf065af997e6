// What a folder in the sentence-transformers layout says about turning token vectors into one vector: modules, pooling,
// length, tokenizer. Reads and checks; what it does not know is an error that names the module, never a guess.

import { stat } from 'node:fs/promises'
import { join, normalize, isAbsolute } from 'node:path'
import { GabionError } from '../errors.js'
import { ConfigFile, readJsonIfPresent } from './config-file.js'

/** The ways of pooling that the native code does. */
export const POOLINGS = ['mean', 'cls', 'max', 'mean_sqrt_len_tokens', 'lasttoken'] as const

/** How token vectors become one vector; the names are those of sentence-transformers. */
export type Pooling = (typeof POOLINGS)[number]

/** A folder's own words about itself, without its weights or graphs. */
export interface SentenceTransformer {
  dimensions: number
  /** In tokens, special tokens included. */
  maxSequenceLength: number
  pooling: Pooling
  normalize: boolean
  /** Absolute path. */
  tokenizerFile: string
  vocabularySize: number
  /** The files that make up this description, relative to the folder. */
  configFiles: string[]
}

interface Module {
  kind: string
  /** As written, for messages. */
  type: string
  /** Relative to the folder; empty for the folder itself. */
  path: string
}

/** The last word of a module's class name: packages have moved between releases, class names have not. */
function kindOf(type: string): string {
  return type.split('.').at(-1) ?? type
}

async function readModules(folder: string): Promise<{ file: string; modules: Module[] }> {
  const file = join(folder, 'modules.json')
  const list = await readJsonIfPresent(file)
  if (list === undefined) throw new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no modules.json`)
  if (!Array.isArray(list)) throw new GabionError('MODEL_INVALID', `${file} must hold a list of modules`)
  const modules = list.map((entry: unknown, index): Module => {
    const module = ConfigFile.of(`${file} › module ${String(index)}`, entry)
    const [type, path] = [module.string('type'), module.string('path')]
    if (isAbsolute(path) || normalize(path).startsWith('..')) throw module.wrong('path', 'a folder inside the model folder')
    return { kind: kindOf(type), type, path }
  })
  return { file, modules }
}

function checkModules(file: string, modules: Module[]): { transformer: Module; pooling: Module; normalize: boolean } {
  const [transformer, pooling, ...rest] = modules
  const refuse = (module: Module, reason: string): GabionError =>
    new GabionError('MODEL_UNSUPPORTED', `${file}: module '${module.path}' (${module.type}) ${reason}`)
  if (transformer === undefined) throw new GabionError('MODEL_INVALID', `${file} lists no modules`)
  if (transformer.kind !== 'Transformer') throw refuse(transformer, 'is not supported as the first module; Transformer is')
  if (pooling === undefined) throw new GabionError('MODEL_UNSUPPORTED', `${file} has no Pooling module after the Transformer`)
  if (pooling.kind !== 'Pooling') throw refuse(pooling, 'is not supported as the second module; Pooling is')
  for (const module of rest) {
    if (module.kind !== 'Normalize') throw refuse(module, 'is not supported after Pooling; Normalize is')
  }
  return { transformer, pooling, normalize: rest.length > 0 }
}

function readPooling(config: ConfigFile): { pooling: Pooling; dimensions: number } {
  const size = config.has('word_embedding_dimension') ? 'word_embedding_dimension' : 'embedding_dimension'
  const dimensions = config.integer(size, 1)
  let modes: unknown[]
  if (config.has('pooling_mode')) {
    const mode = config.fields.pooling_mode
    modes = Array.isArray(mode) ? mode : [mode]
  } else {
    const switches = Object.keys(config.fields).filter((key) => key.startsWith('pooling_mode_') && config.booleanOr(key, false))
    modes = switches.map((key) =>
      key.slice('pooling_mode_'.length).replace(/^(cls_token|(mean|max|weightedmean)_tokens)$/, (name) => name.replace(/_tokens?$/, '')),
    )
  }
  const known = POOLINGS.find((name) => modes.length === 1 && name === modes[0])
  if (known === undefined) {
    throw new GabionError(
      'MODEL_UNSUPPORTED',
      `${config.file}: pooling ${modes.length === 0 ? 'of no kind' : modes.map(String).join(' and ')} is not supported; one of ${POOLINGS.join(', ')} is`,
    )
  }
  return { pooling: known, dimensions }
}

/** The length that the folder sets, or, when it leaves it open, the smaller of what tokenizer and position table allow. */
function maxSequenceLengthOf(transformer: ConfigFile | null, tokenizer: ConfigFile | null, config: ConfigFile): number {
  if (transformer?.has('max_seq_length') === true) return transformer.integer('max_seq_length', 1)
  const limits: number[] = []
  if (config.has('max_position_embeddings')) limits.push(config.integer('max_position_embeddings', 1))
  const declared = tokenizer?.fields.model_max_length
  if (typeof declared === 'number' && declared >= 1 && declared <= 1_000_000) limits.push(Math.floor(declared))
  if (limits.length > 0) return Math.min(...limits)
  throw (transformer ?? config).wrong('max_seq_length', 'an integer of 1 or more')
}

function checkPrompts(config: ConfigFile | null): void {
  if (config?.has('default_prompt_name') !== true) return
  const name = config.string('default_prompt_name')
  if (config.object('prompts').stringOr(name, '') !== '') {
    throw new GabionError('MODEL_UNSUPPORTED', `${config.file}: texts would get the prompt '${name}' by default, which is not supported`)
  }
}

async function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  )
}

/**
 * Reads the configuration files of a model folder.
 *
 * @param folder absolute path
 * @throws GabionError `MODEL_NOT_FOUND` for a missing folder or file, `MODEL_INVALID` for one that does not say what it
 * should, `MODEL_UNSUPPORTED` for a module, pooling or prompt that gabion does not do
 */
export async function readSentenceTransformer(folder: string): Promise<SentenceTransformer> {
  if (
    !(await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    ))
  ) {
    throw new GabionError('MODEL_NOT_FOUND', `there is no model folder ${folder}`)
  }
  const { file, modules } = await readModules(folder)
  const { transformer, pooling, normalize } = checkModules(file, modules)
  const at = (path: string, name: string): string => join(path, name)

  const transformerFile = at(transformer.path, 'sentence_bert_config.json')
  const transformerConfig = await ConfigFile.readIfPresent(folder, transformerFile)
  if (transformerConfig?.booleanOr('do_lower_case', false) === true) {
    throw new GabionError('MODEL_UNSUPPORTED', `${transformerConfig.file}: do_lower_case is not supported; tokenizer.json has to do it`)
  }
  const config = await ConfigFile.read(folder, at(transformer.path, 'config.json'))
  const tokenizerConfig = await ConfigFile.readIfPresent(folder, at(transformer.path, 'tokenizer_config.json'))
  const poolingConfig = await ConfigFile.read(folder, at(pooling.path, 'config.json'))
  checkPrompts(await ConfigFile.readIfPresent(folder, 'config_sentence_transformers.json'))

  const { pooling: mode, dimensions } = readPooling(poolingConfig)
  if (config.integer('hidden_size', 1) !== dimensions) {
    throw config.wrong('hidden_size', `${String(dimensions)} (as ${poolingConfig.file} says)`)
  }
  const maxSequenceLength = maxSequenceLengthOf(transformerConfig, tokenizerConfig, config)
  if (config.has('max_position_embeddings') && config.integer('max_position_embeddings', 1) < maxSequenceLength) {
    throw config.wrong('max_position_embeddings', `at least max_seq_length (${String(maxSequenceLength)})`)
  }
  const tokenizerFile = join(folder, transformer.path, 'tokenizer.json')
  if (!(await isFile(tokenizerFile)))
    throw new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no ${at(transformer.path, 'tokenizer.json')}`)

  const optional = ['sentence_bert_config.json', 'tokenizer_config.json', 'special_tokens_map.json'].map((name) =>
    at(transformer.path, name),
  )
  const present = await Promise.all(
    [...optional, 'config_sentence_transformers.json'].map(async (name) => ((await isFile(join(folder, name))) ? [name] : [])),
  )
  return {
    dimensions,
    maxSequenceLength,
    pooling: mode,
    normalize,
    tokenizerFile,
    vocabularySize: config.integer('vocab_size', 1),
    configFiles: [
      'modules.json',
      at(transformer.path, 'config.json'),
      at(pooling.path, 'config.json'),
      at(transformer.path, 'tokenizer.json'),
      ...present.flat(),
    ],
  }
}
