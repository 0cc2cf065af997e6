// Reads the folder of a guard: `guard.json`, its own tensors, and the encoder folder whose tables it shares; a guard with a config.json has
// an encoder and tables of its own. Opens nothing in native code.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { CheckpointFiles } from '../checkpoint/checkpoint-files.js'
import { obstacleTo, readEncoderSizes, readRelativeBiases } from '../checkpoint/encoder-settings.js'
import { KERNEL_ARCHITECTURES, TensorList, type EncoderSizes } from '../checkpoint/encoder-tensors.js'
import type { PackedEncoder } from '../checkpoint/packed-encoder.js'
import { GabionError } from '../errors.js'
import { configObject, readConfig, readConfigIfPresent } from '../models/config-file.js'
import { sizeOfFile } from '../models/folder-entries.js'
import { readModelFolder, type ModelDescription } from '../models/model-folder.js'
import { resolveModelFolder } from '../models/resolve.js'
import { longestInputOf, paddingIdOf } from '../models/token-positions.js'
import type { JsonObject } from '../json/json-object.js'
import type { NativeHead, NativeSegment } from '../native.js'

/** Name of a guard's description in its folder. */
export const GUARD_FILE = 'guard.json'
/** Name of a guard's weights in its folder. */
const WEIGHTS_FILE = 'model.safetensors'
/** The version of `guard.json` that this release reads. */
const VERSION = 1

/** The segments of a guard's input, in their order. */
export const GUARD_SEGMENTS = ['rules', 'history', 'user', 'reply'] as const

/** Tokens of each segment, without its separator, and from one window of the reply to the next. */
export interface GuardBudgets {
  rules: number
  history: number
  user: number
  reply: number
  replyStride: number
}

/** A guard's folder, read and checked. */
export interface GuardFolder {
  /** Absolute path. */
  folder: string
  /** Names of the logits. */
  outputs: readonly string[]
  budgets: GuardBudgets
  /** All fields of `guard.json`; those that the classifier does not read are the detector's. */
  settings: Readonly<Record<string, unknown>>
  /** Name of its encoder. */
  encoder: string
  tokenizerFile: string
  segments: readonly NativeSegment[]
  checkpoint: PackedEncoder
  head: NativeHead
}

function readOutputs(file: JsonObject): string[] {
  const names = file.strings('outputs')
  if (names.length === 0 || new Set(names).size !== names.length) throw file.wrong('outputs', 'a list of different names')
  return names
}

function readBudgets(file: JsonObject): GuardBudgets {
  const object = file.object('budgets')
  const of = (key: keyof GuardBudgets): number => object.integer(key, 1)
  const budgets = {
    rules: of('rules'),
    history: of('history'),
    user: of('user'),
    reply: of('reply'),
    replyStride: of('replyStride'),
  }
  if (budgets.replyStride > budgets.reply) throw object.wrong('replyStride', `at most budgets.reply, ${String(budgets.reply)}`)
  return budgets
}

function segmentsOf(budgets: GuardBudgets): NativeSegment[] {
  // Rules and history recur from exchange to exchange; of the conversation the latest tokens matter.
  const recurring = { optional: true, cached: true, tokenType: 0 as const }
  return [
    { maxTokens: budgets.rules, keepTail: false, ...recurring },
    { maxTokens: budgets.history, keepTail: true, ...recurring },
    { maxTokens: budgets.user, keepTail: true, optional: false, cached: false, tokenType: 0 },
    { maxTokens: budgets.reply, keepTail: false, optional: false, cached: false, tokenType: 1 },
  ]
}

function readFeatures(file: JsonObject): NativeHead['features'] {
  return file.strings('features').map((name) => {
    if (name === 'mean:all') return { kind: 'mean' }
    const segment = GUARD_SEGMENTS.findIndex((each) => name === `mean:${each}`)
    if (segment === -1)
      throw file.wrong('features', `a list of mean:all and ${GUARD_SEGMENTS.map((each) => `mean:${each}`).join(', ')}`, name)
    return { kind: 'segment', segment }
  })
}

/** The encoder of a guard: what describes it, and where the tables are that the guard's own file lacks. */
interface GuardEncoder {
  name: string
  config: JsonObject
  tokenizerFile: string
  /** Of gabion's weights, or of the published checkpoint. */
  tables: { file: string; converted: boolean }
}

function tablesOf(encoder: ModelDescription): GuardEncoder['tables'] {
  const graphs = encoder.graphs.filter((graph) => graph.weightsFile !== null && graph.fusedFile !== null)
  const graph = graphs.find(({ precision }) => precision === 'bf16') ?? graphs.find(({ precision }) => precision === 'fp32')
  if (graph !== undefined && graph.weightsFile !== null) return { file: graph.weightsFile, converted: true }
  return { file: join(encoder.folder, WEIGHTS_FILE), converted: false }
}

async function readEncoder(path: string, named: JsonObject, given: string | undefined): Promise<GuardEncoder> {
  const name = named.text('name')
  const config = await readConfigIfPresent(path, 'config.json')
  const tokenizerFile = join(path, 'tokenizer.json')
  const hasTokenizer = sizeOfFile(tokenizerFile) !== null
  if (config !== null) {
    if (!hasTokenizer) throw new GabionError('MODEL_NOT_FOUND', `the guard ${path} has a config.json, but no tokenizer.json`)
    return { name, config, tokenizerFile, tables: { file: join(path, WEIGHTS_FILE), converted: false } }
  }
  const encoder = await readModelFolder(await resolveModelFolder(given ?? name))
  return {
    name: encoder.name,
    config: await readConfig(encoder.folder, 'config.json'),
    tokenizerFile: hasTokenizer ? tokenizerFile : encoder.tokenizerFile,
    tables: tablesOf(encoder),
  }
}

interface Tables {
  list: TensorList
  positionsIncludeType: boolean
  relativeBiases: Float32Array | null
}

/** Lists the tables, each from the guard's own file where it has one, else from the encoder's folder. */
async function listTables(own: CheckpointFiles, { config, tables }: GuardEncoder, { hidden, heads }: EncoderSizes): Promise<Tables> {
  await using shared = await CheckpointFiles.open([tables.file])
  const { converted } = tables
  const list = new TensorList()
  const table = (name: string, convertedName: string, shape: readonly (number | null)[]): void => {
    if (own.has(name)) list.add(own, name, shape)
    else list.add(shared, converted ? convertedName : name, shape)
  }
  table('embeddings.word_embeddings.weight', 'embeddings.word.weight', [null, hidden])
  table('embeddings.position_embeddings.weight', 'embeddings.position.weight', [null, hidden])
  // Gabion's weights have no table of token types: type 0 is added to the positions. Of encoders without types, the guard adds one.
  list.add(own, 'embeddings.token_type_embeddings.weight', [2, hidden])
  table('embeddings.LayerNorm.weight', 'embeddings.norm.weight', [hidden])
  table('embeddings.LayerNorm.bias', 'embeddings.norm.bias', [hidden])
  const relativeBiases = converted ? await readBiasesByDistance(shared, config, heads) : await readRelativeBiases(shared, '', config, heads)
  return { list, positionsIncludeType: converted && !own.has('embeddings.position_embeddings.weight'), relativeBiases }
}

/** MPNet's attention biases as gabion's weights have them. */
async function readBiasesByDistance(files: CheckpointFiles, config: JsonObject, heads: number): Promise<Float32Array | null> {
  if (config.string('model_type') !== 'mpnet') return null
  return files.read('attention.bias.weight', [2 * (longestInputOf(config) ?? 0) - 1, heads])
}

async function requireTokenizer(file: string, expected: string): Promise<void> {
  const actual = createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
  if (actual !== expected) {
    throw new GabionError(
      'MODEL_INVALID',
      `the guard was trained with another tokenizer: ${file} has the SHA-256 ${actual.slice(0, 12)}…, ${expected.slice(0, 12)}… is needed`,
    )
  }
}

async function readHead(file: JsonObject, own: CheckpointFiles, hidden: number, outputs: number): Promise<NativeHead> {
  const features = readFeatures(file)
  const weight = await own.read('head.weight', [outputs, features.length * hidden])
  const bias = await own.read('head.bias', [outputs])
  return { features, scale: file.positiveNumber('featureScale'), layers: [{ weight, bias, activation: 'none' }] }
}

/**
 * Reads a guard's folder and the encoder folder that it belongs to.
 *
 * @param folder with `guard.json` and `model.safetensors`; with `config.json` and `tokenizer.json` too if it needs no encoder folder
 * @param given folder of the encoder; default: what `guard.json` names, the bundled model or a path
 * @throws GabionError `MODEL_NOT_FOUND`, `MODEL_INVALID`, `MODEL_UNSUPPORTED`
 */
export async function readGuardFolder(folder: string, given?: string): Promise<GuardFolder> {
  const path = resolve(folder)
  const file = configObject(join(path, GUARD_FILE), (await readConfig(path, GUARD_FILE)).fields)
  if (file.integer('version', 1) !== VERSION) throw file.wrong('version', `${String(VERSION)}, the version that this release reads`)
  const outputs = readOutputs(file)
  const budgets = readBudgets(file)
  const named = file.object('encoder')
  const encoder = await readEncoder(path, named, given)
  const { config } = encoder
  const obstacle = obstacleTo(config)
  if (obstacle !== null) throw new GabionError('MODEL_UNSUPPORTED', `${config.source}: a guard cannot be computed with ${obstacle}`)
  const architecture = config.oneOf('model_type', KERNEL_ARCHITECTURES)
  const sizes = readEncoderSizes(config, architecture)
  await requireTokenizer(encoder.tokenizerFile, named.string('tokenizerSha256'))

  await using own = await CheckpointFiles.open([join(path, WEIGHTS_FILE)])
  const { list, positionsIncludeType, relativeBiases } = await listTables(own, encoder, sizes)
  list.addLayers(own, '', architecture, sizes)
  const { files, tensors } = list
  return {
    folder: path,
    outputs,
    budgets,
    settings: file.fields,
    encoder: encoder.name,
    tokenizerFile: encoder.tokenizerFile,
    segments: segmentsOf(budgets),
    checkpoint: { ...sizes, files, tensors, hasTypes: true, positionsIncludeType, paddingId: paddingIdOf(config), relativeBiases },
    head: await readHead(file, own, sizes.hidden, outputs.length),
  }
}
