// The worker of the worker tests.
import { parentPort, workerData } from 'node:worker_threads'
import { Embedder } from '../../../dist/index.js'
import { mixedTexts } from './texts.mjs'

const { model } = workerData
const embedder = await Embedder.load({ threads: 1, cache: false, ...(model !== undefined && { model, precision: 'fp32' }) })
switch (workerData.phase) {
  case 'load':
    break
  case 'batch':
    parentPort.postMessage('running')
    await embedder.embedBatch(mixedTexts(2000))
    break
  case 'sync':
    parentPort.postMessage('running')
    for (;;) embedder.embedSync('blocking over and over')
  case 'once': {
    const sync = embedder.embedSync(workerData.text)
    const vector = await embedder.embed(workerData.text)
    if (Buffer.compare(Buffer.from(sync.buffer), Buffer.from(vector.buffer)) !== 0) throw new Error('embedSync gave another vector')
    parentPort.postMessage(vector)
    break
  }
}
