// Asks: how many texts per second, with one thread and with two, compared with ONNX Runtime one text at a time?

import { availableParallelism } from 'node:os'
import { runBench } from './harness/command.mjs'
import { loadGabion } from './harness/gabion.mjs'
import { standardGraph } from './harness/model-copies.mjs'
import { assertSameVector, loadTokenizer, openSession, textEncoder } from './harness/onnxruntime.mjs'
import { quantile } from './harness/statistics.mjs'
import { mixedTexts } from './harness/texts.mjs'

const TITLE = 'Throughput'
const QUESTION = 'How many texts per second, with one thread and with two, compared with ONNX Runtime one text at a time?'

const NAMES = {
  batch: 'gabion embedBatch',
  one: 'gabion embed, one at a time',
  ort: 'onnxruntime-node, one at a time',
}

async function measure({ quick, say }) {
  const measurements = []
  const rounds = quick ? 1 : 3
  let chosen
  let info
  for (const threads of [1, 2].filter((count) => count <= availableParallelism())) {
    const embedder = await loadGabion({ threads })
    ;({ info } = embedder)
    chosen ??= mixedTexts(embedder, quick ? 20 : 1000, 2)
    const session = await openSession(standardGraph(info.folder), threads)
    const encode = textEncoder(session, loadTokenizer(info.folder), info.dimensions)
    const oneAtATime = (embed) => async (texts) => {
      for (const text of texts) await embed(text)
    }
    const implementations = [
      { name: NAMES.batch, embed: (texts) => embedder.embedBatch(texts) },
      // A text runs on one thread: more threads change nothing here.
      ...(threads === 1 ? [{ name: NAMES.one, embed: oneAtATime((text) => embedder.embed(text)) }] : []),
      { name: NAMES.ort, embed: oneAtATime(encode) },
    ]
    assertSameVector(NAMES.ort, await embedder.embed(chosen.texts[0]), await encode(chosen.texts[0]))
    for (const { embed } of implementations) await embed(chosen.texts.slice(0, 20))
    const seconds = new Map(implementations.map(({ name }) => [name, []]))
    for (let round = 0; round < rounds; round++) {
      say(`${threads} threads, round ${round + 1} of ${rounds}`)
      for (const { name, embed } of implementations) {
        const start = performance.now()
        await embed(chosen.texts)
        seconds.get(name).push((performance.now() - start) / 1000)
      }
    }
    for (const [name, times] of seconds) measurements.push({ name, threads, seconds: times })
    embedder.dispose()
    await session.release()
  }
  return { tables: [tableOf(measurements, chosen)], notes: notesOf(info, chosen, rounds), targets: [], measurements }
}

function tableOf(measurements, { texts, tokens }) {
  return {
    title: 'Texts and tokens per second, median of the rounds',
    head: ['implementation, threads', 'texts/s', 'tokens/s'],
    rows: measurements.map(({ name, threads, seconds }) => {
      const median = quantile(seconds, 0.5)
      return [`${name}, ${threads}`, (texts.length / median).toFixed(1), (tokens / median).toFixed(0)]
    }),
  }
}

function notesOf({ model, precision }, { texts, tokens }, rounds) {
  return [
    `${model}, ${precision} weights for all; gabion's cache is off.`,
    `${texts.length} different texts from MT-Bench-101, ${(tokens / texts.length).toFixed(0)} tokens on average, none longer than the model reads; ${rounds} rounds, the implementations interleaved.`,
    'onnxruntime-node: that many intra-op threads, each text at its own length without padding, @huggingface/tokenizers, mean pooling and normalizing in JavaScript.',
  ]
}

await runBench(TITLE, QUESTION, measure)
