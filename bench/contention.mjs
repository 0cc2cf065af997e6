// Asks: how steady is one text's latency on an idle machine, and how do busy processes change it?

import { Worker } from 'node:worker_threads'
import { availableParallelism } from 'node:os'
import { runBench } from './harness/command.mjs'
import { loadGabion } from './harness/gabion.mjs'
import { summarize, interleave } from './harness/statistics.mjs'
import { textsOfLength } from './harness/texts.mjs'

const TITLE = 'Contention'
const QUESTION = "How steady is one text's latency on an idle machine, and how do busy threads change it?"

const LENGTHS = [8, 32, 128]
const SPINNERS = 2
const SECONDS = 8
const CALLS_PER_ROUND = 4
/** Target for p99 over p50 without them. */
const STEADY = 1.3
/** A JavaScript loop as long as embedSync: its slowdown next to busy threads is what the operating system's scheduler costs any code. */
const PLAIN = 'a plain loop'
/** Target for a call's growth over that of the plain loop; more than 1 to allow for noise between two measurements of the same thing. */
const AS_PLAIN = 1.1

async function measure({ quick, say }) {
  const embedder = await loadGabion({ threads: 1 })
  const measurements = {}
  for (const tokens of quick ? LENGTHS.slice(0, 1) : LENGTHS) {
    say(`${tokens} tokens`)
    const inputs = textsOfLength(embedder, tokens, 32)
    const embedSync = { name: 'embedSync', call: (text) => embedder.embedSync(text) }
    const warm = summarize(
      (await interleave({ implementations: [embedSync], inputs, rounds: 60, callsPerRound: CALLS_PER_ROUND })).get('embedSync'),
    ).p50
    const steps = stepsFor(warm)
    const implementations = [embedSync, { name: 'embed', call: (text) => embedder.embed(text) }, { name: PLAIN, call: () => spin(steps) }]
    const rounds = Math.ceil(((quick ? 1 : SECONDS) * 1e6) / warm / CALLS_PER_ROUND)
    const run = () => interleave({ implementations, inputs, rounds, callsPerRound: CALLS_PER_ROUND })
    const idle = await run()
    const spinners = await startSpinners(SPINNERS)
    const busy = await run()
    for (const spinner of spinners) await spinner.terminate()
    measurements[tokens] = Object.fromEntries(
      implementations.map(({ name }) => {
        const [alone, loaded] = [idle, busy].map((times) => summarize(times.get(name)))
        return [name, { idle: alone, busy: loaded, grows: loaded.p50 / alone.p50 }]
      }),
    )
  }
  return { tables: [tableOf(measurements)], notes: notesOf(embedder.info), targets: targetsOf(measurements), measurements }
}

let kept = 1
/** Marsaglia's xorshift, `steps` times. */
function spin(steps) {
  let state = kept
  for (let step = 0; step < steps; step++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
  }
  kept = state
}

/** Number of steps that take that long. */
function stepsFor(microseconds) {
  const probe = 200_000
  for (let round = 0; round < 20; round++) spin(probe)
  const times = Array.from({ length: 50 }, () => {
    const start = performance.now()
    spin(probe)
    return (performance.now() - start) * 1000
  })
  return Math.round((probe * microseconds) / summarize(times).p50)
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

function rowsOf(measurements) {
  return Object.entries(measurements).flatMap(([tokens, ofLength]) =>
    Object.entries(ofLength).map(([name, measured]) => ({ name, what: `${tokens} tokens, ${name}`, plain: ofLength[PLAIN], ...measured })),
  )
}

function tableOf(measurements) {
  const ms = (microseconds) => (microseconds / 1000).toFixed(3)
  return {
    title: `Milliseconds per text, on the machine as it is and next to ${SPINNERS} busy threads`,
    head: ['tokens, call', 'p50', 'p99', 'p99 / p50', 'p50 next to them', 'p99 next to them', 'p50 grows'],
    rows: rowsOf(measurements).map(({ what, idle, busy, grows }) => [
      what,
      ...[idle.p50, idle.p99].map(ms),
      (idle.p99 / idle.p50).toFixed(2),
      ...[busy.p50, busy.p99].map(ms),
      `${grows.toFixed(2)} ×`,
    ]),
  }
}

function targetsOf(measurements) {
  const calls = rowsOf(measurements).filter(({ name }) => name !== PLAIN)
  return calls.flatMap(({ what, idle, grows, plain }) => [
    { what: `${what}, p99 of p50`, value: idle.p99 / idle.p50, limit: STEADY, unit: '×', met: idle.p99 / idle.p50 <= STEADY },
    {
      what: `${what}, p50 next to ${SPINNERS} busy threads, against ${PLAIN}'s ${plain.grows.toFixed(2)} ×`,
      value: grows,
      limit: Number((AS_PLAIN * plain.grows).toFixed(2)),
      unit: '×',
      met: grows <= AS_PLAIN * plain.grows,
    },
  ])
}

function notesOf({ model, precision, instructionSet }) {
  const processors = availableParallelism()
  const share = Math.min(1, processors / (SPINNERS + 1))
  return [
    `${model}, ${precision}, ${instructionSet}, one encoder thread, cache off, ${SECONDS} s per call and state, the three interleaved; ${processors} processors. An even share of them next to ${SPINNERS} others would be ${(100 * share).toFixed(0)} % of one; what the machine's scheduler gives is what ${PLAIN} gets, JavaScript that computes for as long as embedSync does.`,
  ]
}

await runBench(TITLE, QUESTION, measure)
