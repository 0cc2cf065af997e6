// Asks: how steady is one text's latency on an idle machine, and what do processes that never rest do to it?

import { Worker } from 'node:worker_threads'
import { availableParallelism } from 'node:os'
import { runBench } from './rig/command.mjs'
import { loadGabion } from './rig/gabion.mjs'
import { summarize } from './rig/statistics.mjs'
import { textsOfLength } from './rig/texts.mjs'

const TITLE = 'Contention'
const QUESTION = "How steady is one text's latency on an idle machine, and what do threads that never rest do to it?"

const LENGTHS = [8, 32, 128]
const SPINNERS = 2
const SECONDS = 8
/** Wanted of p99 over p50 without them. */
const STEADY = 1.3

async function measure({ quick, say }) {
  const embedder = await loadGabion({ threads: 1 })
  const ways = [
    { name: 'embedSync', call: (text) => embedder.embedSync(text) },
    { name: 'embed', call: (text) => embedder.embed(text) },
  ]
  const measurements = {}
  for (const tokens of quick ? LENGTHS.slice(0, 1) : LENGTHS) {
    const texts = textsOfLength(embedder, tokens, 32)
    for (const { name, call } of ways) {
      say(`${tokens} tokens, ${name}`)
      await timed(call, texts, 1)
      const idle = summarize(await timed(call, texts, quick ? 1 : SECONDS))
      const spinners = await startSpinners(SPINNERS)
      const busy = summarize(await timed(call, texts, quick ? 1 : SECONDS))
      for (const spinner of spinners) await spinner.terminate()
      measurements[`${tokens} tokens, ${name}`] = { idle, busy }
    }
  }
  return { tables: [tableOf(measurements)], notes: notesOf(embedder.info), marks: marksOf(measurements), measurements }
}

async function timed(call, texts, seconds) {
  const times = []
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const start = performance.now()
    const result = call(texts[times.length % texts.length])
    if (result instanceof Promise) await result
    times.push((performance.now() - start) * 1000)
  }
  return times
}

async function startSpinners(count) {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const worker = new Worker('for (;;);', { eval: true })
      await new Promise((resolve) => worker.once('online', resolve))
      return worker
    }),
  )
}

function tableOf(measurements) {
  const ms = (microseconds) => (microseconds / 1000).toFixed(3)
  return {
    title: `Milliseconds a text, on the machine as it is and beside ${SPINNERS} threads that never rest`,
    head: ['tokens, call', 'p50', 'p99', 'p99 / p50', 'p50 beside them', 'p99 beside them', 'p50 grows'],
    rows: Object.entries(measurements).map(([name, { idle, busy }]) => [
      name,
      ...[idle.p50, idle.p99].map(ms),
      (idle.p99 / idle.p50).toFixed(2),
      ...[busy.p50, busy.p99].map(ms),
      `${(busy.p50 / idle.p50).toFixed(2)} ×`,
    ]),
  }
}

/** A thread that shares the processors evenly with the others gets this part of one. */
const share = Math.min(1, availableParallelism() / (SPINNERS + 1))

function marksOf(measurements) {
  return Object.entries(measurements).flatMap(([name, { idle, busy }]) => [
    { what: `${name}, p99 of p50`, value: idle.p99 / idle.p50, limit: STEADY, unit: '×', met: idle.p99 / idle.p50 <= STEADY },
    {
      what: `${name}, p50 beside ${SPINNERS} busy threads`,
      value: busy.p50 / idle.p50,
      limit: Number((1 / share).toFixed(2)),
      unit: '×',
      met: busy.p50 / idle.p50 <= 1 / share,
    },
  ])
}

function notesOf({ model, precision, instructionSet }) {
  return [
    `${model}, ${precision}, ${instructionSet}, one encoder thread, cache off, ${SECONDS} s each; ${availableParallelism()} processors. An even share of them beside ${SPINNERS} others is ${(100 * share).toFixed(0)} % of one.`,
  ]
}

await runBench(TITLE, QUESTION, measure)
