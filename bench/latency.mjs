// Asks: what does one text cost on one thread, from the string to the vector, compared with ONNX Runtime on the same graph file?

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runBench } from './harness/command.mjs'
import { loadGabion } from './harness/gabion.mjs'
import { standardGraph, withoutFusedGraphs } from './harness/model-copies.mjs'
import { assertSameVector, idsTensor, loadTokenizer, meanPooled, openSession, textEncoder } from './harness/onnxruntime.mjs'
import { summarize, interleave } from './harness/statistics.mjs'
import { textsOfLength } from './harness/texts.mjs'

const TITLE = 'Latency'
const QUESTION = 'What does one text cost on one thread, from the string to the vector, compared with ONNX Runtime on the same graph file?'

const LENGTHS = [8, 16, 32, 64, 128, 256]
/** The full fp32 graphs and one of ONNX Runtime's integer operators, made by the test set-up; skipped where they are missing. */
const REFERENCE = fileURLToPath(new URL('../build/models/all-MiniLM-L6-v2', import.meta.url))
const INT8_GRAPH = join(REFERENCE, 'onnx', 'model_int8.onnx')
const CALLS_PER_ROUND = 4
const TEXTS = 64

const NAMES = {
  sync: 'gabion embedSync',
  async: 'gabion embed',
  syncSame: 'gabion embedSync, graph of standard operators',
  asyncSame: 'gabion embed, graph of standard operators',
  int8: 'gabion embedSync, int8',
  fp32: 'gabion embedSync, fp32',
  bare: 'onnxruntime-node, ids in, hidden states out',
  bareInt8: 'onnxruntime-node, int8 graph, ids in',
  whole: 'onnxruntime-node, text in, vector out',
  wholeInt8: 'onnxruntime-node, int8 graph, text in, vector out',
}

/** Largest allowed ratio of a gabion precision's p50 to a baseline's, from a text to its vector. */
const LIMITS = [
  { ours: NAMES.int8, theirs: [NAMES.whole, NAMES.wholeInt8], limit: (tokens) => (tokens <= 64 ? 0.6 : 0.7) },
  { ours: NAMES.sync, theirs: [NAMES.whole, NAMES.wholeInt8], limit: (tokens) => (tokens <= 32 ? 1 : 1.1) },
  { ours: NAMES.fp32, theirs: [NAMES.whole], limit: (tokens) => (tokens <= 32 ? 0.6 : 0.85) },
]

/** Rounds per length: enough calls for a p99, in time that grows more slowly than the texts. */
const roundsFor = (tokens, quick) => (quick ? 2 : tokens <= 32 ? 100 : Math.ceil(3840 / tokens))

/** The first and shortest length also warms up the JIT for the JavaScript around the runs. */
const warmUpRounds = (tokens, quick) => (quick ? 1 : tokens === LENGTHS[0] ? 100 : 5)

async function measure({ quick, say }) {
  const embedder = await loadGabion({ threads: 1 })
  const { folder, dimensions } = embedder.info
  const copy = await withoutFusedGraphs(folder)
  try {
    const standard = copy === null ? null : await loadGabion({ threads: 1, model: copy.folder })
    const session = await openSession(standardGraph(folder), 1)
    const int8 = await loadGabion({ threads: 1, precision: 'int8' })
    const int8Session = existsSync(INT8_GRAPH) ? await openSession(INT8_GRAPH, 1) : null
    const tokenize = loadTokenizer(folder)
    const encode = textEncoder(session, tokenize, dimensions)
    const encodeInt8 = int8Session === null ? null : textEncoder(int8Session, tokenize, dimensions)
    const fp32 = existsSync(REFERENCE) ? await loadGabion({ threads: 1, precision: 'fp32', model: REFERENCE }) : null
    const measurements = {}
    for (const tokens of quick ? [8, 64] : LENGTHS) {
      say(`${tokens} tokens`)
      const texts = textsOfLength(embedder, tokens, TEXTS)
      const inputs = texts.map((text) => ({ text, feeds: { input_ids: idsTensor(embedder.tokenize(text).ids) } }))
      await check(inputs[0], { embedder, session, encode, tokens })
      const implementations = [
        { name: NAMES.sync, call: ({ text }) => embedder.embedSync(text) },
        { name: NAMES.async, call: ({ text }) => embedder.embed(text) },
        ...(standard === null
          ? []
          : [
              { name: NAMES.syncSame, call: ({ text }) => standard.embedSync(text) },
              { name: NAMES.asyncSame, call: ({ text }) => standard.embed(text) },
            ]),
        { name: NAMES.bare, call: ({ feeds }) => session.run(feeds) },
        { name: NAMES.int8, call: ({ text }) => int8.embedSync(text) },
        ...(int8Session === null ? [] : [{ name: NAMES.bareInt8, call: ({ feeds }) => int8Session.run(feeds) }]),
        { name: NAMES.whole, call: ({ text }) => encode(text) },
        ...(encodeInt8 === null ? [] : [{ name: NAMES.wholeInt8, call: ({ text }) => encodeInt8(text) }]),
        ...(fp32 === null ? [] : [{ name: NAMES.fp32, call: ({ text }) => fp32.embedSync(text) }]),
      ]
      await interleave({ implementations, inputs, rounds: warmUpRounds(tokens, quick), callsPerRound: CALLS_PER_ROUND })
      const times = await interleave({ implementations, inputs, rounds: roundsFor(tokens, quick), callsPerRound: CALLS_PER_ROUND })
      measurements[tokens] = Object.fromEntries([...times].map(([name, values]) => [name, summarize(values)]))
    }
    return { tables: tablesOf(measurements), notes: notesOf(embedder.info, standard), targets: targetsOf(measurements), measurements }
  } finally {
    await copy?.remove()
  }
}

/** All implementations must compute the same thing. */
async function check({ text, feeds }, { embedder, session, encode, tokens }) {
  const vector = embedder.embedSync(text)
  assertSameVector(NAMES.whole, vector, await encode(text))
  const { last_hidden_state: hidden } = await session.run(feeds)
  assertSameVector(NAMES.bare, vector, meanPooled(hidden.data, tokens, vector.length))
}

function targetsOf(measurements) {
  return LIMITS.flatMap(({ ours, theirs, limit }) =>
    Object.entries(measurements).flatMap(([tokens, times]) => {
      const baselines = theirs.filter((name) => name in times)
      if (!(ours in times) || baselines.length === 0) return []
      const value = times[ours].p50 / Math.min(...baselines.map((name) => times[name].p50))
      const most = limit(Number(tokens))
      return [{ what: `${ours}, ${tokens} tokens, relative to the best baseline`, value, limit: most, unit: '×', met: value <= most }]
    }),
  )
}

function tablesOf(measurements) {
  const lengths = Object.keys(measurements)
  const names = Object.keys(measurements[lengths[0]])
  const ms = (microseconds) => (microseconds / 1000).toFixed(microseconds < 10_000 ? 3 : 2)
  return ['p50', 'p90', 'p99', 'min'].map((statistic) => ({
    title: `${statistic}, milliseconds per text, by tokens`,
    head: ['one thread', ...lengths],
    rows: names.map((name) => [name, ...lengths.map((tokens) => ms(measurements[tokens][name][statistic]))]),
  }))
}

function notesOf({ model, precision, instructionSet }, standard) {
  const graph =
    standard === null
      ? 'one graph file of standard operators for all'
      : 'gabion with its own encoder operator, and with the graph file of standard operators that onnxruntime-node runs, over the same weights; int8 rows: gabion quantizes the same weights itself, onnxruntime-node runs the graph of integer operators that the converter makes'
  return [
    `${model}, ${precision} weights: ${graph}; ${instructionSet}; gabion's cache is off.`,
    `Implementations are interleaved in blocks of ${CALLS_PER_ROUND} timed calls after one untimed call, all in one process; ${TEXTS} different texts per length, from MT-Bench-101, with exactly that many tokens.`,
    'onnxruntime-node: one intra-op thread, memory pattern off, the same optimizers disabled, tensors of ids made beforehand ("ids in") or made by @huggingface/tokenizers, with mean pooling and normalizing in JavaScript ("text in").',
  ]
}

await runBench(TITLE, QUESTION, measure)
