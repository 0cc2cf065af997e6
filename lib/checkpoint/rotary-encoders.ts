// Encoders with rotary positions in the place of a table: ModernBERT, NomicBERT, and GTE (model_type `gte`, or `new` as it was published).
// Their names and settings, and what of them the kernels do not compute. Reads config.json and headers.

import type { JsonObject } from '../json/json-object.js'
import { longestInputOf } from '../models/token-positions.js'
import type { NativeRotary } from '../native.js'
import type { CheckpointFiles } from './checkpoint-files.js'
import { obstacleOfStorage } from './encoder-settings.js'
import { TensorList, type EncoderSizes } from './encoder-tensors.js'

/** What of an encoder is not in its tensors. */
type RotarySettings = EncoderSizes & NativeRotary

interface Family {
  /** Values that these keys must have, if they are there; the first is the default of the architecture. */
  required: Readonly<Record<string, readonly unknown[]>>
  settings: (config: JsonObject) => RotarySettings
  /** Adds all tensors in the order of native code. */
  list: (list: TensorList, files: CheckpointFiles, prefix: string, settings: RotarySettings) => void
}

/** A field under the first of its names that is there. */
function integerOf(config: JsonObject, ...names: string[]): number {
  return config.integer(names.find((name) => config.has(name)) ?? (names[0] as string), 1)
}

function epsilonOf(config: JsonObject, ...names: string[]): number {
  return config.positiveNumber(names.find((name) => config.has(name)) ?? (names[0] as string))
}

/**
 * Angles per position for each pair of a head's values, in the float steps of transformers. A factor above 1 is that of the NTK scaling
 * which GTE was published with.
 */
function inverseFrequencies(theta: number, headWidth: number, factor = 1): Float32Array {
  return Float32Array.from({ length: headWidth / 2 }, (_, pair) => {
    const power = Math.fround((theta * factor) ** Math.fround((2 * pair) / headWidth))
    return Math.fround(1 / power) / factor ** (2 / headWidth)
  })
}

/** The base of the angles: newer files have it in `rope_parameters`, per kind of layer where there are several. */
function thetaOf(config: JsonObject, older: string, fallback: number, kind?: string): number {
  if (config.has('rope_parameters')) {
    const all = config.object('rope_parameters')
    const own = kind !== undefined && all.has(kind) ? all.object(kind) : all
    if (own.has('rope_theta')) return own.positiveNumber('rope_theta')
  }
  return config.has(older) ? config.positiveNumber(older) : fallback
}

/** Why the angles of a file are others; null if they are not. */
function obstacleOfAngles(config: JsonObject): string | null {
  const all = config.has('rope_parameters') ? config.object('rope_parameters') : null
  const kinds =
    all === null ? [] : [all, ...['full_attention', 'sliding_attention'].flatMap((kind) => (all.has(kind) ? [all.object(kind)] : []))]
  for (const kind of kinds) {
    const type = kind.stringOr('rope_type', 'default')
    if (type !== 'default') return `rope_type '${type}'`
    if (kind.has('partial_rotary_factor') && kind.fields.partial_rotary_factor !== 1) return 'a partial_rotary_factor'
  }
  if (!config.has('rope_scaling')) return null
  const scaling = config.object('rope_scaling')
  const isNtk = config.string('model_type') === 'new' && scaling.stringOr('type', '') === 'ntk' && !scaling.has('mixed_b')
  return isNtk ? null : `rope_scaling ${JSON.stringify(scaling.fields)}`
}

/** The factor of the NTK scaling, 1 without it. */
function scalingFactorOf(config: JsonObject): number {
  return config.has('rope_scaling') ? config.object('rope_scaling').positiveNumber('factor') : 1
}

function sizesOf(config: JsonObject): Omit<EncoderSizes, 'epsilon'> {
  return {
    layers: integerOf(config, 'num_hidden_layers', 'n_layer'),
    heads: integerOf(config, 'num_attention_heads', 'n_head'),
    hidden: integerOf(config, 'hidden_size', 'n_embd'),
    intermediate: integerOf(config, 'intermediate_size', 'n_inner'),
  }
}

const everywhere = (layers: number): NativeRotary['attention'] => Array.from({ length: layers }, () => ({ rotary: 0, window: 0 }))

function modernBert(config: JsonObject): RotarySettings {
  const sizes = sizesOf(config)
  const width = sizes.hidden / sizes.heads
  const every = config.has('global_attn_every_n_layers') ? config.integer('global_attn_every_n_layers', 1) : 3
  const window = Math.floor((config.has('local_attention') ? config.integer('local_attention', 1) : 128) / 2)
  const kinds = config.has('layer_types') ? config.strings('layer_types') : null
  const isFull = (layer: number): boolean => (kinds === null ? layer % every === 0 : kinds[layer] === 'full_attention')
  return {
    ...sizes,
    epsilon: config.has('norm_eps') ? config.positiveNumber('norm_eps') : 1e-5,
    inverseFrequencies: [
      inverseFrequencies(thetaOf(config, 'global_rope_theta', 160_000, 'full_attention'), width),
      inverseFrequencies(thetaOf(config, 'local_rope_theta', 10_000, 'sliding_attention'), width),
    ],
    attention: Array.from({ length: sizes.layers }, (_, layer) => (isFull(layer) ? { rotary: 0, window: 0 } : { rotary: 1, window })),
    longest: longestInputOf(config) ?? 0,
    feedForward: 'gated-gelu',
    normFirst: true,
  }
}

function nomicBert(config: JsonObject): RotarySettings {
  const sizes = sizesOf(config)
  return {
    ...sizes,
    epsilon: epsilonOf(config, 'layer_norm_eps', 'layer_norm_epsilon'),
    inverseFrequencies: [inverseFrequencies(thetaOf(config, 'rotary_emb_base', 1000), sizes.hidden / sizes.heads)],
    attention: everywhere(sizes.layers),
    longest: longestInputOf(config) ?? 0,
    feedForward: 'gated-silu',
    normFirst: false,
  }
}

function gte(config: JsonObject): RotarySettings {
  const sizes = sizesOf(config)
  return {
    ...sizes,
    epsilon: epsilonOf(config, 'layer_norm_eps'),
    inverseFrequencies: [
      inverseFrequencies(
        thetaOf(config, 'rope_theta', config.string('model_type') === 'new' ? 10_000 : 160_000),
        sizes.hidden / sizes.heads,
        scalingFactorOf(config),
      ),
    ],
    attention: everywhere(sizes.layers),
    longest: longestInputOf(config) ?? 0,
    feedForward: 'gated-gelu',
    normFirst: false,
  }
}

/** The halves of a tensor of [2 · rows, columns] or the like: three parts of queries, keys and values, two of a gated layer. */
function addParts(list: TensorList, files: CheckpointFiles, name: string, parts: number, size: number, hidden: number): void {
  for (let part = 0; part < parts; part++) {
    list.add(files, `${name}.weight`, [parts * size, hidden], { first: part * size, count: size })
    if (files.has(`${name}.bias`)) list.add(files, `${name}.bias`, [parts * size], { first: part * size, count: size })
    else list.addNone()
  }
}

function addLinear(list: TensorList, files: CheckpointFiles, name: string, output: number, input: number): void {
  list.add(files, `${name}.weight`, [output, input])
  list.addIfPresent(files, `${name}.bias`, [output])
}

function addNorm(list: TensorList, files: CheckpointFiles, name: string, hidden: number): void {
  list.add(files, `${name}.weight`, [hidden])
  list.addIfPresent(files, `${name}.bias`, [hidden])
}

function addEmbeddings(
  list: TensorList,
  files: CheckpointFiles,
  names: { words: string; types: string | null; norm: string },
  hidden: number,
): void {
  list.add(files, `${names.words}.weight`, [null, hidden])
  list.addNone()
  if (names.types !== null && files.has(`${names.types}.weight`)) list.add(files, `${names.types}.weight`, [null, hidden])
  addNorm(list, files, names.norm, hidden)
}

const FAMILIES: Readonly<Record<string, Family>> = {
  modernbert: {
    required: { hidden_activation: ['gelu'], mlp_bias: [false] },
    settings: modernBert,
    list: (list, files, prefix, { layers, hidden, intermediate }) => {
      addEmbeddings(list, files, { words: `${prefix}embeddings.tok_embeddings`, types: null, norm: `${prefix}embeddings.norm` }, hidden)
      for (let layer = 0; layer < layers; layer++) {
        const of = `${prefix}layers.${String(layer)}.`
        addParts(list, files, `${of}attn.Wqkv`, 3, hidden, hidden)
        addLinear(list, files, `${of}attn.Wo`, hidden, hidden)
        // The first layer takes the normalized embeddings as they are.
        if (layer === 0) list.addNone(2)
        else addNorm(list, files, `${of}attn_norm`, hidden)
        const wide = { rows: 2 * intermediate, name: `${of}mlp.Wi.weight` }
        list.add(files, wide.name, [wide.rows, hidden], { first: 0, count: intermediate })
        list.addNone()
        list.add(files, wide.name, [wide.rows, hidden], { first: intermediate, count: intermediate })
        addLinear(list, files, `${of}mlp.Wo`, hidden, intermediate)
        addNorm(list, files, `${of}mlp_norm`, hidden)
      }
      addNorm(list, files, `${prefix}final_norm`, hidden)
    },
  },
  nomic_bert: {
    required: {
      ...{ hidden_act: ['silu'], activation_function: ['swiglu'], prenorm: [false], parallel_block: [false], causal: [false] },
      ...{ use_rms_norm: [false, null], rotary_emb_fraction: [1], rotary_emb_interleaved: [false], rotary_scaling_factor: [null] },
      ...{ rotary_emb_scale_base: [null], mlp_fc1_bias: [false], num_experts: [0, null], moe_every_n_layers: [0, null] },
      ...{ scale_attn_weights: [true], scale_attn_by_inverse_layer_idx: [false] },
    },
    settings: nomicBert,
    list: (list, files, prefix, { layers, hidden, intermediate }) => {
      const names = {
        words: `${prefix}embeddings.word_embeddings`,
        types: `${prefix}embeddings.token_type_embeddings`,
        norm: `${prefix}emb_ln`,
      }
      addEmbeddings(list, files, names, hidden)
      for (let layer = 0; layer < layers; layer++) {
        const of = `${prefix}encoder.layers.${String(layer)}.`
        addParts(list, files, `${of}attn.Wqkv`, 3, hidden, hidden)
        addLinear(list, files, `${of}attn.out_proj`, hidden, hidden)
        addNorm(list, files, `${of}norm1`, hidden)
        // fc12 is activated and multiplied with fc11.
        list.add(files, `${of}mlp.fc12.weight`, [intermediate, hidden])
        list.addNone()
        list.add(files, `${of}mlp.fc11.weight`, [intermediate, hidden])
        addLinear(list, files, `${of}mlp.fc2`, hidden, intermediate)
        addNorm(list, files, `${of}norm2`, hidden)
      }
    },
  },
  gte: {
    required: {
      ...{ hidden_act: ['gelu'], position_embedding_type: ['rope'], layer_norm_type: ['layer_norm'], pack_qkv: [true] },
      logn_attention_scale: [false],
    },
    settings: gte,
    list: (list, files, prefix, { layers, hidden, intermediate }) => {
      const embeddings = `${prefix}embeddings.`
      const names = { words: `${embeddings}word_embeddings`, types: `${embeddings}token_type_embeddings`, norm: `${embeddings}LayerNorm` }
      addEmbeddings(list, files, names, hidden)
      for (let layer = 0; layer < layers; layer++) {
        const of = `${prefix}encoder.layer.${String(layer)}.`
        addParts(list, files, `${of}attention.qkv_proj`, 3, hidden, hidden)
        addLinear(list, files, `${of}attention.o_proj`, hidden, hidden)
        addNorm(list, files, `${of}attn_ln`, hidden)
        // The second half is activated and multiplied with the first.
        const [name, shape] = [`${of}mlp.up_gate_proj.weight`, [2 * intermediate, hidden]] as const
        list.add(files, name, shape, { first: intermediate, count: intermediate })
        list.addNone()
        list.add(files, name, shape, { first: 0, count: intermediate })
        addLinear(list, files, `${of}mlp.down_proj`, hidden, intermediate)
        addNorm(list, files, `${of}mlp_ln`, hidden)
      }
    },
  },
}

function familyOf(config: JsonObject): Family | undefined {
  const type = config.string('model_type')
  const name = type === 'new' ? 'gte' : type
  return Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : undefined
}

/** Whether an encoder is of one of these families. */
export function hasRotaryPositions(config: JsonObject): boolean {
  return familyOf(config) !== undefined
}

/** Why the kernels cannot compute an encoder of these families; null if they can. */
export function obstacleToRotary(config: JsonObject): string | null {
  for (const [key, values] of Object.entries(familyOf(config)?.required ?? {})) {
    const value = config.fields[key]
    if (value !== undefined && !values.includes(value)) return `${key} ${JSON.stringify(value)}`
  }
  const { hidden, heads } = sizesOf(config)
  if (config.has('head_dim') && config.integer('head_dim', 1) * heads !== hidden) return `head_dim ${String(config.fields.head_dim)}`
  return obstacleOfAngles(config) ?? obstacleOfStorage(config)
}

/**
 * Sizes, settings and tensors of an encoder of these families.
 *
 * @throws GabionError `MODEL_INVALID`, `MODEL_UNSUPPORTED` for a checkpoint that lacks a tensor
 */
export function readRotaryEncoder(
  files: CheckpointFiles,
  config: JsonObject,
  prefix: string,
): { sizes: EncoderSizes; rotary: NativeRotary; list: TensorList; hasTypes: boolean } {
  const family = familyOf(config) as Family
  const settings = family.settings(config)
  const list = new TensorList()
  family.list(list, files, prefix, settings)
  const { layers, heads, hidden, intermediate, epsilon, ...rotary } = settings
  const hasTypes = files.has(`${prefix}embeddings.token_type_embeddings.weight`)
  return { sizes: { layers, heads, hidden, intermediate, epsilon }, rotary, list, hasTypes }
}
