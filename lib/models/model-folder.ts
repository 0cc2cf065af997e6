// A model folder as the embedder needs it: how to tokenize and pool, which graphs there are, whose it is. Loads nothing.

import { readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { GabionError } from '../errors.js'
import { sha256OfFiles } from './file-hash.js'
import { GRAPH_FOLDER, readGraphManifest, type GraphPrecision } from './graph-manifest.js'
import { readModelManifest, readSelfTest, type SelfTest } from './model-manifest.js'
import { readSentenceTransformer, type Pooling } from './sentence-transformer.js'

/** A graph that can be loaded. */
export interface GraphDescription {
  precision: GraphPrecision
  /** Absolute path of the `.onnx` file; its weights may lie beside it. */
  file: string
  /** Hex SHA-256 of the weights: the identity of the model in caches and artefacts. */
  weightsHash: string
  /** Hex SHA-256 of the `.onnx` file. */
  sha256: string
}

/** All that is known of a model before it is loaded. */
export interface ModelDescription {
  name: string
  /** Absolute path. */
  folder: string
  /** The maker's version of the weights, where the folder says it. */
  revision: string | null
  /** SPDX identifier, or `unknown` if the folder does not say. */
  licence: string
  dimensions: number
  /** In tokens, special tokens included; longer texts are cut. */
  maxSequenceLength: number
  pooling: Pooling
  /** Whether vectors are scaled to unit length. */
  normalize: boolean
  /** Absolute path. */
  tokenizerFile: string
  /** Rows of the word table: every token id is below it. */
  vocabularySize: number
  graphs: GraphDescription[]
  selfTest: SelfTest | null
}

/** Graphs as other tools name them, looked for in this order when a folder has no manifest of ours. */
const FOREIGN_GRAPHS: readonly { precision: GraphPrecision; file: string }[] = [
  { precision: 'fp32', file: join(GRAPH_FOLDER, 'model.onnx') },
  { precision: 'fp32', file: 'model.onnx' },
  { precision: 'int8', file: join(GRAPH_FOLDER, 'model_quantized.onnx') },
]

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}

async function findGraphs(folder: string): Promise<GraphDescription[]> {
  const manifest = await readGraphManifest(folder)
  if (manifest !== null) {
    const graphs = manifest.graphs.map(({ precision, file, sha256, weights }) => ({
      precision,
      file: join(folder, GRAPH_FOLDER, file),
      weightsFile: join(folder, GRAPH_FOLDER, weights.file),
      weightsHash: weights.sha256,
      sha256,
    }))
    for (const file of graphs.flatMap((graph) => [graph.file, graph.weightsFile])) {
      if (!(await exists(file)))
        throw new GabionError('MODEL_NOT_FOUND', `${join(folder, GRAPH_FOLDER, 'manifest.json')} lists ${file}, which does not exist`)
    }
    return graphs.map(({ precision, file, weightsHash, sha256 }) => ({ precision, file, weightsHash, sha256 }))
  }
  const found: GraphDescription[] = []
  for (const { precision, file: name } of FOREIGN_GRAPHS) {
    const file = join(folder, name)
    if (found.some((graph) => graph.precision === precision) || !(await exists(file))) continue
    const external = `${file}_data`
    const sha256 = await sha256OfFiles([file])
    found.push({ precision, file, sha256, weightsHash: (await exists(external)) ? await sha256OfFiles([file, external]) : sha256 })
  }
  return found
}

/** The `license:` line of the header that model cards begin with. */
async function licenceOfModelCard(folder: string): Promise<string | null> {
  const card = await readFile(join(folder, 'README.md'), 'utf8').catch(() => '')
  const header = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card)?.[1]
  return (header === undefined ? undefined : /^license:[ \t]*(\S+)/m.exec(header)?.[1]) ?? null
}

/**
 * Reads and checks a model folder: its configuration files, its manifest if it has one, and which graphs it holds.
 * Hashes come from the manifest; {@link verifyModel} compares them with the files. A folder with an ordinary ONNX export
 * and no manifest has them computed here.
 *
 * @param folder a path; relative ones are taken from the working directory
 * @throws GabionError `MODEL_NOT_FOUND` for a missing folder, file or graph, `MODEL_INVALID` for a file that does not say
 * what it should (the message names file and field), `MODEL_UNSUPPORTED` for what gabion does not do (it names the module)
 */
export async function readModelFolder(folder: string): Promise<ModelDescription> {
  const path = resolve(folder)
  const { configFiles: _, ...description } = await readSentenceTransformer(path)
  const graphs = await findGraphs(path)
  if (graphs.length === 0) {
    throw new GabionError('MODEL_NOT_FOUND', `the model folder ${path} has no ONNX graph; make one with: gabion model convert ${path}`)
  }
  const manifest = await readModelManifest(path)
  return {
    name: manifest?.name ?? basename(path),
    folder: path,
    revision: manifest?.revision ?? null,
    licence: manifest?.licence ?? (await licenceOfModelCard(path)) ?? 'unknown',
    ...description,
    graphs,
    selfTest: await readSelfTest(path, description.dimensions),
  }
}
