// Owns the modules after the encoder in a folder's modules.json: pooling, then layers over the pooled vector. Reads and validates
// the modules' config.json files; knows no graphs or weights.

import { isAbsolute, join, normalize } from 'node:path'
import { GabionError } from '../errors.js'
import type { JsonObject } from '../json/json-object.js'
import { configObject, readConfig, readConfigIfPresent, readJsonIfPresent } from './config-file.js'

/** Poolings of the native code. */
export const POOLINGS = ['mean', 'cls', 'max', 'mean_sqrt_len_tokens', 'lasttoken'] as const

/** Pooling of token vectors to one vector, named as in sentence-transformers. */
export type Pooling = (typeof POOLINGS)[number]

/** Poolings of converted graphs. */
export const GRAPH_POOLINGS = [...POOLINGS, 'weightedmean'] as const

/** See {@link GRAPH_POOLINGS}. */
export type GraphPooling = (typeof GRAPH_POOLINGS)[number]

/** Activation functions of a Dense module, named as PyTorch's classes. */
export const DENSE_ACTIVATIONS = ['Identity', 'Tanh', 'ReLU', 'GELU', 'Sigmoid', 'SiLU'] as const

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
}

const SENTENCE = 'sentence_embedding'

/** The last word of a class name: packages have moved between releases, class names have not. */
function lastWord(type: string): string {
  return type.split('.').at(-1) ?? type
}

async function readModules(folder: string): Promise<{ file: string; modules: Module[] }> {
  const file = join(folder, 'modules.json')
  const list = await readJsonIfPresent(file)
  if (list === undefined) throw new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no modules.json`)
  if (!Array.isArray(list)) throw new GabionError('MODEL_INVALID', `${file} must hold a list of modules`)
  const modules = list.map((entry: unknown, index): Module => {
    const module = configObject(`${file} › module ${String(index)}`, entry)
    const [type, path] = [module.string('type'), module.string('path')]
    if (isAbsolute(path) || normalize(path).startsWith('..')) throw module.wrong('path', 'a folder inside the model folder')
    return { kind: lastWord(type), type, path }
  })
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
  const known = modes.flatMap((mode) => GRAPH_POOLINGS.find((name) => name === mode) ?? [])
  if (known.length === 0 || known.length !== modes.length) {
    throw new GabionError(
      'MODEL_UNSUPPORTED',
      `${config.source}: pooling ${modes.length === 0 ? 'of no kind' : modes.map(String).join(' and ')} is not supported; ${GRAPH_POOLINGS.join(', ')} are`,
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
      throw new GabionError('MODEL_UNSUPPORTED', `${config.source}: module '${path}' works on '${name}'; only '${SENTENCE}' is supported`)
  }
}

function readDense(config: JsonObject, path: string, width: number): HeadLayer {
  const unsupported = (what: string): GabionError =>
    new GabionError('MODEL_UNSUPPORTED', `${config.source}: module '${path}' (Dense) ${what}`)
  checkPlace(config, path)
  if (config.booleanOr('use_residual', false)) throw unsupported('has a residual connection, which is not supported')
  const name = config.stringOr('activation_function', 'torch.nn.modules.activation.Tanh')
  const activation = DENSE_ACTIVATIONS.find((known) => name.startsWith('torch.nn.') && known === lastWord(name))
  if (activation === undefined) throw unsupported(`has the activation ${name}; ${DENSE_ACTIVATIONS.join(', ')} of torch.nn are supported`)
  if (config.integer('in_features', 1) !== width) throw config.wrong('in_features', `${String(width)} (the width of what comes before)`)
  return { kind: 'dense', path, input: width, output: config.integer('out_features', 1), bias: config.booleanOr('bias', true), activation }
}

/**
 * Reads `modules.json` and the configuration of every module after the encoder.
 *
 * @param folder absolute path of the model folder
 * @throws GabionError `MODEL_NOT_FOUND`, `MODEL_INVALID`, or `MODEL_UNSUPPORTED` naming the unsupported module
 */
export async function readPooledModules(folder: string): Promise<PooledModules> {
  const { file, modules } = await readModules(folder)
  const [transformer, pooling, ...rest] = modules
  const refuse = (module: Module, reason: string): GabionError =>
    new GabionError('MODEL_UNSUPPORTED', `${file}: module '${module.path}' (${module.type}) ${reason}`)
  if (transformer === undefined) throw new GabionError('MODEL_INVALID', `${file} lists no modules`)
  if (transformer.kind !== 'Transformer') throw refuse(transformer, 'is not supported as the first module; Transformer is')
  if (pooling === undefined) throw new GabionError('MODEL_UNSUPPORTED', `${file} has no Pooling module after the Transformer`)
  if (pooling.kind !== 'Pooling') throw refuse(pooling, 'is not supported as the second module; Pooling is')

  const files = ['modules.json']
  const configOf = async ({ path }: Module): Promise<JsonObject> => {
    files.push(join(path, 'config.json'))
    return readConfig(folder, join(path, 'config.json'))
  }
  const poolingConfig = await configOf(pooling)
  const poolings = readPoolings(poolingConfig)
  const size = poolingConfig.has('word_embedding_dimension') ? 'word_embedding_dimension' : 'embedding_dimension'
  const tokenDimensions = poolingConfig.integer(size, 1)

  const layers: HeadLayer[] = []
  let width = tokenDimensions * poolings.length
  for (const module of rest) {
    if (module.kind === 'Normalize') {
      const config = await readConfigIfPresent(folder, join(module.path, 'config.json'))
      if (config !== null) files.push(join(module.path, 'config.json'))
      checkPlace(config, module.path)
      layers.push({ kind: 'normalize' })
    } else if (module.kind === 'Dense') {
      const layer = readDense(await configOf(module), module.path, width)
      if (layer.kind === 'dense') width = layer.output
      layers.push(layer)
    } else if (module.kind === 'LayerNorm') {
      const config = await configOf(module)
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
    includePrompt: poolingConfig.booleanOr('include_prompt', true),
    layers,
    normalize: normalizes,
    tokenDimensions,
    dimensions: width,
    files,
  }
}
