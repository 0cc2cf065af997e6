// Asks: how long does the event loop stall while 256 texts are embedded?

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { makeBatchedModel } from './harness/batched-graph.mjs'
import { runBench } from './harness/command.mjs'
import { loadGabion } from './harness/gabion.mjs'
import { assertSameVector } from './harness/onnxruntime.mjs'
import { mixedTexts } from './harness/texts.mjs'

const TITLE = 'Event loop'
const QUESTION = 'How long does the event loop stall while 256 texts of mixed length are embedded?'

const IMPLEMENTATIONS = ['idle', 'gabion', 'transformers.js', 'onnxruntime-node']
const CHILD = fileURLToPath(new URL('harness/event-loop-child.mjs', import.meta.url))
const TARGET_MS = 5

async function measure({ quick, say }) {
  const embedder = await loadGabion({ threads: 1 })
  const { texts } = mixedTexts(embedder, quick ? 32 : 256)
  // Batches need least padding when sorted by length; gabion orders its texts itself.
  texts.sort((a, b) => embedder.tokenize(a).totalTokenCount - embedder.tokenize(b).totalTokenCount)
  const model = await makeBatchedModel(embedder.info.folder)
  const rounds = quick ? 1 : 5
  const cores = availableParallelism()
  const measurements = []
  try {
    for (const threads of new Set(quick ? [cores] : [1, cores])) {
      const running = []
      for (const name of IMPLEMENTATIONS) running.push(await start({ name, threads, embedder, model, texts }))
      for (let round = -1; round < rounds; round++) {
        say(`${threads} threads, ${round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`}`)
        for (const { ask, runs } of running) {
          const run = await ask({ watched: texts })
          if (round >= 0) runs.push(run)
        }
      }
      for (const { name, runs, end } of running) {
        await end()
        measurements.push({ name, threads, runs })
      }
    }
  } finally {
    await model.remove()
  }
  return {
    tables: tablesOf(measurements, texts.length),
    notes: notesOf(texts.length, rounds),
    targets: targetsOf(measurements),
    measurements,
  }
}

/** Starts an implementation's process and checks that it computes what gabion computes, with a longer text in the same batch. */
async function start({ name, threads, embedder, model, texts }) {
  const { folder, dimensions } = embedder.info
  const child = fork(CHILD, [name, threads, folder, model.parent, model.name, model.graphFile, dimensions].map(String))
  child.on('exit', (code) => {
    if (code !== 0) throw new Error(`the process of ${name} ended with code ${code}`)
  })
  const ask = async (question) => {
    child.send(question)
    const [answer] = await once(child, 'message')
    return answer
  }
  await once(child, 'message')
  const pair = [texts[0], texts.at(-1)]
  const { vector } = await ask({ first: pair })
  if (vector !== null) assertSameVector(name, await embedder.embed(pair[0]), vector)
  const end = async () => {
    child.send({})
    await once(child, 'exit')
  }
  return { name, runs: [], ask, end }
}

const worst = (runs, key) => Math.max(...runs.map((run) => run[key]))
const mean = (runs, key) => runs.reduce((sum, run) => sum + run[key], 0) / runs.length

function tablesOf(measurements, count) {
  return [
    {
      title: `While ${count} texts are embedded, milliseconds`,
      head: ['implementation, threads', 'longest stall', 'longest, by Node', 'p99, by Node', 'loop busy', 'embedding took'],
      rows: measurements.map(({ name, threads, runs }) => [
        name === 'idle' ? 'idle: nothing is embedded' : `${name}, ${threads}`,
        ...['longestStallMs', 'monitorMaxMs', 'monitorP99Ms'].map((key) => worst(runs, key).toFixed(1)),
        `${(100 * mean(runs, 'utilization')).toFixed(0)} %`,
        mean(runs, 'totalMs').toFixed(0),
      ]),
    },
  ]
}

function targetsOf(measurements) {
  const value = Math.max(...measurements.filter(({ name }) => name === 'gabion').map(({ runs }) => worst(runs, 'longestStallMs')))
  return [{ what: 'gabion, longest stall at any thread count', value, limit: TARGET_MS, unit: 'ms', met: value < TARGET_MS }]
}

function notesOf(count, rounds) {
  return [
    `Longest of ${rounds} rounds, the implementations interleaved, each in its own process; a warm-up round is not counted. A stall is the delay of a 1 ms timer beyond its millisecond. "By Node" is perf_hooks.monitorEventLoopDelay at resolution 1, which counts that millisecond too.`,
    `${count} different texts from MT-Bench-101, sorted by length; one call of embedBatch, against batches of 32 with padding and mask, which is how the others are fast. Same weights, same fused operators, same threads for all.`,
    'onnxruntime-node and transformers.js run the model on the event loop itself. gabion only submits texts and receives vectors there; what remains, with as many encoder threads as processors, is the time until the operating system preempts one of them: about one scheduler tick at worst (4 ms at 250 Hz).',
  ]
}

await runBench(TITLE, QUESTION, measure)
