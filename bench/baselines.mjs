// Asks: how do latency, throughput and accuracy compare with every other implementation of this model on this processor?

import { readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { spearman } from '../dist/internals.js'
import { runBench } from './harness/command.mjs'
import { loadGabion } from './harness/gabion.mjs'
import { temporaryFolder } from './harness/model-copies.mjs'
import { startChild } from './harness/baselines/child.mjs'
import { implementations } from './harness/baselines/implementations.mjs'
import { setUpBaselines } from './harness/baselines/setup.mjs'
import { cosines } from './harness/baselines/agreement.mjs'
import { quantile, summarize } from './harness/statistics.mjs'
import { mixedTexts, textsOfLength } from './harness/texts.mjs'

const TITLE = 'Baselines'
const QUESTION = 'How do latency, throughput and accuracy compare with every other implementation of this model on this processor?'

const LENGTHS = [8, 16, 32, 64, 128, 256]
const ROUNDS = 3
/** Timed calls of one implementation at one length in one round take about this long, within the bounds below. */
const ROUND_MS = 250
const [MIN_CALLS, MAX_CALLS] = [10, 200]
const REFERENCE = 'sentence-transformers, torch fp32'
const WIDTH = 384

/** Largest allowed ratio of a gabion precision's p50 to that of the best baseline of these kinds, by tokens and threads. */
const LIMITS = [
  { ours: 'gabion, int8', threads: 1, kinds: ['fp32', 'bf16', 'int8'], limit: (tokens) => (tokens <= 64 ? 0.6 : 0.7) },
  { ours: 'gabion, bf16', threads: 1, kinds: ['int8'], limit: (tokens) => (tokens <= 32 ? 1 : 1.1) },
  { ours: 'gabion, fp32', threads: 1, kinds: ['fp32'], limit: (tokens) => (tokens <= 32 ? 0.6 : 0.85) },
  { ours: 'gabion, int8', threads: 2, kinds: ['fp32', 'bf16', 'int8'], limit: (tokens) => (tokens <= 32 ? 0.5 : Infinity) },
]

async function measure({ quick, say }) {
  const failed = await setUpBaselines(say)
  const present = implementations.filter(({ parts }) => !parts.some((part) => failed.has(part)))
  const place = await temporaryFolder()
  try {
    const files = await writeTexts(place, quick)
    const results = new Map(present.map(({ name }) => [name, { latency: {}, throughput: {} }]))
    const missing = new Map()
    for (const [part, reason] of failed) missing.set(part, reason)
    for (const threads of [1, 2].filter((count) => count <= availableParallelism())) {
      await measureThreads({ threads, present, files, results, missing, quick, say, place })
    }
    return {
      tables: tablesOf(results),
      notes: notesOf(files, missing),
      targets: targetsOf(results),
      measurements: { results: Object.fromEntries(results), missing: Object.fromEntries(missing) },
    }
  } finally {
    await rm(place, { recursive: true })
  }
}

async function writeTexts(place, quick) {
  const embedder = await loadGabion({ threads: 1 })
  const files = { lengths: {} }
  const write = async (name, texts) => {
    const file = join(place, `${name}.json`)
    await writeFile(file, JSON.stringify(texts))
    return file
  }
  for (const tokens of quick ? [8, 64] : LENGTHS)
    files.lengths[tokens] = await write(`tokens-${tokens}`, textsOfLength(embedder, tokens, 32))
  const mixed = mixedTexts(embedder, quick ? 40 : 400, 2)
  // Sorted by length, a batch has little padding: the best case for implementations that pad.
  const byLength = [...mixed.texts].sort((a, b) => a.length - b.length)
  files.mixed = { file: await write('mixed', byLength), texts: mixed.texts.length, tokens: mixed.tokens }
  const accuracy = mixedTexts(embedder, quick ? 20 : 1000, 3)
  files.accuracy = { file: await write('accuracy', accuracy.texts), texts: accuracy.texts.length }
  const sentences = parse(await readFile(new URL('../data/stsb-en-test.csv', import.meta.url), 'utf8'))
  const pairs = quick ? sentences.slice(0, 20) : sentences
  files.similarity = {
    file: await write(
      'similarity',
      pairs.flatMap(([first, second]) => [first, second]),
    ),
    scores: pairs.map(([, , score]) => Number(score)),
  }
  embedder.dispose()
  return files
}

async function measureThreads({ threads, present, files, results, missing, quick, say, place }) {
  const running = new Map()
  for (const { name, start } of present) {
    if (missing.has(name)) continue
    try {
      running.set(name, await startChild(start(threads)))
    } catch (error) {
      missing.set(name, error.message)
      results.delete(name)
    }
  }
  const attempt = async (name, work) => {
    try {
      await work(running.get(name))
    } catch (error) {
      missing.set(name, error.message)
      results.delete(name)
      running.delete(name)
    }
  }
  try {
    if (threads === 1) {
      let reference
      for (const { name } of order(present, REFERENCE)) {
        if (!running.has(name)) continue
        say(`${name}: accuracy`)
        await attempt(name, async (child) => {
          const vectors = await embedAll(child, files.accuracy.file, place)
          if (name === REFERENCE) reference = vectors
          results.get(name).accuracy = accuracyOf(
            vectors,
            reference,
            await embedAll(child, files.similarity.file, place),
            files.similarity.scores,
          )
        })
      }
    }
    const samples = new Map(
      [...running.keys()].map((name) => [name, Object.fromEntries(Object.keys(files.lengths).map((tokens) => [tokens, []]))]),
    )
    for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
      say(`${threads} threads, latency, round ${round + 1} of ${quick ? 1 : ROUNDS}`)
      for (const name of [...running.keys()]) {
        await attempt(name, async (child) => {
          for (const [tokens, texts] of Object.entries(files.lengths)) {
            const first = await child.ask({ what: 'calls', texts, calls: quick ? 2 : 8 })
            const calls = Math.round(Math.min(MAX_CALLS, Math.max(MIN_CALLS, (ROUND_MS * 1000) / quantile(first.microseconds, 0.5))))
            const { microseconds } = await child.ask({ what: 'calls', texts, calls: quick ? 2 : calls })
            samples.get(name)[tokens].push(...microseconds)
          }
        })
      }
    }
    for (const name of running.keys()) {
      results.get(name).latency[threads] = Object.fromEntries(
        Object.entries(samples.get(name)).map(([tokens, values]) => [tokens, summarize(values)]),
      )
    }
    for (const { name, batch } of present) {
      if (!running.has(name)) continue
      say(`${threads} threads, throughput: ${name}`)
      await attempt(name, async (child) => {
        const ask = (size) => child.ask({ what: 'all', texts: files.mixed.file, batch: size })
        const seconds = { one: (await ask(1)).seconds, ...(batch === 1 ? {} : { batch: (await ask(batch)).seconds }) }
        results.get(name).throughput[threads] = Object.fromEntries(
          Object.entries(seconds).map(([way, value]) => [way, files.mixed.texts / value]),
        )
      })
    }
  } finally {
    for (const child of running.values()) child.stop()
  }
}

const order = (all, first) => [...all.filter(({ name }) => name === first), ...all.filter(({ name }) => name !== first)]

/** The vectors of a file of texts, row by row. */
async function embedAll(child, texts, place) {
  const out = join(place, 'rows.f32')
  await child.ask({ what: 'all', texts, batch: 1, out })
  const bytes = await readFile(out)
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
}

/** Correlation with human scores of sentence pairs, and cosines to the reference's vectors where there is one. */
function accuracyOf(vectors, reference, pairs, scores) {
  const similarity = spearman(cosines(everySecond(pairs, 0), everySecond(pairs, 1), WIDTH), scores)
  if (reference === undefined) return { similarity }
  const found = cosines(vectors, reference, WIDTH)
  return {
    similarity,
    worst: quantile(found, 0),
    percent: quantile(found, 0.01),
    mean: found.reduce((sum, value) => sum + value) / found.length,
  }
}

function everySecond(rows, first) {
  const count = rows.length / WIDTH / 2
  const half = new Float32Array(count * WIDTH)
  for (let row = 0; row < count; row++) half.set(rows.subarray((2 * row + first) * WIDTH, (2 * row + first + 1) * WIDTH), row * WIDTH)
  return half
}

const milliseconds = (microseconds) => (microseconds / 1000).toFixed(microseconds < 10_000 ? 3 : 2)

function tablesOf(results) {
  const rows = [...results]
  const counts = Object.keys(rows[0][1].latency)
  const lengths = Object.keys(rows[0][1].latency[counts[0]])
  const latency = counts.flatMap((threads) =>
    ['p50', 'p99'].map((statistic) => ({
      title: `${statistic}, milliseconds per text, ${threads === '1' ? 'one thread' : `${threads} threads`}, by tokens`,
      head: ['implementation', ...lengths],
      rows: rows
        .filter(([, { latency }]) => latency[threads] !== undefined)
        .map(([name, { latency }]) => [name, ...lengths.map((tokens) => milliseconds(latency[threads][tokens][statistic]))]),
    })),
  )
  const rate = ({ throughput }, threads) =>
    ['one', 'batch'].map((way) => (throughput[threads]?.[way] === undefined ? '–' : throughput[threads][way].toFixed(0)))
  const throughput = {
    title: 'Texts per second: one at a time, and all at once or in batches',
    head: ['implementation', ...counts.flatMap((threads) => [`one at a time, ${threads}`, `batches, ${threads}`])],
    rows: rows.map(([name, result]) => [name, ...counts.flatMap((threads) => rate(result, threads))]),
  }
  const accuracy = {
    title: `Cosine to the vectors of ${REFERENCE}, and Spearman's correlation on the test part of STS-B`,
    head: ['implementation', 'worst', '1 %', 'mean', 'STS-B'],
    rows: rows
      .filter(([, result]) => result.accuracy !== undefined)
      .map(([name, { accuracy }]) => [
        name,
        ...['worst', 'percent', 'mean'].map((key) => accuracy[key]?.toFixed(6) ?? '–'),
        accuracy.similarity.toFixed(4),
      ]),
  }
  return [...latency, throughput, accuracy]
}

function notesOf({ mixed, accuracy, similarity }, missing) {
  return [
    'Each implementation runs in its own process with that many threads, timed in its own language from the text to the unit vector; implementations are interleaved, ' +
      `${ROUNDS} rounds. gabion: embedSync, and embedBatch for many; cache off.`,
    "onnxruntime, onnxruntime-node: the graphs that gabion's converter makes for them (fused attention, no mask, one text at its true length; int8 of ONNX " +
      "Runtime's integer operators). sentence-transformers, transformers.js, fastembed: their own exports and int8. OpenVINO: int8 by NNCF. CTranslate2: its converter.",
    `Throughput: ${mixed.texts} texts of MT-Bench-101 with ${(mixed.tokens / mixed.texts).toFixed(0)} tokens on average, sorted by length, batches of 32. ` +
      `Accuracy: ${accuracy.texts} other texts, and ${similarity.scores.length} pairs of sentences.`,
    ...[...missing].map(([name, reason]) => `Not measured: ${name} (${reason}).`),
  ]
}

/** The best p50 of the baselines whose arithmetic is one of `kinds`. */
function bestBaseline(results, kinds, threads, tokens) {
  const baselines = implementations.filter(
    ({ own, kind, name }) => own !== true && kinds.includes(kind) && results.get(name)?.latency[threads] !== undefined,
  )
  const times = baselines.map(({ name }) => ({ name, p50: results.get(name).latency[threads][tokens].p50 }))
  return times.reduce((best, one) => (best === null || one.p50 < best.p50 ? one : best), null)
}

function targetsOf(results) {
  const targets = LIMITS.flatMap(({ ours, threads, kinds, limit }) => {
    const own = results.get(ours)?.latency[threads]
    return Object.keys(own ?? {}).flatMap((tokens) => {
      const best = bestBaseline(results, kinds, threads, tokens)
      const most = limit(Number(tokens))
      if (best === null || most === Infinity) return []
      const value = own[tokens].p50 / best.p50
      const what = `${ours}, ${threads === 1 ? 'one thread' : `${threads} threads`}, ${tokens} tokens, relative to ${best.name}`
      return [{ what, value, limit: most, unit: '×', met: value <= most }]
    })
  })
  return [...targets, ...throughputTargets(results), ...accuracyTargets(results)]
}

function throughputTargets(results) {
  const bestWay = (name) => Math.max(0, ...Object.values(results.get(name)?.throughput[2] ?? {}))
  const baselines = implementations.filter(({ own, name }) => own !== true && results.has(name))
  const best = baselines.reduce((most, { name }) => (bestWay(name) > bestWay(most) ? name : most), baselines[0]?.name)
  return ['gabion, int8', 'gabion, bf16']
    .filter((name) => best !== undefined && bestWay(name) > 0 && bestWay(best) > 0)
    .map((name) => {
      const value = bestWay(name) / bestWay(best)
      return {
        what: `${name}, two threads, texts per second, of those of ${best}`,
        value,
        limit: 2,
        unit: '×',
        met: value >= 2,
        atLeast: true,
      }
    })
}

function accuracyTargets(results) {
  const targets = []
  const fp32 = results.get('gabion, fp32')?.accuracy?.similarity
  for (const [name, worst, mean] of [
    ['gabion, bf16', 0.9999, 0.9999],
    ['gabion, int8', 0.998, 0.9995],
  ]) {
    const accuracy = results.get(name)?.accuracy
    if (accuracy?.worst === undefined) continue
    targets.push({
      what: `${name}, worst cosine`,
      value: accuracy.worst,
      limit: worst,
      unit: '',
      met: accuracy.worst >= worst,
      atLeast: true,
    })
    targets.push({ what: `${name}, mean cosine`, value: accuracy.mean, limit: mean, unit: '', met: accuracy.mean >= mean, atLeast: true })
    if (fp32 === undefined) continue
    const off = Math.abs(accuracy.similarity - fp32)
    targets.push({ what: `${name}, STS-B away from fp32`, value: off, limit: 0.001, unit: '', met: off <= 0.001 })
  }
  return targets
}

await runBench(TITLE, QUESTION, measure)
