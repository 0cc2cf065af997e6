// Owns the description of a model folder for the embedder: tokenization, pooling, graphs, license. Loads nothing.

import { readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { GabionError } from '../errors.js'
import { sha256OfFiles } from '../files/file-hash.js'
import { readConfig } from './config-file.js'
import { sizeOfFile } from './folder-entries.js'
import { EXPORT_ORDER, findExportFile, type ExportChoice } from './export-files.js'
import { chooseOutput, isTextOutput, readExportGraph, type ExportOutput, type ExportPrecision } from './export-graph.js'
import { GRAPH_FOLDER, GRAPH_MANIFEST, readGraphManifest } from './graph-manifest.js'
import { readModelManifest, readSelfTest, type SelfTest } from './model-manifest.js'
import { WEIGHTS, WEIGHTS_INDEX } from './weight-files.js'
import type { AssumedModules } from './pooled-modules.js'
import { changedTokenizer, readTokenizerSettings } from './tokenizer-changes.js'
import { describeModules, readSentenceTransformer, type SentenceTransformer } from './sentence-transformer.js'

/** A graph that can be loaded. */
export interface GraphDescription {
  precision: ExportPrecision
  /** The output that is read, of an export; null where the graph has only one. */
  output: ExportOutput | null
  /** Absolute path of the `.onnx` file, with or without external weights. */
  file: string
  /** Absolute path of the fused graph; null where there is none. */
  fusedFile: string | null
  /** Absolute path of the external weights file; null where the graph contains its weights. */
  weightsFile: string | null
  /** Hex SHA-256 of the weights: the identity of the model in caches and artifacts. */
  weightsHash: string
  /** Hex SHA-256 of the `.onnx` file. */
  sha256: string
}

/** A model's description before it is loaded. */
export interface ModelDescription extends Pick<
  SentenceTransformer,
  | 'dimensions'
  | 'wholeDimensions'
  | 'maxSequenceLength'
  | 'keepsEnd'
  | 'pooling'
  | 'normalize'
  | 'tokenizerFile'
  | 'vocabularySize'
  | 'prompt'
  | 'prompts'
  | 'includePrompt'
  | 'lowersText'
  | 'warnings'
> {
  name: string
  /** Absolute path. */
  folder: string
  /** The publisher's version of the weights, if known. */
  revision: string | null
  /** SPDX identifier, or `unknown`. */
  license: string
  graphs: GraphDescription[]
  /**
   * Absolute path of the folder with the encoder's config.json and safetensors, where a vector is made of its hidden state by native
   * pooling alone; null where the folder has none, or modules that only a graph computes.
   */
  encoderFolder: string | null
  selfTest: SelfTest | null
}

async function findConvertedGraphs(folder: string): Promise<GraphDescription[] | null> {
  const manifest = await readGraphManifest(folder)
  if (manifest === null) return null
  const list = join(folder, GRAPH_FOLDER, GRAPH_MANIFEST)
  return manifest.graphs.map(({ precision, weights, fused, ...graph }) => {
    for (const { file, bytes } of fused === null ? [graph, weights] : [graph, weights, fused]) {
      const size = sizeOfFile(join(folder, GRAPH_FOLDER, file))
      if (size === null) throw new GabionError('MODEL_NOT_FOUND', `${list} lists ${file}, which does not exist`)
      if (size !== bytes) throw new GabionError('MODEL_INVALID', `${list} gives ${file} ${String(bytes)} bytes, it has ${String(size)}`)
    }
    const fusedFile = fused === null ? null : join(folder, GRAPH_FOLDER, fused.file)
    const [file, weightsFile] = [graph.file, weights.file].map((name) => join(folder, GRAPH_FOLDER, name)) as [string, string]
    return { precision, file, fusedFile, output: null, weightsFile, weightsHash: weights.sha256, sha256: graph.sha256 }
  })
}

function hasWeights(folder: string, { transformerPath }: SentenceTransformer): boolean {
  return [WEIGHTS, WEIGHTS_INDEX].some((each) => sizeOfFile(join(folder, transformerPath, each)) !== null)
}

/** The export that is run, if the folder has one. */
async function findExport(folder: string, model: SentenceTransformer, choice: ExportChoice): Promise<GraphDescription[]> {
  // Weights of the folder's own are better than an export of another precision than the one that is asked for.
  const hasOwnWeights = hasWeights(folder, model)
  const { order = EXPORT_ORDER } = choice
  const name = findExportFile(folder, { ...choice, order: hasOwnWeights ? order.slice(0, 1) : order })
  if (name === null) return []
  const file = join(folder, name)
  const graph = await readExportGraph(file)
  const output = chooseOutput(graph, model.needsPoolingGraph) ?? chooseOutput(graph, false)
  if (output === null && hasOwnWeights && choice.onnxFile === undefined) return []
  if (output === null) {
    const names = graph.outputs.map((each) => `'${each.name}'`).join(', ')
    throw new GabionError(
      'MODEL_UNSUPPORTED',
      `${file} has the outputs ${names}; a vector is made of last_hidden_state, token_embeddings or sentence_embedding, ` +
        'or of a single output [1, tokens, width]',
    )
  }
  const external = `${file}_data`
  const sha256 = await sha256OfFiles([file])
  const weightsFile = sizeOfFile(external) === null ? null : external
  const weightsHash = weightsFile === null ? sha256 : await sha256OfFiles([file, weightsFile])
  const { precision } = graph
  return [{ precision, file, fusedFile: null, output, weightsFile, sha256, weightsHash }]
}

/** The error of a folder without a graph that gives the model's vectors, with the remedy; null if it has one. */
function whatLacks(
  folder: string,
  model: SentenceTransformer,
  graphs: readonly GraphDescription[],
  isConverted: boolean,
): GabionError | null {
  const remedy = `gabion model convert ${folder}`
  const graph = graphs[0]
  if (graph === undefined)
    return new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no ONNX graph; make one with: ${remedy}`)
  const isPooled = graph.output !== null && isTextOutput(graph.output)
  if (isPooled && !model.includePrompt && Object.values(model.prompts).some((prompt) => prompt !== ''))
    return new GabionError(
      'MODEL_UNSUPPORTED',
      `${model.modules.poolingFile}: include_prompt false is not supported with ${graph.file}, which pools prompts too; with an output ` +
        'last_hidden_state or token_embeddings it is',
    )
  if (isConverted || !model.needsPoolingGraph || isPooled) return null
  const what = `what modules.json lists after the encoder (${describeModules(model.modules)})`
  return new GabionError('MODEL_UNSUPPORTED', `${graph.file} is an export that lacks ${what}; make graphs with: ${remedy}`)
}

/** The JSON text of a tokenizer with what the folder's settings change of its own; null where they change nothing. */
async function changedTokenizerOf(folder: string, { transformerPath, lowersText }: SentenceTransformer): Promise<string | null> {
  const place = join(folder, transformerPath)
  const changed = changedTokenizer(await readConfig(place, 'tokenizer.json'), await readTokenizerSettings(place, lowersText))
  return changed === null ? null : JSON.stringify(changed)
}

/** The `license:` line of a model card's front matter. */
async function licenseOfModelCard(folder: string): Promise<string | null> {
  const card = await readFile(join(folder, 'README.md'), 'utf8').catch(() => '')
  const header = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card)?.[1]
  return (header === undefined ? undefined : /^license:[ \t]*(\S+)/m.exec(header)?.[1]) ?? null
}

/** What a caller chooses or says of a folder. */
export interface FolderChoice extends ExportChoice {
  /** Of a folder without modules.json. */
  assumed?: AssumedModules | undefined
}

/** A model folder, with or without graphs. */
export interface InspectedFolder {
  description: ModelDescription
  /** JSON text of the tokenizer that an export needs in the place of the folder's own, whose settings change it; null for none. */
  tokenizer: string | null
  /** The reason why it has no graph that can be loaded; null if it has. */
  lacks: GabionError | null
}

/**
 * Reads and checks a model folder: its configuration files, its manifest if it has one, and which graphs it holds.
 * Hashes come from the manifest; {@link verifyModel} compares them with the files. A folder with an ordinary ONNX export
 * and no manifest has them computed here.
 *
 * @param folder a path; relative ones are taken from the working directory
 * @param choice of an ONNX file where the folder has no manifest
 * @throws GabionError `MODEL_NOT_FOUND` for a missing folder or file, `MODEL_INVALID` for an invalid file (the message names
 * file and field), `MODEL_UNSUPPORTED` for an unsupported module (the message names it)
 */
export async function inspectModelFolder(folder: string, choice: FolderChoice = {}): Promise<InspectedFolder> {
  const path = resolve(folder)
  const model = await readSentenceTransformer(path, choice.assumed)
  const own = choice.onnxFile === undefined ? await findConvertedGraphs(path) : null
  const graphs = own ?? (await findExport(path, model, choice))
  const manifest = await readModelManifest(path)
  const ownTokenizer = join(path, GRAPH_FOLDER, 'tokenizer.json')
  const description: ModelDescription = {
    name: manifest?.name ?? basename(path),
    folder: path,
    revision: manifest?.revision ?? null,
    license: manifest?.license ?? (await licenseOfModelCard(path)) ?? 'unknown',
    dimensions: model.dimensions,
    wholeDimensions: model.wholeDimensions,
    maxSequenceLength: model.maxSequenceLength,
    keepsEnd: model.keepsEnd,
    pooling: model.pooling,
    normalize: model.normalize,
    // The converter writes another tokenizer where the folder's lacks a step that its configuration requires.
    tokenizerFile: sizeOfFile(ownTokenizer) === null ? model.tokenizerFile : ownTokenizer,
    vocabularySize: model.vocabularySize,
    prompt: model.prompt,
    prompts: model.prompts,
    includePrompt: model.includePrompt,
    lowersText: model.lowersText,
    warnings: model.warnings,
    graphs,
    encoderFolder: hasWeights(path, model) && !model.needsPoolingGraph ? join(path, model.transformerPath) : null,
    selfTest: await readSelfTest(path, model.wholeDimensions),
  }
  const tokenizer = own === null && graphs.length > 0 ? await changedTokenizerOf(path, model) : null
  return { description, tokenizer, lacks: whatLacks(path, model, graphs, own !== null) }
}

/**
 * Reads a model folder that can be loaded.
 *
 * @throws GabionError as {@link inspectModelFolder}; `MODEL_NOT_FOUND` or `MODEL_UNSUPPORTED` if it has no graph that gives the
 * model's vectors
 */
export async function readModelFolder(folder: string): Promise<ModelDescription> {
  const { description, lacks } = await inspectModelFolder(folder)
  if (lacks !== null) throw lacks
  return description
}
