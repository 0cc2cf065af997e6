// Asks: what does one text cost on one thread, from the string to the vector, beside ONNX Runtime on the same graph file?

import { join } from 'node:path'
import { runBench } from './rig/command.mjs'
import { loadGabion } from './rig/gabion.mjs'
import { assertSameVector, idsTensor, loadTokenizer, meanPooled, openSession, textEncoder } from './rig/onnxruntime.mjs'
import { summarize, takeTurns } from './rig/statistics.mjs'
import { textsOfLength } from './rig/texts.mjs'

const TITLE = 'Latency'
const QUESTION = 'What does one text cost on one thread, from the string to the vector, beside ONNX Runtime on the same graph file?'

const LENGTHS = [8, 16, 32, 64, 128, 256]
const CALLS_PER_TURN = 4
const TEXTS = 64

const NAMES = {
  sync: 'gabion embedSync',
  async: 'gabion embed',
  bare: 'onnxruntime-node, ids in, hidden states out',
  whole: 'onnxruntime-node, text in, vector out',
}

/** Calls of each contender: enough for a p99, in time that grows slower than the texts. */
const turnsFor = (tokens, quick) => (quick ? 2 : tokens <= 64 ? 100 : 50)

async function measure({ quick, say }) {
  const embedder = await loadGabion({ threads: 1 })
  const { folder, precision, dimensions } = embedder.info
  const session = await openSession(join(folder, 'onnx', `model_${precision}.onnx`), 1)
  const tokenize = loadTokenizer(folder)
  const encode = textEncoder(session, tokenize, dimensions)

  const measurements = {}
  for (const tokens of quick ? [8, 64] : LENGTHS) {
    say(`${tokens} tokens`)
    const inputs = textsOfLength(embedder, tokens, TEXTS).map((text) => ({
      text,
      feeds: { input_ids: idsTensor(embedder.tokenize(text).ids) },
    }))
    await check(inputs[0], { embedder, session, encode, tokens })
    const contenders = [
      { name: NAMES.sync, call: ({ text }) => embedder.embedSync(text) },
      { name: NAMES.async, call: ({ text }) => embedder.embed(text) },
      { name: NAMES.bare, call: ({ feeds }) => session.run(feeds) },
      { name: NAMES.whole, call: ({ text }) => encode(text) },
    ]
    await takeTurns({ contenders, inputs, turns: quick ? 1 : 10, callsPerTurn: CALLS_PER_TURN })
    const times = await takeTurns({ contenders, inputs, turns: turnsFor(tokens, quick), callsPerTurn: CALLS_PER_TURN })
    measurements[tokens] = Object.fromEntries([...times].map(([name, values]) => [name, summarize(values)]))
  }
  return { tables: tablesOf(measurements), notes: notesOf(embedder.info), marks: [], measurements }
}

/** All contenders must compute the same thing. */
async function check({ text, feeds }, { embedder, session, encode, tokens }) {
  const vector = embedder.embedSync(text)
  assertSameVector(NAMES.whole, vector, await encode(text))
  const { last_hidden_state: hidden } = await session.run(feeds)
  assertSameVector(NAMES.bare, vector, meanPooled(hidden.data, tokens, vector.length))
}

function tablesOf(measurements) {
  const lengths = Object.keys(measurements)
  const ms = (microseconds) => (microseconds / 1000).toFixed(microseconds < 10_000 ? 3 : 2)
  return ['p50', 'p90', 'p99', 'min'].map((statistic) => ({
    title: `${statistic}, milliseconds a text, by tokens`,
    head: ['one thread', ...lengths],
    rows: Object.values(NAMES).map((name) => [name, ...lengths.map((tokens) => ms(measurements[tokens][name][statistic]))]),
  }))
}

function notesOf({ model, precision, instructionSet }) {
  return [
    `${model}, the bundled ${precision} graph for all; ${instructionSet}; gabion's cache is off.`,
    `Contenders take turns of ${CALLS_PER_TURN} timed calls after one untimed one, all in one process; ${TEXTS} different texts a length, from MT-Bench-101, with exactly that many tokens.`,
    'onnxruntime-node: one intra-op thread, memory pattern off, the same optimizers disabled, tensors of ids made beforehand ("ids in") or made by @huggingface/tokenizers, with mean pooling and normalising in JavaScript ("text in").',
  ]
}

await runBench(TITLE, QUESTION, measure)
