// Owns the conversion of a checkpoint or export folder to a folder with ONNX graphs: weights files, graphs, configuration, manifest.

import { copyFile, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { GabionError } from '../errors.js'
import { sha256OfFiles } from '../files/file-hash.js'
import {
  GRAPH_FOLDER,
  GRAPH_MANIFEST,
  GRAPH_MANIFEST_FORMAT,
  GRAPH_PRECISIONS,
  type FileRecord,
  type GraphManifest,
  type GraphPrecision,
  type GraphRecord,
} from '../models/graph-manifest.js'
import { checkAssumedModules, filesOfModules, type AssumedModules, type GraphPooling, type Pooling } from '../models/pooled-modules.js'
import { readSentenceTransformer, type SentenceTransformer } from '../models/sentence-transformer.js'
import { checkBoolean, checkFunction, checkOneOf, checkOptions, checkSignal, checkString, invalidArgument } from '../options.js'
import { batchGraph, canBatch } from './batch-graph.js'
import { openWeights } from './checkpoint.js'
import { readEncoderConfig, type EncoderConfig } from './encoder-config.js'
import { encoderGraph } from './encoder-graph.js'
import { canFuse, fusedGraph } from './fused-graph.js'
import { measureGraphs } from './measure-graphs.js'
import { makeFolder } from '../files/new-folder.js'
import { headLayout, type PoolingHead } from './pooling-head.js'
import type { StoredTensor } from './safetensors-header.js'
import { writeSafetensors } from './safetensors-writer.js'
import { tokenizerFor } from './tokenizer-file.js'
import { encoderLayout, WEIGHT_LAYOUT_VERSION, type LayoutTensor } from './weight-layout.js'
import { CONVERTER_VERSION } from './converter-version.js'
import { inPrecision } from './weight-precision.js'
import type { WeightSource } from './weight-source.js'

const DOC_FILES = /^(readme|licen[cs]e|notice)(\.(md|txt))?$/i

/** Progress of a conversion. */
export interface ConversionProgress {
  precision: GraphPrecision
  /** Bytes of weights written so far, over all precisions. */
  bytesWritten: number
  /** Bytes of weights of the current precision. */
  bytesOfPrecision: number
}

/** Options of {@link convertModel}. */
export interface ConvertOptions {
  /**
   * Folder in the sentence-transformers layout with `model.safetensors`, or several such files and their index, or an ONNX export
   * (`onnx/model.onnx`) of PyTorch's exporter.
   */
  source: string
  /** Folder to create. If it is the source folder, only `onnx/` is added to it. */
  out: string
  /** Which graphs to write, in this order; default `['bf16']`. */
  precisions?: readonly GraphPrecision[]
  /** Replace an existing folder; default false. */
  overwrite?: boolean
  /**
   * Run the graphs on a few texts, compare them with a reference implementation on the checkpoint, and save the agreement and one
   * text's vector with them; default false. Takes some seconds for a large model.
   */
  measure?: boolean
  /** Pooling of a source without modules.json; the converted folder has one. */
  pooling?: GraphPooling
  /** Whether vectors of such a source are scaled to unit length; default true. */
  normalize?: boolean
  onProgress?: (progress: ConversionProgress) => void
  signal?: AbortSignal
}

function checkConvertOptions(
  given: ConvertOptions,
): Required<Pick<ConvertOptions, 'source' | 'out' | 'precisions' | 'overwrite' | 'measure'>> & { assumed: AssumedModules | undefined } {
  const names = ['source', 'out', 'precisions', 'overwrite', 'measure', 'pooling', 'normalize', 'onProgress', 'signal'] as const
  const options = checkOptions('options', given, names)
  const precisions: unknown = options.precisions ?? ['bf16']
  if (!Array.isArray(precisions) || precisions.length === 0) throw invalidArgument('options.precisions', 'a list of precisions', precisions)
  const checked = precisions.map((precision) => checkOneOf('options.precisions', precision, GRAPH_PRECISIONS))
  if (new Set(checked).size !== checked.length) throw invalidArgument('options.precisions', 'a list without repetitions', precisions)
  if (options.onProgress !== undefined) checkFunction('options.onProgress', options.onProgress)
  if (options.signal !== undefined) checkSignal('options.signal', options.signal)
  return {
    source: resolve(checkString('options.source', options.source)),
    out: resolve(checkString('options.out', options.out)),
    precisions: checked,
    overwrite: checkBoolean('options.overwrite', options.overwrite ?? false),
    measure: checkBoolean('options.measure', options.measure ?? false),
    assumed: checkAssumedModules(options),
  }
}

/** A model that was read and found convertible. */
interface Convertible {
  config: EncoderConfig
  head: PoolingHead | null
  pooling: Pooling
  layout: readonly LayoutTensor[]
}

async function readConvertible(source: string, model: SentenceTransformer, checkpoint: WeightSource): Promise<Convertible> {
  const config = await readEncoderConfig(join(source, model.transformerPath))
  const head = model.needsPoolingGraph ? model.modules : null
  const ofHead = head === null ? [] : await headLayout(source, head)
  return { config, head, pooling: model.pooling, layout: [...encoderLayout(config, checkpoint), ...ofHead] }
}

async function writeGraph(
  folder: string,
  convertible: Convertible,
  precision: GraphPrecision,
  onBytes: (written: number, total: number) => void,
): Promise<GraphRecord> {
  const { config, head, pooling, layout } = convertible
  const [file, weightsFile] = [`model_${precision}.onnx`, `weights_${precision}.safetensors`]
  const metadata = { format: 'gabion', layout: String(WEIGHT_LAYOUT_VERSION), model_type: config.modelType, precision }
  const weights = await writeSafetensors(join(folder, weightsFile), inPrecision(layout, precision), metadata, onBytes)
  const parts = { config, tensors: weights.tensors, weightsFile, version: CONVERTER_VERSION }
  const graph = precision === 'fp16' && canBatch(head, pooling) ? batchGraph(parts) : encoderGraph({ ...parts, head, precision })
  await writeFile(join(folder, file), graph, { flag: 'wx' })
  return {
    precision,
    target: precision === 'fp16' ? 'cuda' : 'cpu',
    file,
    bytes: graph.length,
    sha256: await sha256OfFiles([join(folder, file)]),
    weights: { file: weightsFile, bytes: weights.bytes, sha256: weights.sha256 },
    fused: await writeFused(folder, convertible, precision, weights.tensors, weightsFile),
    parity: null,
  }
}

/** Writes the fused graph next to the standard one; null where gabion's operator does not support the encoder. */
async function writeFused(
  folder: string,
  { config, head }: Convertible,
  precision: GraphPrecision,
  tensors: ReadonlyMap<string, StoredTensor>,
  weightsFile: string,
): Promise<FileRecord | null> {
  if (head !== null || !canFuse(config) || (precision !== 'fp32' && precision !== 'bf16')) return null
  const file = `model_${precision}_fused.onnx`
  const graph = fusedGraph({ config, tensors, weightsFile, version: CONVERTER_VERSION })
  await writeFile(join(folder, file), graph, { flag: 'wx' })
  return { file, bytes: graph.length, sha256: await sha256OfFiles([join(folder, file)]) }
}

async function measureConverted(
  folder: string,
  graphs: readonly GraphRecord[],
  model: SentenceTransformer,
  { config, layout }: Convertible,
  { file }: WeightSource,
): Promise<GraphRecord[]> {
  const { tokenizerFile, pooling, normalize, maxSequenceLength, vocabularySize, wholeDimensions: dimensions } = model
  const keepsEnd = model.keepsEnd === null ? {} : { keepsEnd: model.keepsEnd }
  const opening = { tokenizerFile, pooling, normalize, maxTokens: maxSequenceLength, ...keepsEnd, vocabularySize, dimensions }
  // An export ends before the modules after pooling, so it is compared only where the folder has none.
  const exported = file.endsWith('.onnx') && !model.needsPoolingGraph ? { file, opening } : null
  return measureGraphs(folder, graphs, opening, { config, head: model.modules, normalize, layout }, exported)
}

async function totalBytes(files: readonly string[]): Promise<number> {
  const found = await Promise.all(files.map((file) => stat(file)))
  return found.reduce((sum, { size }) => sum + size, 0)
}

/** Converts the error of a read that the signal ended to `ABORTED`. */
function abortedOr(throwIfAborted: () => void): (cause: unknown) => never {
  return (cause) => {
    throwIfAborted()
    throw cause
  }
}

/** Writes a graphs' manifest into a folder of graphs. */
export async function writeGraphManifest(folder: string, manifest: GraphManifest): Promise<void> {
  await writeFile(join(folder, GRAPH_MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
}

/** Implements `convertModel` of index.ts, which loads this file on demand. */
export async function convertModel(options: ConvertOptions): Promise<GraphManifest> {
  const { source, out, precisions, overwrite, measure, assumed } = checkConvertOptions(options)
  const model = await readSentenceTransformer(source, assumed)
  const encoderFolder = join(source, model.transformerPath)
  const throwIfAborted = (): void => {
    if (options.signal?.aborted === true)
      throw new GabionError('ABORTED', `the conversion of ${source} was aborted`, { cause: options.signal.reason })
  }
  throwIfAborted()

  await using checkpoint = await openWeights(encoderFolder)
  const convertible = await readConvertible(source, model, checkpoint)
  const tokenizer = await tokenizerFor(encoderFolder, model.lowersText)
  const writeGraphs = async (folder: string): Promise<GraphManifest> => {
    const graphs: GraphRecord[] = []
    for (const precision of precisions) {
      const before = graphs.reduce((sum, graph) => sum + graph.weights.bytes, 0)
      const record = await writeGraph(folder, convertible, precision, (written, total) => {
        throwIfAborted()
        options.onProgress?.({ precision, bytesWritten: before + written, bytesOfPrecision: total })
      })
      graphs.push(record)
    }
    if (tokenizer !== null) await writeFile(join(folder, 'tokenizer.json'), tokenizer, { flag: 'wx' })
    throwIfAborted()
    const tokenizerFile = tokenizer === null ? model.tokenizerFile : join(folder, 'tokenizer.json')
    const measured = measure ? await measureConverted(folder, graphs, { ...model, tokenizerFile }, convertible, checkpoint) : graphs
    const manifest: GraphManifest = {
      format: GRAPH_MANIFEST_FORMAT,
      converter: { name: 'gabion', version: CONVERTER_VERSION, weightLayout: WEIGHT_LAYOUT_VERSION },
      source: {
        file: basename(checkpoint.file),
        bytes: await totalBytes(checkpoint.files),
        sha256: await sha256OfFiles(checkpoint.files, options.signal).catch(abortedOr(throwIfAborted)),
      },
      graphs: measured,
    }
    await writeGraphManifest(folder, manifest)
    throwIfAborted()
    return manifest
  }

  const written: GraphManifest[] = []
  if (source === out) {
    if (assumed !== undefined)
      throw new GabionError('INVALID_ARGUMENT', `${source} has no modules.json: give another output folder, which gets one`)
    if (checkpoint.files.some((file) => dirname(file) === join(out, GRAPH_FOLDER))) {
      throw new GabionError('INVALID_ARGUMENT', `${checkpoint.file} is the source of the conversion: give another output folder`)
    }
    await makeFolder(join(out, GRAPH_FOLDER), overwrite, async (folder) => void written.push(await writeGraphs(folder)))
  } else {
    await makeFolder(out, overwrite, async (folder) => {
      await mkdir(join(folder, GRAPH_FOLDER))
      written.push(await writeGraphs(join(folder, GRAPH_FOLDER)))
      const papers = (await readdir(source)).filter((name) => DOC_FILES.test(name))
      for (const name of [...model.configFiles, ...papers]) {
        await mkdir(dirname(join(folder, name)), { recursive: true })
        await copyFile(join(source, name), join(folder, name))
      }
      for (const [name, content] of assumed === undefined ? [] : filesOfModules(model.modules)) {
        await mkdir(dirname(join(folder, name)), { recursive: true })
        await writeFile(join(folder, name), content)
      }
    })
  }
  return written[0] as GraphManifest
}
