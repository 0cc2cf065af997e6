// Asks: what does the erosion detector cost on top of embedding: per exchange, and for a whole file through the command line?

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { Embedder, loadErosionDetector } from '../dist/index.js'
import { EROSION_ARTIFACTS } from '../dist/internals.js'
import { runBench } from './harness/command.mjs'
import { quantile, summarize } from './harness/statistics.mjs'

const TITLE = 'Erosion detector'
const QUESTION = 'What does judging cost on top of embedding: per exchange, and for 1,000 conversations through the command line?'

const SOURCE = new URL('../data/mt-bench-101.jsonl.gz', import.meta.url)
const COMMAND = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const TARGET_US = 60
const MAX_LOST = 10

async function measure({ quick, say }) {
  const lines = gunzipSync(readFileSync(SOURCE)).toString('utf8').trim().split('\n')
  const conversations = lines.slice(0, quick ? 20 : 1000).map((line) => JSON.parse(line))
  const rounds = quick ? 1 : 3
  const embedder = await Embedder.load({ cache: false })
  const detector = await loadErosionDetector(embedder, { artifact: EROSION_ARTIFACTS.default })
  const times = await timeExchanges(embedder, detector, conversations.slice(0, quick ? 20 : 300), quick ? 2 : 10)
  const runs = await timeFile(embedder, detector.windows, conversations, { rounds, say })
  const share = quantile(runs.encoder, 0.5) / quantile(runs.command, 0.5)
  const { info } = embedder
  return {
    tables: [exchangeTable(times), fileTable(runs, conversations)],
    notes: [
      `${info.model}, ${info.precision} on ${info.instructionSet}, ${info.threads} threads; conversations of MT-Bench-101 as they come.`,
      'An exchange: flags, head over all windows, nearest of 32 typical replies, level, explanation; its vectors exist already.',
      `A file: \`gabion monitor --json --detector erosion\` from its start to its last line, against \`embedWindows\` over the same texts in one call in a warm process; ${rounds} rounds, interleaved. The command begins with loading the model.`,
    ],
    targets: [
      { what: 'an exchange of the detector, p50', limit: TARGET_US, value: times.p50, unit: 'µs', met: times.p50 < TARGET_US },
      {
        what: 'the command below the speed of the encoder alone',
        limit: MAX_LOST,
        value: 100 * (1 - share),
        unit: '%',
        met: 100 * (1 - share) <= MAX_LOST,
      },
    ],
    measurements: { times, runs },
  }
}

/** Microseconds of single exchanges over precomputed vectors. */
async function timeExchanges(embedder, detector, conversations, rounds) {
  const embedded = []
  for (const { turns } of conversations) {
    const exchanges = []
    for (const { user, model } of turns) {
      const batch = await embedder.embedWindows([user, model], detector.windows)
      exchanges.push({ user: { text: user, windows: batch.windows(0) }, assistant: { text: model, windows: batch.windows(1) } })
    }
    embedded.push(exchanges)
  }
  const times = []
  for (let round = -1; round < rounds; round++) {
    for (const exchanges of embedded) {
      let state = detector.start()
      for (const exchange of exchanges) {
        const start = performance.now()
        ;({ state } = detector.turn(state, exchange))
        if (round >= 0) times.push((performance.now() - start) * 1000)
      }
    }
  }
  return summarize(times)
}

/** Seconds of the command over a file, and of the encoder alone over the same texts. */
async function timeFile(embedder, windows, conversations, { rounds, say }) {
  const folder = mkdtempSync(join(tmpdir(), 'gabion-bench-'))
  try {
    const file = join(folder, 'conversations.jsonl')
    writeFileSync(
      file,
      conversations
        .map(({ id, turns }) => `${JSON.stringify({ id, turns: turns.map(({ user, model }) => ({ user, assistant: model })) })}\n`)
        .join(''),
    )
    const texts = conversations.flatMap(({ turns }) => turns.flatMap(({ user, model }) => [user, model]))
    const exchanges = texts.length / 2
    const runs = { encoder: [], command: [] }
    await embedder.embedWindows(texts.slice(0, 50), windows)
    for (let round = 0; round < rounds; round++) {
      say(`round ${round + 1} of ${rounds}`)
      runs.encoder.push(await seconds(() => embedder.embedWindows(texts, windows)))
      let printed = ''
      runs.command.push(
        await seconds(async () => {
          const args = [COMMAND, 'monitor', '--json', '--quiet', '--detector', 'erosion', file]
          ;({ stdout: printed } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 28 }))
        }),
      )
      const lines = printed
        .trim()
        .split('\n')
        .filter((line) => JSON.parse(line).turn !== undefined).length
      if (lines !== exchanges) throw new Error(`the command printed ${lines} exchanges, expected ${exchanges}`)
    }
    return { ...runs, exchanges, texts: texts.length }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function seconds(work) {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

function exchangeTable({ calls, p50, p90, p99, max }) {
  return {
    title: 'An exchange of the detector, µs',
    head: ['exchanges', 'p50', 'p90', 'p99', 'max'],
    rows: [[String(calls), ...[p50, p90, p99, max].map((value) => value.toFixed(1))]],
  }
}

function fileTable({ encoder, command, exchanges, texts }, conversations) {
  const row = (name, times) => {
    const median = quantile(times, 0.5)
    return [name, median.toFixed(2), (exchanges / median).toFixed(0), (texts / median).toFixed(0)]
  }
  return {
    title: `${conversations.length} conversations, ${exchanges} exchanges, median of the rounds`,
    head: ['implementation', 's', 'exchanges/s', 'texts/s'],
    rows: [row('encoder alone', encoder), row('gabion monitor --json', command)],
  }
}

await runBench(TITLE, QUESTION, measure)
