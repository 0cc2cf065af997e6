// Asks: what does one text cost on one thread with each of the four known models, compared with sentence-transformers on the same weights?

import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { convertModel } from '../dist/convert/index.js'
import { Embedder } from '../dist/index.js'
import { KNOWN_MODELS } from '../dist/internals.js'
import { runBench } from './harness/command.mjs'
import { temporaryFolder } from './harness/model-copies.mjs'
import { hasSentenceTransformers, startSentenceTransformers } from './harness/sentence-transformers.mjs'
import { assertSameVector } from './harness/onnxruntime.mjs'
import { summarize } from './harness/statistics.mjs'
import { textsOfLength } from './harness/texts.mjs'

const TITLE = 'Models'
const QUESTION =
  'What does one text cost on one thread with each of the four known models, compared with sentence-transformers on the same weights?'

const MODELS = fileURLToPath(new URL('../build/full-depth', import.meta.url))
const LENGTHS = [16, 64, 128]
const TEXTS_PER_ROUND = 8
/** Enough for a median; long texts on the large models take a quarter of a second each. */
const roundsFor = (tokens, quick) => (quick ? 2 : tokens <= 16 ? 12 : 6)
const NAMES = { bf16: 'gabion, bf16', fp32: 'gabion, fp32', python: 'sentence-transformers, fp32' }

async function measure({ quick, say }) {
  if (!existsSync(MODELS) || !hasSentenceTransformers()) {
    throw new Error('the models with random weights are missing: make them with `npm run setup -- --for test`')
  }
  const measurements = {}
  const info = {}
  for (const { name } of quick ? KNOWN_MODELS.slice(0, 1) : KNOWN_MODELS) {
    const place = await temporaryFolder()
    try {
      say(name)
      const [source, model] = [join(MODELS, name), join(place, name)]
      await convertModel({ source, out: model, precisions: ['fp32', 'bf16'] })
      measurements[name] = await measureModel({ source, model, quick, info })
    } finally {
      await rm(place, { recursive: true })
    }
  }
  return { tables: tablesOf(measurements), notes: notesOf(info), targets: [], measurements }
}

async function measureModel({ source, model, quick, info }) {
  const loaded = {}
  for (const precision of ['bf16', 'fp32']) loaded[precision] = await Embedder.load({ model, precision, threads: 1, cache: false })
  const python = await startSentenceTransformers(source, 1)
  try {
    info.torch = python.torch
    info.instructionSet = loaded.bf16.info.instructionSet
    const probe = 'The first text.'
    for (const precision of ['bf16', 'fp32'])
      assertSameVector(NAMES[precision], Float32Array.from(python.vector), loaded[precision].embedSync(probe))
    const result = {}
    for (const tokens of quick ? LENGTHS.slice(0, 1) : LENGTHS) {
      const texts = textsOfLength(loaded.fp32, tokens, 32)
      const times = { bf16: [], fp32: [], python: [] }
      // Every round measures each implementation, so that drift of the machine affects all equally; the first round is not counted.
      for (let round = 0; round < roundsFor(tokens, quick); round++) {
        const chosen = Array.from({ length: TEXTS_PER_ROUND }, (_, at) => texts[(round * TEXTS_PER_ROUND + at) % texts.length])
        for (const precision of ['bf16', 'fp32']) {
          for (const text of chosen) {
            const start = performance.now()
            loaded[precision].embedSync(text)
            if (round > 0) times[precision].push((performance.now() - start) * 1000)
          }
        }
        const found = await python.times(chosen)
        if (round > 0) times.python.push(...found)
      }
      result[tokens] = Object.fromEntries(
        Object.entries(times).map(([implementation, values]) => [NAMES[implementation], summarize(values)]),
      )
    }
    return result
  } finally {
    python.stop()
    for (const embedder of Object.values(loaded)) embedder.dispose()
  }
}

function tablesOf(measurements) {
  return Object.entries(measurements).map(([name, byLength]) => {
    const lengths = Object.keys(byLength)
    return {
      title: `${name}: p50, milliseconds per text, by tokens`,
      head: ['one thread', ...lengths],
      rows: Object.values(NAMES).map((implementation) => [
        implementation,
        ...lengths.map((tokens) => (byLength[tokens][implementation].p50 / 1000).toFixed(2)),
      ]),
    }
  })
}

function notesOf({ torch, instructionSet }) {
  return [
    `Random weights of the published models' sizes; ${instructionSet}; gabion's cache is off; sentence-transformers on torch ${torch}, one thread, timed inside Python.`,
    `Implementations are interleaved in blocks of ${TEXTS_PER_ROUND} texts; texts from MT-Bench-101 with exactly that many tokens. Vectors were compared first.`,
  ]
}

await runBench(TITLE, QUESTION, measure)
