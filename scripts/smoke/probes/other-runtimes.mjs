// gabion and the other runtimes in one process, each with its own library.
// usage: other-runtimes.mjs FOLDER_WITH_RUNTIMES GRAPH
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Embedder } from 'gabion'

const [folder, graph] = process.argv.slice(2)
const require = createRequire(join(folder, 'package.json'))
const embedder = await Embedder.load()
// The bundled model needs no ONNX Runtime; asking for its version opens it.
if (embedder.info.runtimeVersion === '') throw new Error('ONNX Runtime has no version')
const ort = require('onnxruntime-node')
const session = await ort.InferenceSession.create(graph)
await import(pathToFileURL(require.resolve('@huggingface/transformers')).href)
const ids = new ort.Tensor('int64', BigInt64Array.from([101n, 102n]), [1, 2])
const { last_hidden_state: hidden } = await session.run({ input_ids: ids })
if (!Number.isFinite(hidden.data[0])) throw new Error('onnxruntime-node returned no number')
const vector = await embedder.embed('The kettle is on.')
const loaded = process.report.getReport().sharedObjects
if (!loaded.some((file) => /libonnxruntime\.so/.test(file))) throw new Error('onnxruntime-node has no library of its own')
const libraries = loaded.filter((file) => /gabion(\.node|_onnx)/.test(file))
console.log(JSON.stringify({ node: process.version, dimensions: vector.length, length: Math.hypot(...vector), libraries }))
embedder.dispose()
