// Asks: what does a call cost beside tokenizing and the bare run of ONNX Runtime, on this thread and off it?

import { join } from 'node:path'
import { runBench } from './rig/command.mjs'
import { loadGabion, watchNativeTimes } from './rig/gabion.mjs'
import { idsTensor, openBinding, openSession } from './rig/onnxruntime.mjs'
import { quantile, summarize, takeTurns } from './rig/statistics.mjs'
import { textsOfLength } from './rig/texts.mjs'
import { makeTinyModel } from './rig/tiny-model.mjs'

const TITLE = 'Boundary'
const QUESTION = 'What does a call cost beside tokenizing and the bare run of ONNX Runtime, on this thread and off it?'

const TEXTS = 64
const CALLS_PER_TURN = 10
const MARKS = { sync: 30, async: 60 }

const NAMES = {
  sync: 'gabion embedSync',
  async: 'gabion embed',
  binding: 'onnxruntime-node, binding called directly',
  session: 'onnxruntime-node, session.run',
}

async function measure({ quick, say }) {
  const nativeTimes = watchNativeTimes()
  const tiny = await makeTinyModel()
  try {
    const models = [
      {
        name: 'tiny',
        embedder: await loadGabion({ threads: 1, model: tiny.folder }),
        graphFile: tiny.graphFile,
        lengths: [8, 64],
        turns: 200,
      },
      { name: 'bundled', embedder: await loadGabion({ threads: 1 }), lengths: [8, 64, 256], turns: 20 },
    ]
    models[1].graphFile = join(models[1].embedder.info.folder, 'onnx', `model_${models[1].embedder.info.precision}.onnx`)
    const measurements = []
    for (const { name, embedder, graphFile, lengths, turns } of models) {
      for (const tokens of quick ? lengths.slice(0, 1) : lengths) {
        say(`${name} model, ${tokens} tokens`)
        const measured = await measureOne({ embedder, graphFile, tokens, turns: quick ? Math.ceil(turns / 10) : turns, nativeTimes })
        measurements.push({ model: name, tokens, ...measured })
      }
    }
    return { tables: tablesOf(measurements), notes: NOTES, marks: marksOf(measurements), measurements }
  } finally {
    await tiny.remove()
  }
}

async function measureOne({ embedder, graphFile, tokens, turns, nativeTimes }) {
  const session = await openSession(graphFile, 1)
  const runBinding = openBinding(graphFile, 1)
  const inputs = textsOfLength(embedder, tokens, TEXTS).map((text) => ({
    text,
    feeds: { input_ids: idsTensor(embedder.tokenize(text).ids) },
  }))
  const parts = new Map([NAMES.sync, NAMES.async].map((name) => [name, { tokenize: [], encode: [], queue: [], rest: [] }]))
  const noteParts = (name) => (microseconds) => {
    const { tokenizeUs, queueUs, encodeUs } = nativeTimes()
    const { tokenize, encode, queue, rest } = parts.get(name)
    tokenize.push(tokenizeUs)
    encode.push(encodeUs)
    queue.push(queueUs)
    rest.push(microseconds - tokenizeUs - encodeUs)
  }
  const contenders = [
    { name: NAMES.sync, call: ({ text }) => embedder.embedSync(text), after: noteParts(NAMES.sync) },
    { name: NAMES.async, call: ({ text }) => embedder.embed(text), after: noteParts(NAMES.async) },
    { name: NAMES.binding, call: ({ feeds }) => runBinding(feeds) },
    { name: NAMES.session, call: ({ feeds }) => session.run(feeds) },
  ]
  await takeTurns({ contenders, inputs, turns: Math.ceil(turns / 4), callsPerTurn: CALLS_PER_TURN })
  for (const lists of parts.values()) for (const list of Object.values(lists)) list.length = 0
  const times = await takeTurns({ contenders, inputs, turns, callsPerTurn: CALLS_PER_TURN })

  const totals = Object.fromEntries([...times].map(([name, values]) => [name, summarize(values)]))
  const bare = totals[NAMES.binding].p50
  const ours = Object.fromEntries(
    [...parts].map(([name, lists]) => {
      const tokenizing = quantile(lists.tokenize, 0.5)
      const beyondBare = totals[name].p50 - tokenizing - bare
      return [name, { ...Object.fromEntries(Object.entries(lists).map(([part, list]) => [part, summarize(list)])), beyondBare }]
    }),
  )
  return { totals, ours }
}

function tablesOf(measurements) {
  const us = (value) => value.toFixed(1)
  return [
    {
      title: "Where a gabion call's time goes, microseconds, p50",
      head: ['model, tokens, call', 'whole call', 'tokenizing', 'encoding', 'the rest', 'rest p90', 'rest p99', 'beyond the bare run'],
      rows: measurements.flatMap(({ model, tokens, totals, ours }) =>
        Object.entries(ours).map(([name, { tokenize, encode, rest, beyondBare }]) => [
          `${model}, ${tokens}, ${name}`,
          ...[totals[name].p50, tokenize.p50, encode.p50, rest.p50, rest.p90, rest.p99, beyondBare].map(us),
        ]),
      ),
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

/** The worst of all models and lengths counts. */
function marksOf(measurements) {
  return Object.entries(MARKS).map(([call, limit]) => {
    const value = Math.max(...measurements.map(({ ours }) => ours[NAMES[call]].rest.p50))
    return { what: `${NAMES[call]}, the rest of a call, p50 at any length`, value, limit, unit: 'µs', met: value <= limit }
  })
}

const NOTES = [
  '"The rest" is taken call by call: the time a caller waits, less what native code reports of the same call for tokenizing and for encoding (tensors, run, pooling, normalising). It is what crossing from JavaScript costs: arguments, results, and for `embed` two wake-ups of threads, the queue and the promise.',
  '"Beyond the bare run" is a difference of medians: whole call, less tokenizing, less onnxruntime-node\'s binding called directly on the same graph with tensors made beforehand. It counts pooling as overhead and gives back what that binding spends itself; for the bundled model it is a small difference of large numbers.',
  'The tiny model has one layer of width 32 and the bundled tokenizer. Contenders take turns in one process; texts are real, different, and of exactly that many tokens.',
]

await runBench(TITLE, QUESTION, measure)
