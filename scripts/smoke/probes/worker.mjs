// The same in a worker thread while the main thread embeds too; the worker's end must not affect the main thread's model.
import { once } from 'node:events'
import { Worker, isMainThread, parentPort } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'
import { Embedder } from 'gabion'

const embedder = await Embedder.load()
const vector = embedder.embedSync('The kettle is on.')
// The bundled model needs no ONNX Runtime; asking for its version opens it.
if (embedder.info.runtimeVersion === '') throw new Error('ONNX Runtime has no version')
if (!isMainThread) {
  parentPort.postMessage(vector)
} else {
  const worker = new Worker(fileURLToPath(import.meta.url))
  const [other] = await once(worker, 'message')
  await once(worker, 'exit')
  const same = Buffer.from(other.buffer).equals(Buffer.from(vector.buffer))
  const again = await embedder.embed('And still on.')
  const libraries = process.report.getReport().sharedObjects.filter((file) => /gabion(\.node|_onnx)/.test(file))
  if (!same) throw new Error('the worker has another vector than the main thread')
  console.log(JSON.stringify({ node: process.version, dimensions: again.length, length: Math.hypot(...again), libraries }))
}
embedder.dispose()
