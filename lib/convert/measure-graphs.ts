// Owns the measurement of converted graphs: agreement of their vectors of a few texts with the reference implementation's. The
// agreement goes into the manifest; one text with its vector is saved for the self-test of later loads and of `verify`.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GabionError } from '../errors.js'
import { fromNative, nativeAddon, type NativeModel, type NativeModelOptions } from '../native.js'
import type { GraphPrecision, GraphRecord, Parity } from '../models/graph-manifest.js'
import { SELF_TEST, SELF_TEST_MINIMUM } from '../models/model-manifest.js'
import { referenceVectors, type ReferenceModel } from './reference-encoder.js'
import { agreementOf } from './vector-agreement.js'

/** Texts of the measurement. */
export const PARITY_REFERENCE = 'plain loops in double precision over the checkpoint'

// Short, since the reference implementation is slow.
const TEXTS = ['The assistant named the rule.', 'Das Büro öffnet um 9:30!'] as const

/** Options of opening a graph other than its file; see `NativeModelOptions`. */
export type OpeningOptions = Pick<
  NativeModelOptions,
  'tokenizerFile' | 'pooling' | 'normalize' | 'maxTokens' | 'keepsEnd' | 'vocabularySize' | 'dimensions'
>

/** An ONNX export that the weights come from, which is compared too. */
export interface ExportedGraph {
  file: string
  opening: OpeningOptions
}

function openNative(
  graphFile: string,
  opening: OpeningOptions,
  encoderPrecision: NativeModelOptions['encoderPrecision'],
): Promise<NativeModel> {
  return new Promise((resolve, reject) => {
    const options: NativeModelOptions = { ...opening, graphFile, encoderPrecision, providers: ['cpu'], threads: 1 }
    nativeAddon().openModel(options, (code, message, model) => {
      if (model !== undefined) resolve(model)
      else reject(new GabionError(code ?? 'INTERNAL', message ?? 'the graph did not open'))
    })
  })
}

/** Runs a function on an opened graph, and frees the graph. */
async function withGraph<T>(file: string, opening: OpeningOptions, precision: GraphPrecision, work: (model: NativeModel) => T): Promise<T> {
  const model = await openNative(file, opening, precision === 'bf16' ? 'bf16' : 'fp32')
  try {
    return work(model)
  } catch (error) {
    throw fromNative(error)
  } finally {
    nativeAddon().closeModel(model)
  }
}

function vectorsOf(model: NativeModel, dimensions: number): Float32Array[] {
  return TEXTS.map((text) => {
    const vector = new Float32Array(dimensions)
    nativeAddon().embedSync(model, text, null, vector, null, new Float64Array(5))
    return vector
  })
}

/** The agreement, rounded for the manifest. */
function parityOf(vectors: readonly Float32Array[], references: readonly Float64Array[]): Parity {
  const { worstCosine, meanCosine, worstElement } = agreementOf(vectors, references)
  const rounded = (value: number): number => Number(value.toFixed(9))
  return {
    reference: PARITY_REFERENCE,
    texts: vectors.length,
    worstCosine: rounded(worstCosine),
    meanCosine: rounded(meanCosine),
    worstElement: Number(worstElement.toPrecision(3)),
  }
}

/**
 * Measures the graphs of a folder and saves one text's vector there.
 *
 * @param folder with the graphs
 * @param exported the export that the weights were taken from; null for a checkpoint
 * @returns the records with their agreement; where this processor runs the fused graph, it is measured as well as the standard one,
 * and the record has the worse agreement
 * @throws GabionError `INFERENCE_FAILED` if a graph is farther from the checkpoint than rounding explains; `MODEL_INVALID` if the
 * export itself contradicts its folder's configuration
 */
export async function measureGraphs(
  folder: string,
  graphs: readonly GraphRecord[],
  opening: OpeningOptions,
  model: ReferenceModel,
  exported: ExportedGraph | null,
): Promise<GraphRecord[]> {
  const first = graphs[0]
  if (first === undefined) return []
  const { ids, vectors: ofFirst } = await withGraph(join(folder, first.file), opening, first.precision, (native) => ({
    ids: TEXTS.map((text) => nativeAddon().tokenize(native, text).ids),
    vectors: vectorsOf(native, opening.dimensions),
  }))
  const references = await referenceVectors(model, ids)
  if (exported !== null) {
    const vectors = await withGraph(exported.file, exported.opening, 'fp32', (native) => vectorsOf(native, opening.dimensions))
    const { worstCosine } = parityOf(vectors, references)
    if (!(worstCosine >= SELF_TEST_MINIMUM.fp16)) {
      throw new GabionError(
        'MODEL_INVALID',
        `${exported.file} contradicts the config.json and modules.json of its folder (cosine ${worstCosine.toFixed(6)})`,
      )
    }
  }
  const measured: GraphRecord[] = []
  for (const graph of graphs) {
    const files = [graph.file, ...(graph.fused === null || nativeAddon().machine().encoderInstructionSet === '' ? [] : [graph.fused.file])]
    let parity: Parity | null = null
    for (const file of files) {
      const vectors =
        file === first.file
          ? ofFirst
          : await withGraph(join(folder, file), opening, graph.precision, (native) => vectorsOf(native, opening.dimensions))
      const found = parityOf(vectors, references)
      if (!(found.worstCosine >= SELF_TEST_MINIMUM[graph.precision])) {
        throw new GabionError(
          'INFERENCE_FAILED',
          `the converted ${file} gives vectors of cosine ${found.worstCosine.toFixed(6)} to the checkpoint's, ` +
            `${String(SELF_TEST_MINIMUM[graph.precision])} is required: this build computes wrong vectors on this machine`,
        )
      }
      if (parity === null || found.worstCosine < parity.worstCosine) parity = found
    }
    measured.push({ ...graph, parity })
  }
  const [text, reference] = [TEXTS[0], references[0] as Float64Array]
  const vector = Buffer.from(Float32Array.from(reference).buffer).toString('base64')
  const content = { reference: PARITY_REFERENCE, text, minimumCosine: SELF_TEST_MINIMUM, vector }
  await writeFile(join(folder, SELF_TEST), `${JSON.stringify(content, null, 2)}\n`, { flag: 'wx' })
  return measured
}
