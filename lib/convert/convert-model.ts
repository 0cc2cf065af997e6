// Checkpoint folder in, folder with ONNX graphs out: weights files, graphs over them, the configuration files and a manifest.

import { copyFile, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { GabionError } from '../errors.js'
import { sha256OfFiles } from '../models/file-hash.js'
import {
  GRAPH_FOLDER,
  GRAPH_MANIFEST,
  GRAPH_MANIFEST_FORMAT,
  GRAPH_PRECISIONS,
  type GraphManifest,
  type GraphPrecision,
  type GraphRecord,
} from '../models/graph-manifest.js'
import { readSentenceTransformer } from '../models/sentence-transformer.js'
import { checkBoolean, checkFunction, checkOneOf, checkOptions, checkSignal, checkString, invalidArgument } from '../options.js'
import { readEncoderConfig, type EncoderConfig } from './encoder-config.js'
import { encoderGraph } from './encoder-graph.js'
import { makeFolder } from './new-folder.js'
import { SafetensorsReader } from './safetensors-reader.js'
import { writeSafetensors } from './safetensors-writer.js'
import { bertLayout, WEIGHT_LAYOUT_VERSION, type LayoutTensor } from './weight-layout.js'
import { inPrecision } from './weight-precision.js'

/** Written into graphs and manifests; goes up when the same checkpoint would give another graph. */
export const CONVERTER_VERSION = '1'

const WEIGHTS = 'model.safetensors'
const PAPERS = /^(readme|licen[cs]e|notice)(\.(md|txt))?$/i

/** How far a conversion is. */
export interface ConversionProgress {
  precision: GraphPrecision
  /** Bytes of weights written so far, over all precisions. */
  bytesWritten: number
  /** Bytes of weights that the current precision takes. */
  bytesOfPrecision: number
}

/** What {@link convertModel} is asked to do. */
export interface ConvertOptions {
  /** Folder in the sentence-transformers layout with `model.safetensors`. */
  source: string
  /** Folder to make. The source folder itself is allowed: then only `onnx/` is added to it. */
  out: string
  /** Which graphs to write, in this order; default `['bf16']`. */
  precisions?: readonly GraphPrecision[]
  /** Replace what is there already; default false. */
  overwrite?: boolean
  onProgress?: (progress: ConversionProgress) => void
  signal?: AbortSignal
}

function checkConvertOptions(given: ConvertOptions): Required<Pick<ConvertOptions, 'source' | 'out' | 'precisions' | 'overwrite'>> {
  const options = checkOptions('options', given, ['source', 'out', 'precisions', 'overwrite', 'onProgress', 'signal'])
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
  }
}

async function openCheckpoint(folder: string): Promise<SafetensorsReader> {
  const names = await readdir(folder)
  if (!names.includes(WEIGHTS)) {
    const other = names.find((name) => /\.(safetensors\.index\.json|safetensors|bin|h5|ot|msgpack)$/.test(name))
    if (other === undefined) throw new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no ${WEIGHTS}`)
    throw new GabionError(
      'MODEL_UNSUPPORTED',
      `the model folder ${folder} has its weights in ${other}; only a single ${WEIGHTS} can be converted`,
    )
  }
  return SafetensorsReader.open(join(folder, WEIGHTS))
}

async function writeGraph(
  folder: string,
  config: EncoderConfig,
  layout: readonly LayoutTensor[],
  precision: GraphPrecision,
  onBytes: (written: number, total: number) => void,
): Promise<GraphRecord> {
  const [file, weightsFile] = [`model_${precision}.onnx`, `weights_${precision}.safetensors`]
  const metadata = { format: 'gabion', layout: String(WEIGHT_LAYOUT_VERSION), model_type: config.modelType, precision }
  const weights = await writeSafetensors(join(folder, weightsFile), inPrecision(layout, precision), metadata, onBytes)
  const graph = encoderGraph(config, precision, weights.tensors, weightsFile, CONVERTER_VERSION)
  await writeFile(join(folder, file), graph, { flag: 'wx' })
  return {
    precision,
    target: 'cpu',
    file,
    bytes: graph.length,
    sha256: await sha256OfFiles([join(folder, file)]),
    weights: { file: weightsFile, bytes: weights.bytes, sha256: weights.sha256 },
    parity: null,
  }
}

/** Writes a graphs' manifest into a folder of graphs. */
export async function writeGraphManifest(folder: string, manifest: GraphManifest): Promise<void> {
  await writeFile(join(folder, GRAPH_MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
}

/**
 * Converts the checkpoint of a sentence-transformers folder into ONNX graphs for gabion, without Python.
 *
 * For each precision `onnx/` gets a weights file in safetensors form and a small graph that refers to it; see the weight
 * layout for names and shapes. The model folder's configuration, tokenizer, model card and licence files are copied.
 * The new folder appears whole or not at all.
 *
 * @returns the manifest that was written
 * @throws GabionError `MODEL_UNSUPPORTED` for an architecture, activation, module or tensor that cannot be converted (the
 * message names it), `MODEL_INVALID` or `MODEL_NOT_FOUND` for bad input, `INVALID_ARGUMENT` for wrong options or an output
 * folder that exists, `ABORTED` if the signal fires
 */
export async function convertModel(options: ConvertOptions): Promise<GraphManifest> {
  const { source, out, precisions, overwrite } = checkConvertOptions(options)
  const { configFiles } = await readSentenceTransformer(source)
  const config = await readEncoderConfig(source)
  const throwIfAborted = (): void => {
    if (options.signal?.aborted === true)
      throw new GabionError('ABORTED', `the conversion of ${source} was aborted`, { cause: options.signal.reason })
  }
  throwIfAborted()

  const checkpoint = await openCheckpoint(source)
  try {
    const layout = bertLayout(config, checkpoint)
    const writeGraphs = async (folder: string): Promise<GraphManifest> => {
      const graphs: GraphRecord[] = []
      for (const precision of precisions) {
        const before = graphs.reduce((sum, graph) => sum + graph.weights.bytes, 0)
        const record = await writeGraph(folder, config, layout, precision, (written, total) => {
          throwIfAborted()
          options.onProgress?.({ precision, bytesWritten: before + written, bytesOfPrecision: total })
        })
        graphs.push(record)
      }
      const manifest: GraphManifest = {
        format: GRAPH_MANIFEST_FORMAT,
        converter: { name: 'gabion', version: CONVERTER_VERSION, weightLayout: WEIGHT_LAYOUT_VERSION },
        source: { file: WEIGHTS, bytes: (await stat(checkpoint.file)).size, sha256: await sha256OfFiles([checkpoint.file]) },
        graphs,
      }
      await writeGraphManifest(folder, manifest)
      throwIfAborted()
      return manifest
    }

    const written: GraphManifest[] = []
    if (source === out) {
      await makeFolder(join(out, GRAPH_FOLDER), overwrite, async (folder) => void written.push(await writeGraphs(folder)))
    } else {
      await makeFolder(out, overwrite, async (folder) => {
        await mkdir(join(folder, GRAPH_FOLDER))
        written.push(await writeGraphs(join(folder, GRAPH_FOLDER)))
        const papers = (await readdir(source)).filter((name) => PAPERS.test(name))
        for (const name of [...configFiles, ...papers]) {
          await mkdir(dirname(join(folder, name)), { recursive: true })
          await copyFile(join(source, name), join(folder, name))
        }
      })
    }
    return written[0] as GraphManifest
  } finally {
    await checkpoint.close()
  }
}
