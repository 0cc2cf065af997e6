// Child process with one implementation of the event-loop bench. Embeds the texts it is sent, and answers how long its event
// loop stalled meanwhile.

import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { clearInterval, setInterval } from 'node:timers'
import { setTimeout } from 'node:timers/promises'

const [name, threads, modelFolder, parent, folderName, graphFile, dimensions] = process.argv.slice(2)
const BATCH = 32
const PERIOD_MS = 1

/** Each has `embed`, which is measured, and `firstOf`, the vector of the first of some texts that share a batch. */
const implementations = {
  async gabion() {
    const { loadGabion } = await import('./gabion.mjs')
    const embedder = await loadGabion({ threads: Number(threads) })
    return { embed: (texts) => embedder.embedBatch(texts), firstOf: async (texts) => (await embedder.embedBatch(texts)).row(0) }
  },
  async 'transformers.js'() {
    const { env, pipeline } = await import('@huggingface/transformers')
    env.allowRemoteModels = false
    env.localModelPath = parent
    const { sessionOptions } = await import('./onnxruntime.mjs')
    const options = { dtype: 'fp32', device: 'cpu', session_options: sessionOptions(Number(threads)) }
    const extract = await pipeline('feature-extraction', folderName, options)
    const embedOne = (texts) => extract(texts, { pooling: 'mean', normalize: true })
    return { embed: inBatches(embedOne), firstOf: async (texts) => (await embedOne(texts))[0].data }
  },
  async 'onnxruntime-node'() {
    const { batchEncoder, loadTokenizer, openSession } = await import('./onnxruntime.mjs')
    const embedOne = batchEncoder(await openSession(graphFile, Number(threads)), loadTokenizer(modelFolder), Number(dimensions))
    return { embed: inBatches(embedOne), firstOf: async (texts) => (await embedOne(texts))[0] }
  },
  /** Nothing runs: the timer jitter of the machine alone. */
  async idle() {
    return { embed: (texts) => setTimeout(texts.length * 10), firstOf: async () => null }
  },
}

function inBatches(embed) {
  return async (texts) => {
    for (let first = 0; first < texts.length; first += BATCH) await embed(texts.slice(first, first + BATCH))
  }
}

/** Runs `work` under a timer of one millisecond and Node's own monitor. */
async function watch(work) {
  const monitor = monitorEventLoopDelay({ resolution: PERIOD_MS })
  let last = performance.now()
  let longest = 0
  let ticks = 0
  const timer = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    ticks++
  }, PERIOD_MS)
  await setTimeout(20)
  monitor.enable()
  ;[last, longest, ticks] = [performance.now(), 0, 0]
  const before = performance.eventLoopUtilization()
  const start = performance.now()
  await work()
  const end = performance.now()
  // A stall that lasts until the very end has had no tick yet.
  longest = Math.max(longest, end - last)
  const { utilization } = performance.eventLoopUtilization(before)
  await setTimeout(20)
  clearInterval(timer)
  monitor.disable()
  return {
    totalMs: end - start,
    longestStallMs: Math.max(0, longest - PERIOD_MS),
    ticks,
    monitorMaxMs: monitor.max / 1e6,
    monitorP99Ms: monitor.percentile(99) / 1e6,
    utilization,
  }
}

const { embed, firstOf } = await implementations[name]()
process.send('ready')
for (;;) {
  const [{ watched, first }] = await once(process, 'message')
  if (watched !== undefined) process.send(await watch(() => embed(watched)))
  else if (first !== undefined) process.send({ vector: await firstOf(first).then((vector) => vector && [...vector]) })
  else break
}
process.exit(0)
