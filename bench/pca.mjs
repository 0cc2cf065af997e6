// Asks: how long does a PCA of 100,000 × 384 to 64 components take compared with scikit-learn's, in how much memory, and can a million rows
// stream; and what does a projection cost inside the embedding call?

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { installSklearn, sklearnEnvironment } from '../scripts/sklearn/install.mjs'
import { runBench } from './harness/command.mjs'
import { loadGabion, watchNativeTimes } from './harness/gabion.mjs'
import { quantile } from './harness/statistics.mjs'
import { textsOfLength } from './harness/texts.mjs'
import { Projection } from '../dist/index.js'

const TITLE = 'PCA and projection'
const QUESTION =
  'How long does a PCA of 100,000 × 384 to 64 components take compared with scikit-learn, in how much memory, and what does a projection cost inside the embedding call?'

const DIMENSIONS = 384
const COMPONENTS = 64
const NAMES = { gabion: 'gabion Projection.fitPca', sklearn: 'scikit-learn PCA().fit', sklearnDouble: 'scikit-learn PCA().fit, doubles' }
const LIMITS_US = { 2: 5, 128: 30 }

/** A child process that executes one command per line and answers each with a line of JSON. */
function startChild(command, args, env) {
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async ask(line) {
      child.stdin.write(`${line}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error(`${command} ended early`)
      return JSON.parse(value)
    },
    async end() {
      child.stdin.end()
      await once(child, 'exit')
    },
  }
}

/** OpenBLAS keeps its threads spinning for some tens of milliseconds after a call: the next implementation must not pay for that. */
const SETTLE_MS = 250

const path = (name) => fileURLToPath(new URL(name, import.meta.url))
const startGabion = () => startChild(process.execPath, [path('harness/pca-child.mjs')], process.env)
const startSklearn = () => startChild('python3', [path('harness/pca_child.py')], sklearnEnvironment)

async function measureFits(rows, rounds, say) {
  const [ours, theirs] = [startGabion(), startSklearn()]
  const folder = await mkdtemp(join(tmpdir(), 'gabion-bench-'))
  const times = new Map(Object.values(NAMES).map((name) => [name, []]))
  const processor = new Map(Object.values(NAMES).map((name) => [name, []]))
  try {
    const file = join(folder, 'vectors.f32')
    await ours.ask(`make ${rows} ${DIMENSIONS}`)
    await ours.ask(`save ${file}`)
    await theirs.ask(`load ${rows} ${DIMENSIONS} ${file}`)
    const implementations = [
      [NAMES.gabion, ours, `fit ${COMPONENTS} single`],
      [NAMES.sklearn, theirs, `fit ${COMPONENTS} single`],
      [NAMES.sklearnDouble, theirs, `fit ${COMPONENTS} double`],
    ]
    const results = new Map()
    for (let round = -1; round < rounds; round++) {
      say(`fit of ${rows} rows, round ${Math.max(0, round + 1)} of ${rounds}`)
      for (const [name, child, line] of implementations) {
        await setTimeout(SETTLE_MS)
        const answer = await child.ask(line)
        results.set(name, answer)
        if (round >= 0) times.get(name).push(answer.seconds)
        if (round >= 0) processor.get(name).push(answer.processorSeconds)
      }
    }
    checkSame(results.get(NAMES.gabion), results.get(NAMES.sklearnDouble))
    return { times, processor, memory: (await ours.ask('memory')).timesMatrix }
  } finally {
    await Promise.all([ours.end(), theirs.end(), rm(folder, { recursive: true })])
  }
}

/** Both must have found the same components, or the comparison is meaningless. */
function checkSame(ours, theirs) {
  ours.variances.forEach((variance, k) => {
    if (Math.abs(variance / theirs.variances[k] - 1) > 1e-5)
      throw new Error(`component ${k} has variance ${variance}, scikit-learn says ${theirs.variances[k]}`)
  })
}

async function measureStream(rows) {
  const child = startGabion()
  try {
    return await child.ask(`stream ${rows} ${DIMENSIONS} ${COMPONENTS}`)
  } finally {
    await child.end()
  }
}

/** Median microseconds of the projection inside synchronous calls, as native code reports it. */
async function measureProjection(calls) {
  const nativeTimes = watchNativeTimes()
  const embedder = await loadGabion({ threads: 1 })
  const texts = textsOfLength(embedder, 16, 64)
  const vectors = await embedder.embedBatch(textsOfLength(embedder, 12, 400))
  const found = {}
  for (const components of Object.keys(LIMITS_US).map(Number)) {
    const projection = Projection.fitPca(vectors, { components })
    const times = []
    for (let call = -50; call < calls; call++) {
      embedder.embedSync(texts[(call + 50) % texts.length], { projection })
      if (call >= 0) times.push(nativeTimes().projectUs)
    }
    found[components] = { p50: quantile(times, 0.5), p90: quantile(times, 0.9), p99: quantile(times, 0.99) }
  }
  embedder.dispose()
  return found
}

async function measure({ quick, say }) {
  await installSklearn()
  const rows = quick ? 10_000 : 100_000
  const fits = await measureFits(rows, quick ? 2 : 9, say)
  say('streaming')
  const streamRows = quick ? 50_000 : 1_000_000
  const stream = await measureStream(streamRows)
  say('projection inside the call')
  const projection = await measureProjection(quick ? 100 : 500)
  return {
    ...present({ rows, fits, streamRows, stream, projection }),
    measurements: { rows, streamRows, stream, projection, memory: fits.memory, times: Object.fromEntries(fits.times) },
  }
}

function present({ rows, fits, streamRows, stream, projection }) {
  const ms = (values, q) => (1000 * quantile(values, q)).toFixed(0)
  const [ours, theirs] = [NAMES.gabion, NAMES.sklearn].map((name) => quantile(fits.times.get(name), 0.5))
  const megabytes = stream.peakBytes / 2 ** 20
  const target = (what, value, limit, unit) => ({ what, value, limit, unit, met: value <= limit })
  return {
    tables: [
      {
        title: `A fit of ${rows.toLocaleString('en')} × ${DIMENSIONS} to ${COMPONENTS} components, milliseconds`,
        head: ['', 'median', 'fastest', 'slowest', 'processor time, median'],
        rows: [...fits.times].map(([name, values]) => [
          name,
          ms(values, 0.5),
          ms(values, 0),
          ms(values, 1),
          ms(fits.processor.get(name), 0.5),
        ]),
      },
      {
        title: 'A projection inside embedSync, microseconds',
        head: ['', 'p50', 'p90', 'p99'],
        rows: Object.entries(projection).map(([components, { p50, p90, p99 }]) => [
          `${DIMENSIONS} → ${components}`,
          ...[p50, p90, p99].map((value) => value.toFixed(1)),
        ]),
      },
    ],
    notes: [
      'Both fit the same numbers: 32-bit floats with a spectrum that falls off; the variances found must agree within 1e-5. Implementations are interleaved, with a quarter of a second between them in which the threads of the previous one stop spinning.',
      'scikit-learn chooses its solver itself (covariance_eigh for this shape) and runs on all processors, as gabion does.',
      `Memory of the fit: ${fits.memory.toFixed(2)} times the matrix, which is counted in. ${streamRows.toLocaleString('en')} rows in parts of 8,192: ${stream.seconds.toFixed(1)} s, making them included, at most ${megabytes.toFixed(0)} MiB in the whole process.`,
      'The projection runs right after the model, whose weights have gone through the caches.',
    ],
    targets: [
      target('a fit compared with scikit-learn on the same numbers', (100 * ours) / theirs, 100, '% of its time'),
      target('memory of the fit', fits.memory, 2.5, '× the matrix'),
      target(`${streamRows.toLocaleString('en')} rows in parts`, megabytes, 1024, 'MiB'),
      ...Object.entries(LIMITS_US).map(([components, limit]) =>
        target(`projection ${DIMENSIONS} → ${components}, p50`, projection[components].p50, limit, 'µs'),
      ),
    ],
  }
}

await runBench(TITLE, QUESTION, measure)
