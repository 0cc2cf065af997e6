// From a model folder to a running native model: choice of the graph, loading, self-test.

import { GabionError } from '../errors.js'
import { refuseEndlessFunctions } from '../convert/onnx-functions.js'
import { prepareModel } from '../convert/prepared-model.js'
import { configObject, readJsonIfPresent } from '../models/config-file.js'
import { EXPORT_ORDER } from '../models/export-files.js'
import type { GraphPrecision } from '../models/graph-manifest.js'
import type { FolderChoice, GraphDescription, ModelDescription } from '../models/model-folder.js'
import { checkInteger } from '../options.js'
import { nativeAddon, type NativeModel, type NativeModelDescription, type NativeModelOptions } from '../native.js'
import { findCudaLibrary } from './cuda-library.js'
import { runNative } from './embed-texts.js'
import type { CheckedEmbedderOptions } from './embedder-options.js'
import { keepScales, readScales, scalesFile } from './kept-scales.js'
import { readPackedModel, tokenizerOfCheckpoint, type PackedModel } from './packed-model.js'
import { cosine } from '../statistics/vectors.js'

/** A model that is ready to run, and what it was opened from. */
export interface OpenedModel {
  /** Its `dimensions` are those that the model was opened with: the caller's, or the folder's own. */
  description: ModelDescription
  /** Values per vector by the folder. */
  ownDimensions: number
  /** What runs; of a checkpoint its first file, with its identity as hashes. */
  graph: GraphDescription
  model: NativeModel
  native: NativeModelDescription
  /** See `EmbedderInfo.calibrationFile`. */
  calibrationFile: string | null
  /** Tokens of each of the model's prompts that are not pooled; empty where prompts are. */
  skippedTokens: ReadonlyMap<string, number>
}

// What `auto` takes first: bf16 weights are half the size for the same decisions; int8 shifts vectors, so it comes last.
// fp16 arithmetic is what graphics processors are fast at; processors without it would only widen it again.
const AUTO_ORDER = { cpu: ['bf16', 'fp32', 'int8', 'fp16'], cuda: ['fp16', 'bf16', 'fp32', 'int8'] } as const

/** A graph file to open, and what vectors from it are called. */
interface ChosenGraph extends GraphDescription {
  encoderPrecision: 'fp32' | 'bf16' | 'int8'
}

// gabion's own encoder, where the folder has its graph and the processor runs it: faster than the standard operators over the
// same weights, and it makes int8 from weights of any precision.
function chooseFused(description: ModelDescription, options: CheckedEmbedderOptions): ChosenGraph | null {
  if (options.providers[0] !== 'cpu' || nativeAddon().machine().encoderInstructionSet === '') return null
  const orders = { auto: ['bf16', 'fp32'], bf16: ['bf16'], fp32: ['fp32'], int8: ['bf16', 'fp32'], fp16: [] } as const
  for (const requested of orders[options.precision]) {
    const graph = description.graphs.find((candidate) => candidate.precision === requested && candidate.fusedFile !== null)
    if (graph === undefined || graph.fusedFile === null) continue
    const precision = options.precision === 'int8' ? 'int8' : requested
    return { ...graph, file: graph.fusedFile, precision, encoderPrecision: precision }
  }
  return null
}

function findGraph(description: ModelDescription, options: CheckedEmbedderOptions): ChosenGraph | null {
  const fused = chooseFused(description, options)
  if (fused !== null) return fused
  const { precision } = options
  // Of an export there is one, chosen before by its name.
  const [first] = description.graphs
  if (first !== undefined && first.output !== null) return fits(first, options) ? { ...first, encoderPrecision: 'fp32' } : null
  const order = precision === 'auto' ? AUTO_ORDER[options.providers[0] ?? 'cpu'] : [precision]
  for (const requested of order) {
    const graph = description.graphs.find((candidate) => candidate.precision === requested)
    if (graph !== undefined) return { ...graph, encoderPrecision: 'fp32' }
  }
  return null
}

/** Whether an export is of the precision that was asked for. */
function fits({ precision }: GraphDescription, { precision: requested, onnxFile }: CheckedEmbedderOptions): boolean {
  if (requested === 'auto' || onnxFile !== undefined || precision === requested) return true
  return requested === 'int8' && precision === 'uint8'
}

/** Which export of a folder without converted graphs is run, and what its modules are if it does not say so. */
function folderChoice({ precision, providers, onnxFile, assumed }: CheckedEmbedderOptions): FolderChoice {
  const first = EXPORT_ORDER.find((kind) => kind === precision) ?? (providers[0] === 'cuda' ? 'fp16' : undefined)
  const order = first === undefined ? EXPORT_ORDER : [first, ...EXPORT_ORDER.filter((kind) => kind !== first)]
  return { onnxFile, assumed, order, instructionSet: nativeAddon().machine().instructionSet }
}

/** What to make of a checkpoint for these options, best first. */
function precisionsToMake({ precision, providers }: CheckedEmbedderOptions): readonly GraphPrecision[] {
  if (precision === 'auto') return [providers[0] === 'cuda' ? 'fp16' : 'bf16']
  // gabion's own encoder makes int8 of bf16 weights; models that it does not compute get a graph of integer operators.
  return precision === 'int8' ? ['bf16', 'int8'] : [precision]
}

function chooseGraph(description: ModelDescription, options: CheckedEmbedderOptions): ChosenGraph {
  const graph = findGraph(description, options)
  if (graph !== null) return graph
  const { precision } = options
  const present = description.graphs.map((graph) => graph.precision).join(', ')
  throw new GabionError(
    'MODEL_NOT_FOUND',
    `${description.folder} has no ${precision} graph (it has ${present}); make one from the original checkpoint with: ` +
      `gabion model convert FOLDER --precision ${precision}`,
  )
}

/** As native code takes them: `cuda` with its library behind a colon, alone if none was found. */
function nativeProviders({ providers, cudaLibrary }: CheckedEmbedderOptions): string[] {
  const library = providers.includes('cuda') ? findCudaLibrary(cudaLibrary) : null
  return providers.map((provider) => (provider === 'cuda' && library !== null ? `cuda:${library}` : provider))
}

/** What is opened: a graph, or a checkpoint in a graph's place. */
type Network = Pick<NativeModelOptions, 'graphFile' | 'graphOutput' | 'weightsFile' | 'checkpoint' | 'encoderPrecision'>

function networkOf({ file, output, weightsFile, encoderPrecision }: ChosenGraph): Network {
  return {
    graphFile: file,
    ...(output === null ? {} : { graphOutput: output.name }),
    ...(weightsFile === null ? {} : { weightsFile }),
    encoderPrecision,
  }
}

function open(
  description: ModelDescription,
  network: Network,
  options: CheckedEmbedderOptions,
): Promise<{ model: NativeModel; native: NativeModelDescription }> {
  const addon = nativeAddon()
  return new Promise((resolve, reject) => {
    addon.openModel(
      {
        ...network,
        tokenizerFile: description.tokenizerFile,
        pooling: description.pooling,
        normalize: description.normalize,
        maxTokens: description.maxSequenceLength,
        ...(description.keepsEnd === null ? {} : { keepsEnd: description.keepsEnd }),
        vocabularySize: description.vocabularySize,
        dimensions: description.wholeDimensions,
        ...(description.dimensions < description.wholeDimensions ? { keptDimensions: description.dimensions } : {}),
        providers: nativeProviders(options),
        ...(options.threads === undefined ? {} : { threads: options.threads }),
      },
      (code, message, model, native) => {
        if (model !== undefined && native !== undefined) resolve({ model, native })
        else reject(new GabionError(code ?? 'INTERNAL', message ?? 'the model did not open'))
      },
    )
  })
}

type Opened = Omit<OpenedModel, 'description' | 'ownDimensions' | 'skippedTokens'>

async function openGraph(description: ModelDescription, options: CheckedEmbedderOptions): Promise<Opened> {
  const graph = chooseGraph(description, options)
  await refuseEndlessFunctions(graph.file)
  return { graph, calibrationFile: null, ...(await open(description, networkOf(graph), options)) }
}

async function openPacked(description: ModelDescription, packed: PackedModel, options: CheckedEmbedderOptions): Promise<Opened> {
  const { encoder, precision, identity } = packed
  const calibrationFile = precision === 'int8' ? await scalesFile(packed, description.tokenizerFile) : null
  const smoothScales = calibrationFile === null ? undefined : await readScales(calibrationFile, packed)
  const checkpoint = { ...encoder, precision, ...(smoothScales === undefined ? {} : { smoothScales }) }
  const opened = await open(description, { checkpoint, encoderPrecision: precision }, options)
  if (calibrationFile !== null && opened.native.smoothScales !== null) await keepScales(calibrationFile, opened.native.smoothScales)
  const file = encoder.files[0] ?? ''
  const graph = { precision, output: null, file, fusedFile: null, weightsFile: file, weightsHash: identity, sha256: identity }
  return { graph, calibrationFile, ...opened }
}

// A kernel that computes wrong on this processor must be an error, never a wrong vector.
async function selfTest(description: ModelDescription, graph: GraphDescription, model: NativeModel): Promise<void> {
  const test = description.selfTest
  const bound = test?.minimumCosine[graph.precision]
  if (test === null || bound === undefined) return
  const { vectors } = await runNative(model, [test.text], null, null, undefined)
  const agreement = cosine(vectors, test.vector.subarray(0, vectors.length))
  if (!(agreement >= bound)) {
    throw new GabionError(
      'INFERENCE_FAILED',
      `the self-test of ${description.name} (${graph.precision}) gave a vector of cosine ${agreement.toFixed(6)} to the stored one, ` +
        `${String(bound)} is needed: its files are not those that it came with (gabion model verify), or this build computes wrong on this machine`,
    )
  }
}

/** The tokens of prompts that pooling leaves out: all that sentence-transformers counts, which is without a special token at the end. */
async function countPrompts({ prompts, includePrompt, tokenizerFile }: ModelDescription, model: NativeModel): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  const texts = includePrompt ? [] : Object.values(prompts).filter((prompt) => prompt !== '')
  if (texts.length === 0) return counts
  const special = await specialTokenIds(tokenizerFile)
  for (const prompt of texts) {
    const { ids } = nativeAddon().tokenize(model, prompt)
    counts.set(prompt, ids.length - (special.has(ids.at(-1) ?? -1) ? 1 : 0))
  }
  return counts
}

async function specialTokenIds(file: string): Promise<Set<number>> {
  const tokenizer = configObject(file, await readJsonIfPresent(file))
  const added = tokenizer.has('added_tokens') ? tokenizer.objects('added_tokens') : []
  return new Set(added.filter((token) => token.booleanOr('special', false)).map((token) => token.integer('id', 0)))
}

// Opening ONNX Runtime takes as long as reading a model's folder: side by side, where it is sure to be needed.
function prepareRuntime({ providers }: CheckedEmbedderOptions): void {
  try {
    const addon = nativeAddon()
    if (providers[0] === 'cpu' && addon.machine().encoderInstructionSet === '') addon.prepareRuntime()
  } catch {
    // A missing model is reported first, a missing addon when it is needed.
  }
}

/**
 * Resolves, opens and self-tests a model.
 *
 * @throws GabionError `MODEL_*`, `RUNTIME_*`, `PROVIDER_UNAVAILABLE`, `INFERENCE_FAILED`
 */
export async function openModel(options: CheckedEmbedderOptions): Promise<OpenedModel> {
  const { onProgress, signal } = options
  prepareRuntime(options)
  const found: { packed: PackedModel | null } = { packed: null }
  const prepared = await prepareModel(options.model, {
    accepts: async (model) => {
      found.packed = chooseFused(model, options) === null ? await readPackedModel(model, options) : null
      return found.packed !== null || findGraph(model, options) !== null
    },
    make: precisionsToMake(options),
    choice: folderChoice(options),
    ...(onProgress === undefined ? {} : { onProgress }),
    ...(signal === undefined ? {} : { signal }),
  })
  const { dimensions: ownDimensions, wholeDimensions } = prepared
  const description = {
    ...prepared,
    dimensions: checkInteger('dimensions', options.dimensions ?? ownDimensions, 1, wholeDimensions),
    ...(found.packed === null ? {} : { tokenizerFile: await tokenizerOfCheckpoint(prepared) }),
  }
  const opened = await (found.packed === null ? openGraph(description, options) : openPacked(description, found.packed, options))
  const { graph, model } = opened
  try {
    await selfTest(description, graph, model)
    return { description, ownDimensions, ...opened, skippedTokens: await countPrompts(description, model) }
  } catch (error) {
    nativeAddon().closeModel(model)
    throw error
  }
}
