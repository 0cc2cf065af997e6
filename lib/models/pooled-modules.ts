// Owns the modules after the encoder in a folder's modules.json: pooling, then layers over the pooled vector. Reads and validates
// the modules' config.json files; knows no graphs or weights.

import { isAbsolute, join, normalize } from 'node:path'
import { GabionError } from '../errors.js'
import { checkBoolean, checkOneOf, invalidArgument } from '../options.js'
import type { JsonObject } from '../json/json-object.js'
import { configObject, readConfig, readConfigIfPresent, readJsonIfPresent } from './config-file.js'
import { sizeOfFile } from './folder-entries.js'
import { UnknownSettings, unsupportedSetting } from './folder-settings.js'
import { refuseGguf } from './weight-files.js'

/** Poolings of the native code. */
export const POOLINGS = ['mean', 'cls', 'max', 'mean_sqrt_len_tokens', 'lasttoken'] as const

/** Pooling of token vectors to one vector, named as in sentence-transformers. */
export type Pooling = (typeof POOLINGS)[number]

/** Poolings of converted graphs. */
export const GRAPH_POOLINGS = [...POOLINGS, 'weightedmean'] as const

/** See {@link GRAPH_POOLINGS}. */
export type GraphPooling = (typeof GRAPH_POOLINGS)[number]

/** Activation functions of a Dense module, named as PyTorch's classes. */
export const DENSE_ACTIVATIONS = [
  ...(['Identity', 'Tanh', 'ReLU', 'GELU', 'Sigmoid', 'SiLU', 'ELU', 'SELU', 'CELU', 'LeakyReLU', 'ReLU6', 'Mish', 'Softplus'] as const),
  ...(['Softsign', 'Hardsigmoid', 'Hardswish', 'Hardtanh', 'LogSigmoid', 'Tanhshrink'] as const),
] as const

/** See {@link DENSE_ACTIVATIONS}. */
export type DenseActivation = (typeof DENSE_ACTIVATIONS)[number]

/** A layer over the pooled vector. `path` is its folder, relative to the model's. */
export type HeadLayer =
  | { kind: 'dense'; path: string; input: number; output: number; bias: boolean; activation: DenseActivation }
  | { kind: 'layerNorm'; path: string; size: number }
  | { kind: 'normalize' }

/** The modules after the encoder. */
export interface PooledModules {
  /** Folder of the encoder, relative to the model's; empty for the same. */
  transformerPath: string
  /** The outputs of several poolings are concatenated in this order. */
  poolings: GraphPooling[]
  /** Absolute path of the pooling module's file. */
  poolingFile: string
  /** Whether the tokens of a prompt are pooled. */
  includePrompt: boolean
  /** Layers after pooling, without a last Normalize. */
  layers: HeadLayer[]
  /** Whether the vector is scaled to unit length at the end. */
  normalize: boolean
  /** Width of a token's vector, from the pooling module. */
  tokenDimensions: number
  /** Width of the final vector. */
  dimensions: number
  /** The files read, relative to the folder. */
  files: string[]
}

interface Module {
  kind: string
  /** As written, for messages. */
  type: string
  /** Relative to the folder; empty for the folder itself. */
  path: string
  name: string
}

const SENTENCE = 'sentence_embedding'

/** The last word of a class name: packages have moved between releases, class names have not. */
function lastWord(type: string): string {
  return type.split('.').at(-1) ?? type
}

async function readModules(folder: string, unknown: UnknownSettings): Promise<{ file: string; modules: Module[] }> {
  const file = join(folder, 'modules.json')
  const list = await readJsonIfPresent(file)
  if (list === undefined) {
    refuseGguf(folder)
    throw new GabionError(
      'MODEL_NOT_FOUND',
      `the model folder ${folder} has no modules.json, so nothing says how token vectors become one: name it with the option pooling ` +
        `(on the command line --pooling mean, or cls, max, lasttoken); the model's card says which one it was trained with`,
    )
  }
  if (!Array.isArray(list)) throw new GabionError('MODEL_INVALID', `${file} must hold a list of modules`)
  const modules = list.map((entry: unknown, index): Module => {
    const module = configObject(`${file} › module ${String(index)}`, entry)
    const [type, path] = [module.string('type'), module.string('path')]
    unknown.look(module, 'module', 'modules.json')
    // A class of the repository's own may have the name of a known one and do something else.
    if (!type.startsWith('sentence_transformers.'))
      throw unsupportedSetting(module, 'type', 'is not supported; classes of sentence_transformers are')
    if (isAbsolute(path) || normalize(path).startsWith('..')) throw module.wrong('path', 'a folder inside the model folder')
    return { kind: lastWord(type), type, path, name: module.has('name') ? String(module.fields.name) : String(index) }
  })
  const names = modules.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new GabionError('MODEL_UNSUPPORTED', `${file}: two modules have the name '${twice}'`)
  return { file, modules }
}

function readPoolings(config: JsonObject): GraphPooling[] {
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
  // As in sentence-transformers, where nothing is said.
  if (modes.length === 0) modes = ['mean']
  const known = modes.flatMap((mode) => GRAPH_POOLINGS.find((name) => name === mode) ?? [])
  if (known.length === 0 || known.length !== modes.length) {
    throw new GabionError(
      'MODEL_UNSUPPORTED',
      `${config.source}: pooling_mode ${JSON.stringify(modes.length === 1 ? modes[0] : modes)} is not supported; ${GRAPH_POOLINGS.join(', ')} are`,
    )
  }
  // Boolean flags select poolings in this fixed order, whatever their order in the file.
  const order = ['cls', 'max', 'mean', 'mean_sqrt_len_tokens', 'weightedmean', 'lasttoken']
  return config.has('pooling_mode') ? known : known.sort((a, b) => order.indexOf(a) - order.indexOf(b))
}

/** Checks that a module takes the pooled vector and replaces it. */
function checkPlace(config: JsonObject | null, path: string): void {
  for (const key of ['module_input_name', 'module_output_name']) {
    const name = config?.stringOr(key, SENTENCE) ?? SENTENCE
    if (config !== null && name !== SENTENCE)
      throw unsupportedSetting(config, key, `of module '${path}' is not supported; '${SENTENCE}' is`)
  }
}

function readDense(config: JsonObject, path: string, width: number): HeadLayer {
  checkPlace(config, path)
  if (config.booleanOr('use_residual', false)) throw unsupportedSetting(config, 'use_residual', 'is not supported')
  const name = config.stringOr('activation_function', 'torch.nn.modules.activation.Tanh')
  const activation = DENSE_ACTIVATIONS.find((known) => name.startsWith('torch.nn.') && known === lastWord(name))
  if (activation === undefined)
    throw unsupportedSetting(config, 'activation_function', `is not supported; ${DENSE_ACTIVATIONS.join(', ')} of torch.nn are`)
  if (config.integer('in_features', 1) !== width) throw config.wrong('in_features', `${String(width)} (the width of what comes before)`)
  return { kind: 'dense', path, input: width, output: config.integer('out_features', 1), bias: config.booleanOr('bias', true), activation }
}

/** What the caller says of a folder without modules.json. */
export interface AssumedModules {
  pooling: GraphPooling
  /** Whether vectors are scaled to unit length. */
  normalize: boolean
}

/**
 * Checks the options `pooling` and `normalize`.
 *
 * @returns undefined if neither is given
 * @throws GabionError `INVALID_ARGUMENT`
 */
export function checkAssumedModules({
  pooling,
  normalize: normalizes,
}: {
  pooling?: unknown
  normalize?: unknown
}): AssumedModules | undefined {
  if (pooling === undefined) {
    if (normalizes !== undefined) throw invalidArgument('pooling', 'a pooling where normalize is given', pooling)
    return undefined
  }
  return {
    pooling: checkOneOf('pooling', pooling, GRAPH_POOLINGS),
    normalize: normalizes === undefined ? true : checkBoolean('normalize', normalizes),
  }
}

/**
 * The modules of a folder without modules.json: an encoder in the folder itself, and what the caller says.
 *
 * @param width of a token's vector
 * @throws GabionError `INVALID_ARGUMENT` if the folder has a modules.json, which decides
 */
export function assumedModules(folder: string, { pooling, normalize: normalizes }: AssumedModules, width: number): PooledModules {
  const file = join(folder, 'modules.json')
  if (sizeOfFile(file) !== null)
    throw new GabionError(
      'INVALID_ARGUMENT',
      `pooling and normalize are for folders without modules.json; ${file} says what this model does`,
    )
  return {
    transformerPath: '',
    poolings: [pooling],
    poolingFile: file,
    includePrompt: true,
    layers: [],
    normalize: normalizes,
    tokenDimensions: width,
    dimensions: width,
    files: [],
  }
}

/** The files of modules.json and pooling that say the same as {@link assumedModules}, by their names. */
export function filesOfModules({ poolings, normalize: normalizes, tokenDimensions }: PooledModules): Map<string, string> {
  const type = (name: string): string => `sentence_transformers.models.${name}`
  const modules = ['Transformer', 'Pooling', ...(normalizes ? ['Normalize'] : [])].map((name, idx) => {
    return { idx, name: String(idx), path: idx === 0 ? '' : `${String(idx)}_${name}`, type: type(name) }
  })
  const pooling = { embedding_dimension: tokenDimensions, pooling_mode: poolings[0], include_prompt: true }
  return new Map([
    ['modules.json', JSON.stringify(modules, null, 2)],
    [join('1_Pooling', 'config.json'), JSON.stringify(pooling, null, 2)],
  ])
}

/**
 * Reads `modules.json` and the configuration of every module after the encoder.
 *
 * @param folder absolute path of the model folder
 * @throws GabionError `MODEL_NOT_FOUND`, `MODEL_INVALID`, or `MODEL_UNSUPPORTED` naming the unsupported module
 */
export async function readPooledModules(folder: string, unknown = new UnknownSettings()): Promise<PooledModules> {
  const { file, modules } = await readModules(folder, unknown)
  const [transformer, pooling, ...rest] = modules
  const refuse = (module: Module, reason: string): GabionError =>
    new GabionError('MODEL_UNSUPPORTED', `${file}: module '${module.path}' (type ${module.type}) ${reason}`)
  if (transformer === undefined) throw new GabionError('MODEL_INVALID', `${file} lists no modules`)
  if (transformer.kind !== 'Transformer') throw refuse(transformer, 'is not supported as the first module; Transformer is')
  if (pooling === undefined) throw new GabionError('MODEL_UNSUPPORTED', `${file} has no Pooling module after the Transformer`)
  if (pooling.kind !== 'Pooling') throw refuse(pooling, 'is not supported as the second module; Pooling is')

  const files = ['modules.json']
  const configOf = async ({ path }: Module, kind: 'pooling' | 'dense' | 'layerNorm'): Promise<JsonObject> => {
    const name = join(path, 'config.json')
    files.push(name)
    const config = await readConfig(folder, name)
    unknown.look(config, kind, name)
    return config
  }
  const poolingConfig = await configOf(pooling, 'pooling')
  const poolings = readPoolings(poolingConfig)
  const size = poolingConfig.has('embedding_dimension') ? 'embedding_dimension' : 'word_embedding_dimension'
  const tokenDimensions = poolingConfig.integer(size, 1)

  const layers: HeadLayer[] = []
  let width = tokenDimensions * poolings.length
  for (const module of rest) {
    if (module.kind === 'Normalize') {
      const config = await readConfigIfPresent(folder, join(module.path, 'config.json'))
      if (config !== null) files.push(join(module.path, 'config.json'))
      unknown.look(config, 'normalize', join(module.path, 'config.json'))
      checkPlace(config, module.path)
      layers.push({ kind: 'normalize' })
    } else if (module.kind === 'Dense') {
      const layer = readDense(await configOf(module, 'dense'), module.path, width)
      if (layer.kind === 'dense') width = layer.output
      layers.push(layer)
    } else if (module.kind === 'LayerNorm') {
      const config = await configOf(module, 'layerNorm')
      if (config.integer('dimension', 1) !== width) throw config.wrong('dimension', `${String(width)} (the width of what comes before)`)
      layers.push({ kind: 'layerNorm', path: module.path, size: width })
    } else if (module.kind !== 'Dropout') {
      throw refuse(module, 'is not supported after Pooling; Dense, LayerNorm, Dropout and Normalize are')
    }
  }
  let normalizes = false
  while (layers.at(-1)?.kind === 'normalize') {
    normalizes = true
    layers.pop()
  }
  return {
    transformerPath: transformer.path,
    poolings,
    poolingFile: poolingConfig.source,
    includePrompt: poolingConfig.booleanOr('include_prompt', true),
    layers,
    normalize: normalizes,
    tokenDimensions,
    dimensions: width,
    files,
  }
}
