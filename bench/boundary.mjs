// Asks: what does a call cost on top of tokenizing and the bare run of ONNX Runtime, synchronously and asynchronously?

import { execFileSync } from 'node:child_process'
import { runBench } from './harness/command.mjs'
import { loadGabion, watchNativeTimes } from './harness/gabion.mjs'
import { standardGraph, withoutFusedGraphs } from './harness/model-copies.mjs'
import { buildProgram } from './harness/native.mjs'
import { idsTensor, openBinding, openSession } from './harness/onnxruntime.mjs'
import { differenceByRounds, quantile, summarize, interleave } from './harness/statistics.mjs'
import { textsOfLength } from './harness/texts.mjs'
import { makeTinyModel } from './harness/tiny-model.mjs'

const TITLE = 'Boundary'
const QUESTION = 'What does a call cost on top of tokenizing and the bare run of ONNX Runtime, synchronously and asynchronously?'

const TEXTS = 64
const CALLS_PER_ROUND = 5

const NAMES = {
  sync: 'gabion embedSync',
  async: 'gabion embed',
  binding: 'onnxruntime-node, binding called directly',
  session: 'onnxruntime-node, session.run',
}
const LIMITS_US = { [NAMES.sync]: 30, [NAMES.async]: 60 }
/** Target for embed over embedSync. */
const ASYNC_LIMIT_US = 40

async function measure({ quick, say }) {
  const nativeTimes = watchNativeTimes()
  const tiny = await makeTinyModel()
  const { folder } = (await loadGabion({ threads: 1 })).info
  const copy = await withoutFusedGraphs(folder)
  try {
    const bundled = copy?.folder ?? folder
    const models = [
      { name: 'tiny', folder: tiny.folder, graphFile: tiny.graphFile, lengths: [8, 64], rounds: 600 },
      { name: 'bundled', folder: bundled, graphFile: standardGraph(bundled), lengths: [8, 64, 256], rounds: 24 },
    ]
    const measurements = []
    for (const { name: model, folder: modelFolder, graphFile, lengths, rounds } of models) {
      const embedder = await loadGabion({ threads: 1, model: modelFolder })
      for (const tokens of quick ? lengths.slice(0, 1) : lengths) {
        say(`${model} model, ${tokens} tokens`)
        const measured = await measureOne({ embedder, graphFile, tokens, rounds: quick ? Math.ceil(rounds / 10) : rounds, nativeTimes })
        measurements.push({ model, tokens, ...measured })
      }
    }
    say('two bare threads')
    await addHandovers(measurements)
    return { tables: tablesOf(measurements), notes: NOTES, targets: targetsOf(measurements), measurements }
  } finally {
    await tiny.remove()
    await copy?.remove()
  }
}

async function measureOne({ embedder, graphFile, tokens, rounds, nativeTimes }) {
  const session = await openSession(graphFile, 1)
  const runBinding = openBinding(graphFile, 1)
  const inputs = textsOfLength(embedder, tokens, TEXTS).map((text) => ({
    text,
    feeds: { input_ids: idsTensor(embedder.tokenize(text).ids) },
  }))
  const parts = new Map([NAMES.sync, NAMES.async].map((name) => [name, { tokenizing: [], encoding: [], queue: [], rest: [] }]))
  const noteParts = (name) => (microseconds) => {
    const { tokenizeUs, queueUs, encodeUs } = nativeTimes()
    const { tokenizing, encoding, queue, rest } = parts.get(name)
    tokenizing.push(tokenizeUs)
    encoding.push(encodeUs)
    queue.push(queueUs)
    rest.push(microseconds - tokenizeUs - encodeUs)
  }
  const implementations = [
    { name: NAMES.sync, call: ({ text }) => embedder.embedSync(text), after: noteParts(NAMES.sync) },
    { name: NAMES.async, call: ({ text }) => embedder.embed(text), after: noteParts(NAMES.async) },
    { name: NAMES.binding, call: ({ feeds }) => runBinding(feeds) },
    { name: NAMES.session, call: ({ feeds }) => session.run(feeds) },
  ]
  // The tiny model comes first: its many calls also warm up the JIT for the JavaScript around the runs.
  await interleave({ implementations, inputs, rounds: Math.ceil(rounds / 2), callsPerRound: CALLS_PER_ROUND })
  for (const lists of parts.values()) for (const list of Object.values(lists)) list.length = 0
  const times = await interleave({ implementations, inputs, rounds, callsPerRound: CALLS_PER_ROUND })

  const totals = Object.fromEntries([...times].map(([name, values]) => [name, summarize(values)]))
  const ours = Object.fromEntries(
    [...parts].map(([name, lists]) => {
      const tokenizing = quantile(lists.tokenizing, 0.5)
      const { median, low, high } = differenceByRounds(times.get(name), times.get(NAMES.binding), CALLS_PER_ROUND)
      const beyondBare = { median: median - tokenizing, low: low - tokenizing, high: high - tokenizing }
      return [name, { ...Object.fromEntries(Object.entries(lists).map(([part, list]) => [part, summarize(list)])), beyondBare }]
    }),
  )
  return { totals, ours, asyncOverSync: differenceByRounds(times.get(NAMES.async), times.get(NAMES.sync), CALLS_PER_ROUND) }
}

/** Handover time between two otherwise idle threads, with the same pause. */
async function addHandovers(measurements) {
  const program = await buildProgram('thread_handover')
  const pauses = measurements.map(({ totals }) => totals[NAMES.sync].p50.toFixed(1))
  const handovers = JSON.parse(execFileSync(program, pauses, { encoding: 'utf8' }))
  measurements.forEach((one, index) => (one.handover = handovers[index]))
}

function tablesOf(measurements) {
  const us = (value) => value.toFixed(1)
  return [
    {
      title: "Where a gabion call's time goes, microseconds, p50",
      head: ['model, tokens, call', 'whole call', 'tokenizing', 'encoding', 'the rest', 'rest p90', 'rest p99', 'beyond the bare run'],
      rows: measurements.flatMap(({ model, tokens, totals, ours }) =>
        Object.entries(ours).map(
          ([
            name,
            {
              tokenizing,
              encoding,
              rest,
              beyondBare: { median, low, high },
            },
          ]) => [
            `${model}, ${tokens}, ${name}`,
            ...[totals[name].p50, tokenizing.p50, encoding.p50, rest.p50, rest.p90, rest.p99].map(us),
            `${us(median)} (${us(low)} … ${us(high)})`,
          ],
        ),
      ),
    },
    {
      title: 'embed over embedSync, microseconds, next to the handover time of two bare threads after the same pause',
      head: ['model, tokens', 'median (95 %)', 'two bare threads'],
      rows: measurements.map(({ model, tokens, asyncOverSync: { median, low, high }, handover }) => [
        `${model}, ${tokens}`,
        `${us(median)} (${us(low)} … ${us(high)})`,
        us(handover),
      ]),
    },
    {
      title: 'The bare run, microseconds',
      head: ['model, tokens, call', 'min', 'p50', 'p90', 'p99'],
      rows: measurements.flatMap(({ model, tokens, totals }) =>
        [NAMES.binding, NAMES.session].map((name) => {
          const { min, p50, p90, p99 } = totals[name]
          return [`${model}, ${tokens}, ${name}`, ...[min, p50, p90, p99].map(us)]
        }),
      ),
    },
  ]
}

/** The worst length counts. A difference of runs is precise enough to be judged for the tiny model alone. */
function targetsOf(measurements) {
  const worst = (model, valueOf) => Math.max(...measurements.filter((one) => one.model === model).map(valueOf))
  const overSync = worst('tiny', ({ asyncOverSync }) => asyncOverSync.median)
  const calls = Object.entries(LIMITS_US).flatMap(([name, limit]) =>
    [
      { what: `${name}, beyond the bare run, tiny model`, value: worst('tiny', ({ ours }) => ours[name].beyondBare.median) },
      { what: `${name}, the rest of a call, tiny model, p50`, value: worst('tiny', ({ ours }) => ours[name].rest.p50) },
      { what: `${name}, the rest of a call, bundled model, p50`, value: worst('bundled', ({ ours }) => ours[name].rest.p50) },
    ].map((target) => ({ ...target, limit, unit: 'µs', met: target.value <= limit })),
  )
  return [
    ...calls,
    { what: 'embed over embedSync, tiny model', value: overSync, limit: ASYNC_LIMIT_US, unit: 'µs', met: overSync <= ASYNC_LIMIT_US },
  ]
}

const NOTES = [
  '"The rest" is taken call by call: the time a caller waits, less what native code reports of the same call for tokenizing and for encoding (tensors, run, pooling, normalizing). It is what crossing from JavaScript costs: arguments, results, and for `embed` two wake-ups of threads, the queue and the promise.',
  '"Beyond the bare run" is the median over rounds of: whole call, less tokenizing, less onnxruntime-node\'s binding called directly on the same graph file with tensors made beforehand; with its 95 % interval. It counts pooling as overhead and is credited with what that binding spends itself; for the bundled model it is a small difference of large numbers.',
  "The tiny model has one layer of width 32 and the bundled tokenizer: its calls find everything in the processor's caches. A run of the bundled model goes through 42 MB of weights and leaves nothing there, so that every step after it costs several times as much.",
  'Implementations are interleaved in blocks of 5 timed calls after one untimed call, in one process; texts are real, different, and of exactly that many tokens.',
]

await runBench(TITLE, QUESTION, measure)
