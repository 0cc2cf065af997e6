// Owns the description of a model folder for the embedder: tokenization, pooling, graphs, license. Loads nothing.

import { readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { GabionError } from '../errors.js'
import { sha256OfFiles } from '../files/file-hash.js'
import { sizeOfFile } from './folder-entries.js'
import { GRAPH_FOLDER, GRAPH_MANIFEST, readGraphManifest, type GraphPrecision } from './graph-manifest.js'
import { readModelManifest, readSelfTest, type SelfTest } from './model-manifest.js'
import { readSentenceTransformer, type SentenceTransformer } from './sentence-transformer.js'

/** A graph that can be loaded. */
export interface GraphDescription {
  precision: GraphPrecision
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
  'dimensions' | 'maxSequenceLength' | 'pooling' | 'normalize' | 'tokenizerFile' | 'vocabularySize' | 'prompt' | 'prompts'
> {
  name: string
  /** Absolute path. */
  folder: string
  /** The publisher's version of the weights, if known. */
  revision: string | null
  /** SPDX identifier, or `unknown`. */
  license: string
  graphs: GraphDescription[]
  selfTest: SelfTest | null
}

/** Other tools' names of graphs, tried in this order when a folder has no manifest. */
const FOREIGN_GRAPHS: readonly { precision: GraphPrecision; file: string }[] = [
  { precision: 'fp32', file: join(GRAPH_FOLDER, 'model.onnx') },
  { precision: 'fp32', file: 'model.onnx' },
  { precision: 'int8', file: join(GRAPH_FOLDER, 'model_quantized.onnx') },
]

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
    return { precision, file, fusedFile, weightsFile, weightsHash: weights.sha256, sha256: graph.sha256 }
  })
}

async function findForeignGraphs(folder: string): Promise<GraphDescription[]> {
  const found: GraphDescription[] = []
  for (const { precision, file: name } of FOREIGN_GRAPHS) {
    const file = join(folder, name)
    if (found.some((graph) => graph.precision === precision) || sizeOfFile(file) === null) continue
    const external = `${file}_data`
    const sha256 = await sha256OfFiles([file])
    const weightsFile = sizeOfFile(external) === null ? null : external
    const weightsHash = weightsFile === null ? sha256 : await sha256OfFiles([file, weightsFile])
    found.push({ precision, file, fusedFile: null, weightsFile, sha256, weightsHash })
  }
  return found
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
  if (isConverted || !(model.needsPoolingGraph || model.lowersText)) return null
  const what = model.lowersText ? 'do_lower_case' : `what modules.json lists after the encoder (${describeModules(model)})`
  return new GabionError('MODEL_UNSUPPORTED', `${graph.file} is an export that lacks ${what}; make graphs with: ${remedy}`)
}

function describeModules({ modules }: SentenceTransformer): string {
  return [modules.poolings.join(' and '), ...modules.layers.map((layer) => (layer.kind === 'normalize' ? layer.kind : layer.path))].join(
    ', ',
  )
}

/** The `license:` line of a model card's front matter. */
async function licenseOfModelCard(folder: string): Promise<string | null> {
  const card = await readFile(join(folder, 'README.md'), 'utf8').catch(() => '')
  const header = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card)?.[1]
  return (header === undefined ? undefined : /^license:[ \t]*(\S+)/m.exec(header)?.[1]) ?? null
}

/** A model folder, with or without graphs. */
export interface InspectedFolder {
  description: ModelDescription
  /** The reason why it cannot be loaded without conversion; null if it can. */
  lacks: GabionError | null
}

/**
 * Reads and checks a model folder: its configuration files, its manifest if it has one, and which graphs it holds.
 * Hashes come from the manifest; {@link verifyModel} compares them with the files. A folder with an ordinary ONNX export
 * and no manifest has them computed here.
 *
 * @param folder a path; relative ones are taken from the working directory
 * @throws GabionError `MODEL_NOT_FOUND` for a missing folder or file, `MODEL_INVALID` for an invalid file (the message names
 * file and field), `MODEL_UNSUPPORTED` for an unsupported module (the message names it)
 */
export async function inspectModelFolder(folder: string): Promise<InspectedFolder> {
  const path = resolve(folder)
  const model = await readSentenceTransformer(path)
  const own = await findConvertedGraphs(path)
  const graphs = own ?? (await findForeignGraphs(path))
  const manifest = await readModelManifest(path)
  const ownTokenizer = join(path, GRAPH_FOLDER, 'tokenizer.json')
  const description: ModelDescription = {
    name: manifest?.name ?? basename(path),
    folder: path,
    revision: manifest?.revision ?? null,
    license: manifest?.license ?? (await licenseOfModelCard(path)) ?? 'unknown',
    dimensions: model.dimensions,
    maxSequenceLength: model.maxSequenceLength,
    pooling: model.pooling,
    normalize: model.normalize,
    // The converter writes another tokenizer where the folder's lacks a step that its configuration requires.
    tokenizerFile: sizeOfFile(ownTokenizer) === null ? model.tokenizerFile : ownTokenizer,
    vocabularySize: model.vocabularySize,
    prompt: model.prompt,
    prompts: model.prompts,
    graphs,
    selfTest: await readSelfTest(path, model.dimensions),
  }
  return { description, lacks: whatLacks(path, model, graphs, own !== null) }
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
