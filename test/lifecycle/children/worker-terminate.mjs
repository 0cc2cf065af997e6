// worker.terminate() at a given moment of a worker's life: while it loads, runs a batch, or blocks in embedSync.
import { Worker } from 'node:worker_threads'
import { Embedder } from '../../../dist/index.js'
import { fail, pause } from './texts.mjs'

const [phase, delay] = [process.argv[2], Number(process.argv[3])]
const own = await Embedder.load()
const before = await own.embed('the main thread goes on')
for (let round = 0; round < 4; round++) {
  const worker = new Worker(new URL('./worker.mjs', import.meta.url), { workerData: { phase } })
  worker.on('error', (error) => fail(error.stack))
  if (phase !== 'load') await new Promise((resolve) => worker.once('message', resolve))
  await pause(delay)
  await worker.terminate()
}
const after = await own.embed('the main thread goes on ')
if (Math.abs(before[0] - after[0]) > 1e-6) fail('another vector after the workers ended')
own.dispose()
console.log('done')
