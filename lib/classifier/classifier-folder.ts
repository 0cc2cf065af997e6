// Reads the folder of a Hugging Face `…ForSequenceClassification` model: what the kernels or ONNX Runtime need of it, and what its logits
// mean. Opens nothing in native code.

import { join, resolve } from 'node:path'
import { CheckpointFiles } from '../checkpoint/checkpoint-files.js'
import { obstacleTo } from '../checkpoint/encoder-settings.js'
import { KERNEL_ARCHITECTURES, type KernelArchitecture } from '../checkpoint/encoder-tensors.js'
import { readPackedEncoder, type PackedEncoder } from '../checkpoint/packed-encoder.js'
import { GabionError } from '../errors.js'
import { refuseEndlessFunctions } from '../convert/onnx-functions.js'
import type { JsonObject } from '../json/json-object.js'
import { readConfig, readConfigIfPresent } from '../models/config-file.js'
import { sizeOfFile } from '../models/folder-entries.js'
import { longestInputOf } from '../models/token-positions.js'
import { EXPORTS, findWeightFiles, WEIGHTS, WEIGHTS_INDEX } from '../models/weight-files.js'
import type { NativeHead } from '../native.js'

/** How logits become scores, as transformers' text-classification pipeline does. */
export type ProblemType = 'single_label_classification' | 'multi_label_classification' | 'regression'

/** What a classifier's folder says, whatever runs it. */
export interface ClassifierDescription {
  /** Absolute path. */
  folder: string
  /** `model_type` of config.json. */
  modelType: string
  /** Names of the logits, by `id2label`. */
  labels: readonly string[]
  problemType: ProblemType
  tokenizerFile: string
  /** Of the longest input, special tokens included. */
  maxTokens: number
  /** Rows of the embedding table. */
  vocabulary: number
}

/** The encoder and head of a folder, as the kernels take them. */
export interface PackedNetwork {
  checkpoint: PackedEncoder
  head: NativeHead
}

const ARCHITECTURE = 'ForSequenceClassification'
/** Longer inputs than any model's; tokenizers without a limit of their own have 1e30. */
const MAX_TOKENS = 65_536

function readLabels(config: JsonObject): string[] {
  // As in transformers, a classifier without names has two labels.
  if (!config.has('id2label')) return ['LABEL_0', 'LABEL_1']
  const names = config.object('id2label')
  const count = Object.keys(names.fields).length
  if (count === 0) throw config.wrong('id2label', 'an object of at least one label')
  return Array.from({ length: count }, (_, id) => names.string(String(id)))
}

function readProblemType(config: JsonObject, labels: number): ProblemType {
  if (config.has('problem_type')) {
    return config.oneOf('problem_type', ['single_label_classification', 'multi_label_classification', 'regression'])
  }
  return labels === 1 ? 'multi_label_classification' : 'single_label_classification'
}

/**
 * Reads what a folder says of its labels and inputs.
 *
 * @throws GabionError `MODEL_NOT_FOUND`, `MODEL_INVALID`, `MODEL_UNSUPPORTED` for a model that is no classifier of sequences
 */
export async function readClassifierFolder(folder: string): Promise<ClassifierDescription> {
  const path = resolve(folder)
  const config = await readConfig(path, 'config.json')
  const architectures = config.has('architectures') ? config.strings('architectures') : []
  if (!architectures.some((name) => name.endsWith(ARCHITECTURE))) {
    const names = architectures.length === 0 ? 'none' : architectures.join(', ')
    throw new GabionError('MODEL_UNSUPPORTED', `${config.source}: architectures must name a …${ARCHITECTURE}, has ${names}`)
  }
  const tokenizerFile = join(path, 'tokenizer.json')
  if (sizeOfFile(tokenizerFile) === null) throw new GabionError('MODEL_NOT_FOUND', `the model folder ${path} has no tokenizer.json`)
  const tokenizer = await readConfigIfPresent(path, 'tokenizer_config.json')
  const ofTokenizer = tokenizer?.has('model_max_length') === true ? tokenizer.positiveNumber('model_max_length') : MAX_TOKENS
  const labels = readLabels(config)
  return {
    folder: path,
    modelType: config.string('model_type'),
    labels,
    problemType: readProblemType(config, labels.length),
    tokenizerFile,
    maxTokens: Math.floor(Math.min(ofTokenizer, longestInputOf(config) ?? MAX_TOKENS, MAX_TOKENS)),
    vocabulary: config.integer('vocab_size', 1),
  }
}

/** Why the kernels cannot compute a model; null if they can. */
function obstacle(config: JsonObject, folder: string): string | null {
  const hasWeights = [WEIGHTS, WEIGHTS_INDEX].some((name) => sizeOfFile(join(folder, name)) !== null)
  return obstacleTo(config) ?? (hasWeights ? null : 'weights that are not in safetensors')
}

/** The prefix of the encoder's tensors, and the layers of the head with their activations, by architecture. */
const HEADS = {
  bert: { prefix: 'bert.', dense: { name: 'bert.pooler.dense', activation: 'tanh' }, output: 'classifier' },
  roberta: { prefix: 'roberta.', dense: { name: 'classifier.dense', activation: 'tanh' }, output: 'classifier.out_proj' },
  'xlm-roberta': { prefix: 'roberta.', dense: { name: 'classifier.dense', activation: 'tanh' }, output: 'classifier.out_proj' },
  mpnet: { prefix: 'mpnet.', dense: { name: 'classifier.dense', activation: 'tanh' }, output: 'classifier.out_proj' },
  distilbert: { prefix: 'distilbert.', dense: { name: 'pre_classifier', activation: 'relu' }, output: 'classifier' },
} as const satisfies Record<KernelArchitecture, unknown>

async function readHead(files: CheckpointFiles, architecture: KernelArchitecture, hidden: number, outputs: number): Promise<NativeHead> {
  const { dense, output } = HEADS[architecture]
  return {
    features: [{ kind: 'first' }],
    scale: 1,
    layers: [
      {
        weight: await files.read(`${dense.name}.weight`, [hidden, hidden]),
        bias: await files.read(`${dense.name}.bias`, [hidden]),
        activation: dense.activation,
      },
      {
        weight: await files.read(`${output}.weight`, [outputs, hidden]),
        bias: await files.read(`${output}.bias`, [outputs]),
        activation: 'none',
      },
    ],
  }
}

/**
 * The network of a folder for the kernels, or why they cannot compute it.
 *
 * @throws GabionError `MODEL_NOT_FOUND`, `MODEL_INVALID`, `MODEL_UNSUPPORTED` for a checkpoint that lacks a tensor
 */
export async function readPackedNetwork({ folder, labels }: ClassifierDescription): Promise<PackedNetwork | string> {
  const config = await readConfig(folder, 'config.json')
  const problem = obstacle(config, folder)
  if (problem !== null) return problem
  const architecture = config.oneOf('model_type', KERNEL_ARCHITECTURES)
  await using files = await CheckpointFiles.open(await findWeightFiles(folder))
  const checkpoint = await readPackedEncoder(files, config, HEADS[architecture].prefix)
  return { checkpoint, head: await readHead(files, architecture, checkpoint.hidden, labels.length) }
}

/**
 * The folder's ONNX export, with its file of weights if it has one; null without an export.
 *
 * @throws GabionError `MODEL_INVALID` for a graph that calls itself
 */
export async function findClassifierGraph(folder: string): Promise<{ file: string; weightsFile: string | null } | null> {
  const file = EXPORTS.map((name) => join(folder, name)).find((each) => sizeOfFile(each) !== null)
  if (file === undefined) return null
  await refuseEndlessFunctions(file)
  const weightsFile = `${file}_data`
  return { file, weightsFile: sizeOfFile(weightsFile) === null ? null : weightsFile }
}
