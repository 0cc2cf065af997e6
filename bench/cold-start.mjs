// Asks: how long does it take from the start of a process to its first vector, compared with the baselines?

import { execFile } from 'node:child_process'
import { copyFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { makeBatchedModel } from './harness/batched-graph.mjs'
import { runBench } from './harness/command.mjs'
import { installation } from './harness/installations.mjs'
import { summarize } from './harness/statistics.mjs'

const TITLE = 'Cold start'
const QUESTION = 'How long does it take from the start of a process to its first vector, compared with the baselines?'

const SCRIPTS = fileURLToPath(new URL('harness/cold-start', import.meta.url))
const MODEL = fileURLToPath(new URL('../models/all-MiniLM-L6-v2', import.meta.url))
/** Target for gabion at the median. */
const TARGET_MS = 100
const ROUNDS = 20

const execute = promisify(execFile)

async function measure({ quick, say }) {
  const model = await makeBatchedModel(MODEL)
  try {
    const folder = join(model.parent, model.name)
    const implementations = [
      { name: 'gabion', script: 'gabion.mjs', args: [] },
      { name: 'onnxruntime-node', script: 'onnxruntime-node.mjs', args: [folder, model.graphFile] },
      { name: '@huggingface/transformers', script: 'transformers.mjs', args: [model.parent, model.name] },
      { name: 'fastembed', script: 'fastembed.mjs', args: [folder, relative(folder, model.graphFile)] },
    ]
    for (const implementation of implementations) {
      say(`installing ${implementation.name}`)
      const { folder: home, version } = await installation(implementation.name)
      implementation.version = version
      // Next to the packages that it imports.
      implementation.file = join(home, basename(implementation.script))
      await copyFile(join(SCRIPTS, implementation.script), implementation.file)
    }
    const times = new Map([...implementations.map(({ name }) => [name, []]), ['node', []]])
    const vectors = new Map()
    const rounds = quick ? 2 : ROUNDS
    for (let round = -1; round < rounds; round++) {
      for (let place = 0; place < implementations.length; place++) {
        const { name, file, args } = implementations[(round + 1 + place) % implementations.length]
        const { ms, vector } = await start([file, ...args], dirname(file))
        // The first round fills the page cache.
        if (round >= 0) times.get(name).push(ms)
        vectors.set(name, vector)
      }
      const { ms } = await start(['-e', 'console.log("[]")'], MODEL)
      if (round >= 0) times.get('node').push(ms)
      say(`round ${round + 2} of ${rounds + 1}`)
    }
    checkVectors(vectors)
    return resultOf(implementations, times)
  } finally {
    await model.remove()
  }
}

/** Environment without NODE_EXTRA_CA_CERTS: reading a system's certificates takes Node as long as all the rest. */
const { NODE_EXTRA_CA_CERTS: certificates, ...environment } = process.env

/** Runs a script in a new process; it prints the first numbers of its vector. */
async function start(args, cwd) {
  const started = performance.now()
  const { stdout } = await execute(process.execPath, args, { cwd, env: { ...environment, ORT_DISABLE_TELEMETRY: '1' } })
  return { ms: performance.now() - started, vector: JSON.parse(stdout) }
}

/** All but fastembed, which takes the first token's state for the vector, must compute the same. */
function checkVectors(vectors) {
  const own = vectors.get('gabion')
  for (const [name, vector] of vectors) {
    const worst = Math.max(...vector.map((value, index) => Math.abs(value - own[index])))
    if (name !== 'fastembed' && !(worst < 2e-3)) throw new Error(`${name} computes something else: ${vector.join(', ')}`)
    if (!vector.every(Number.isFinite)) throw new Error(`${name} gives no numbers`)
  }
}

function resultOf(implementations, times) {
  const summaries = Object.fromEntries([...times].map(([name, values]) => [name, summarize(values)]))
  const ms = (value) => value.toFixed(0)
  const rows = [...implementations.map(({ name, version }) => [name, `${name} ${version}`]), ['node', 'Node itself, printing a line']]
  const baselines = implementations.slice(1).map(({ name }) => summaries[name].p50)
  return {
    tables: [
      {
        title: 'milliseconds from the start of the process to its end after one vector',
        head: ['', 'p50', 'p90', 'min'],
        rows: rows.map(([name, label]) => [label, ...['p50', 'p90', 'min'].map((statistic) => ms(summaries[name][statistic]))]),
      },
    ],
    notes: [
      `Each as it is installed from its package, ${times.get('gabion').length} processes each, interleaved; files are in the page cache. gabion takes its bundled model, the others the same weights as a graph on disk; onnxruntime-node with @huggingface/tokenizers.`,
      ...(certificates === undefined
        ? []
        : ['NODE_EXTRA_CA_CERTS is set on this machine and was unset for all: with it Node itself starts later.']),
      "fastembed pads each text to 512 tokens and takes the first token's state; it is measured as it is.",
    ],
    targets: [
      { what: 'gabion at the median', value: summaries.gabion.p50, limit: TARGET_MS, unit: 'ms', met: summaries.gabion.p50 <= TARGET_MS },
      {
        what: 'gabion against the fastest baseline',
        value: summaries.gabion.p50,
        limit: Math.min(...baselines),
        unit: 'ms',
        met: summaries.gabion.p50 <= Math.min(...baselines),
      },
    ],
    measurements: summaries,
  }
}

await runBench(TITLE, QUESTION, measure)
