// From a model folder to a running native model: choice of the graph, loading, self-test.

import { GabionError } from '../errors.js'
import { resolveModel } from '../models/resolve.js'
import type { GraphDescription, ModelDescription } from '../models/model-folder.js'
import { nativeAddon, type NativeModel, type NativeModelDescription } from '../native.js'
import { runNative } from './native-run.js'
import type { CheckedEmbedderOptions } from './embedder-options.js'

/** A model that is ready to run, and what it was opened from. */
export interface OpenedModel {
  description: ModelDescription
  graph: GraphDescription
  model: NativeModel
  native: NativeModelDescription
}

// What `auto` takes first: bf16 weights are half the size for the same decisions; int8 shifts vectors, so it comes last.
// fp16 arithmetic is what graphics processors are fast at; processors without it would only widen it again.
const AUTO_ORDER = { cpu: ['bf16', 'fp32', 'int8', 'fp16'], cuda: ['fp16', 'bf16', 'fp32', 'int8'] } as const

function chooseGraph(description: ModelDescription, options: CheckedEmbedderOptions): GraphDescription {
  const { precision } = options
  const order = precision === 'auto' ? AUTO_ORDER[options.providers[0] ?? 'cpu'] : [precision]
  for (const wished of order) {
    const graph = description.graphs.find((candidate) => candidate.precision === wished)
    if (graph !== undefined) return graph
  }
  const present = description.graphs.map((graph) => graph.precision).join(', ')
  throw new GabionError(
    'MODEL_NOT_FOUND',
    `${description.folder} has no ${precision} graph (it has ${present}); make one from the original checkpoint with: ` +
      `gabion model convert FOLDER --precision ${precision}`,
  )
}

function open(
  description: ModelDescription,
  graph: GraphDescription,
  options: CheckedEmbedderOptions,
): Promise<{ model: NativeModel; native: NativeModelDescription }> {
  const addon = nativeAddon()
  return new Promise((resolve, reject) => {
    addon.openModel(
      {
        graphFile: graph.file,
        tokenizerFile: description.tokenizerFile,
        pooling: description.pooling,
        normalize: description.normalize,
        maximumTokens: description.maxSequenceLength,
        vocabularySize: description.vocabularySize,
        dimensions: description.dimensions,
        providers: options.providers,
        ...(options.threads === undefined ? {} : { threads: options.threads }),
      },
      (code, message, model, native) => {
        if (model !== undefined && native !== undefined) resolve({ model, native })
        else reject(new GabionError(code ?? 'INTERNAL', message ?? 'the model did not open'))
      },
    )
  })
}

function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number
    const y = b[i] as number
    dot += x * y
    aa += x * x
    bb += y * y
  }
  return dot / Math.sqrt(aa * bb)
}

// A kernel that computes wrong on this processor must be an error, never a wrong vector.
async function selfTest(description: ModelDescription, graph: GraphDescription, model: NativeModel): Promise<void> {
  const test = description.selfTest
  const bound = test?.minimumCosine[graph.precision]
  if (test === null || bound === undefined) return
  const { vectors } = await runNative(model, [test.text], null, undefined)
  const agreement = cosine(vectors, test.vector)
  if (!(agreement >= bound)) {
    throw new GabionError(
      'INFERENCE_FAILED',
      `the self-test of ${description.name} (${graph.precision}) gave a vector of cosine ${agreement.toFixed(6)} to the stored one, ` +
        `${String(bound)} is needed: this build computes wrong on this machine`,
    )
  }
}

/**
 * Resolves, opens and self-tests a model.
 *
 * @throws GabionError `MODEL_*`, `RUNTIME_*`, `PROVIDER_UNAVAILABLE`, `INFERENCE_FAILED`
 */
export async function openModel(options: CheckedEmbedderOptions): Promise<OpenedModel> {
  const description = await resolveModel(options.model)
  const graph = chooseGraph(description, options)
  const { model, native } = await open(description, graph, options)
  try {
    await selfTest(description, graph, model)
  } catch (error) {
    nativeAddon().closeModel(model)
    throw error
  }
  return { description, graph, model, native }
}
