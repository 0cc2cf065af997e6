// gabion and onnxruntime-node in one process, loaded in a given order, both computing.
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { fail } from './texts.mjs'

const graph = fileURLToPath(new URL('../../../models/all-MiniLM-L6-v2/onnx/model_bf16.onnx', import.meta.url))
const loadTheirs = async () => {
  const ort = createRequire(import.meta.url)('onnxruntime-node')
  return { ort, session: await ort.InferenceSession.create(graph) }
}
const loadOurs = async () => (await import('../../../dist/index.js')).Embedder.load()

let ours
let theirs
if (process.argv[2] === 'ours-first') {
  ours = await loadOurs()
  theirs = await loadTheirs()
} else {
  theirs = await loadTheirs()
  ours = await loadOurs()
}
const text = 'two runtimes in one process'
const vector = await ours.embed(text)
const ids = BigInt64Array.from(ours.tokenize(text).ids, BigInt)
const { last_hidden_state: hidden } = await theirs.session.run({ input_ids: new theirs.ort.Tensor('int64', ids, [1, ids.length]) })
const mean = new Float64Array(384)
for (let i = 0; i < hidden.data.length; i++) mean[i % 384] += hidden.data[i]
const length = Math.hypot(...mean)
const cosine = mean.reduce((sum, value, i) => sum + (value / length) * vector[i], 0)
// The bound of bf16 arithmetic, which ours computes with where the processor has it.
if (!(cosine > 0.9999)) fail(`the two runtimes disagree: cosine ${cosine}`)
console.log('done')
