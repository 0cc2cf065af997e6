// Compares graphs with the golden vectors through onnxruntime-node, for the figures in a manifest. Mean pooling only,
// as the golden model has it. The embedder is not used, so that its own tests stay independent of these figures.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { root } from '../setup/run.mjs'

/** Reads test/fixtures/vectors.golden.*: the head, texts with ids, and the vectors' rows one after another. */
export async function readGoldenVectors() {
  const fixtures = join(root, 'test', 'fixtures')
  const [head, ...texts] = JSON.parse(gunzipSync(await readFile(join(fixtures, 'vectors.golden.json.gz'))).toString('utf8'))
  const vectors = new Float32Array(Uint8Array.from(await readFile(join(fixtures, 'vectors.golden.f32'))).buffer)
  return { head, texts, vectors }
}

/** Runs an ONNX file over the golden ids and returns a manifest's `parity` entry. */
export async function measureParity(graphFile) {
  // Before the library loads: its official builds report usage otherwise.
  process.env.ORT_DISABLE_TELEMETRY = '1'
  const { default: ort } = await import('onnxruntime-node')
  const { head, texts, vectors } = await readGoldenVectors()
  const session = await ort.InferenceSession.create(graphFile, { intraOpNumThreads: 1, executionProviders: ['cpu'] })
  let [worstCosine, cosines, worstElement] = [1, 0, 0]
  for (const [row, { ids }] of texts.entries()) {
    const input = new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length])
    const { last_hidden_state: output } = await session.run({ input_ids: input })
    const vector = meanOfUnitLength(output.data, head.dimensions)
    const expected = vectors.subarray(row * head.dimensions, (row + 1) * head.dimensions)
    const cosine = cosineOf(vector, expected)
    worstCosine = Math.min(worstCosine, cosine)
    cosines += cosine
    for (const [index, value] of expected.entries()) worstElement = Math.max(worstElement, Math.abs(value - vector[index]))
  }
  await session.release()
  const packages = head.packages
  return {
    reference: `sentence-transformers ${packages['sentence-transformers']}, torch ${packages.torch}, float32`,
    texts: texts.length,
    worstCosine: rounded(worstCosine),
    meanCosine: rounded(cosines / texts.length),
    worstElement: Number(worstElement.toPrecision(3)),
  }
}

const rounded = (cosine) => Number(cosine.toFixed(9))

function cosineOf(a, b) {
  let [dot, squareA, squareB] = [0, 0, 0]
  for (const [index, value] of a.entries()) {
    dot += value * b[index]
    squareA += value * value
    squareB += b[index] * b[index]
  }
  return dot / Math.sqrt(squareA * squareB)
}

function meanOfUnitLength(states, dimensions) {
  const sum = new Float64Array(dimensions)
  for (const [index, value] of states.entries()) sum[index % dimensions] += value
  const length = Math.hypot(...sum)
  return Float32Array.from(sum, (value) => value / length)
}
