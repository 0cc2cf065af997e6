// Many workers at once, each with a model of its own; all give the same vector.
//
// usage: many-workers.mjs COUNT [FOLDER]      FOLDER: a model other than the bundled one
import { Worker } from 'node:worker_threads'
import { fail } from './texts.mjs'

const [count, model] = [Number(process.argv[2]), process.argv[3]]
const workerData = { phase: 'once', text: 'one text for every worker', model }
const vectors = await Promise.all(
  Array.from(
    { length: count },
    () =>
      new Promise((resolve, reject) => {
        const worker = new Worker(new URL('./worker.mjs', import.meta.url), { workerData })
        let vector
        worker.on('message', (message) => (vector = message))
        worker.on('error', reject)
        worker.on('exit', (code) => (code === 0 ? resolve(vector) : reject(new Error(`a worker ended with ${code}`))))
      }),
  ),
)
for (const vector of vectors) {
  if (Buffer.compare(Buffer.from(vector.buffer), Buffer.from(vectors[0].buffer)) !== 0) fail('two workers disagree')
}
console.log(vectors.length)
