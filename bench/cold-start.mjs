// Asks: how long does it take from the start of a process to its first vector, beside the rivals?

import { execFile } from 'node:child_process'
import { copyFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { makeBatchedModel } from './rig/batched-graph.mjs'
import { runBench } from './rig/command.mjs'
import { installation } from './rig/installations.mjs'
import { summarize } from './rig/statistics.mjs'

const TITLE = 'Cold start'
const QUESTION = 'How long does it take from the start of a process to its first vector, beside the rivals?'

const SCRIPTS = fileURLToPath(new URL('rig/cold-start', import.meta.url))
const MODEL = fileURLToPath(new URL('../models/all-MiniLM-L6-v2', import.meta.url))
/** Wanted of gabion at the median. */
const GOAL_MS = 100
const ROUNDS = 20

const execute = promisify(execFile)

async function measure({ quick, say }) {
  const model = await makeBatchedModel(MODEL)
  try {
    const folder = join(model.parent, model.name)
    const contenders = [
      { name: 'gabion', script: 'gabion.mjs', args: [] },
      { name: 'onnxruntime-node', script: 'onnxruntime-node.mjs', args: [folder, model.graphFile] },
      { name: '@huggingface/transformers', script: 'transformers.mjs', args: [model.parent, model.name] },
      { name: 'fastembed', script: 'fastembed.mjs', args: [folder, relative(folder, model.graphFile)] },
    ]
    for (const contender of contenders) {
      say(`installing ${contender.name}`)
      const { folder: home, version } = await installation(contender.name)
      contender.version = version
      // Beside the packages that it imports.
      contender.file = join(home, basename(contender.script))
      await copyFile(join(SCRIPTS, contender.script), contender.file)
    }
    const times = new Map([...contenders.map(({ name }) => [name, []]), ['node', []]])
    const vectors = new Map()
    const rounds = quick ? 2 : ROUNDS
    for (let round = -1; round < rounds; round++) {
      for (let place = 0; place < contenders.length; place++) {
        const { name, file, args } = contenders[(round + 1 + place) % contenders.length]
        const { ms, vector } = await start([file, ...args], dirname(file))
        // The first round brings files into memory.
        if (round >= 0) times.get(name).push(ms)
        vectors.set(name, vector)
      }
      const { ms } = await start(['-e', 'console.log("[]")'], MODEL)
      if (round >= 0) times.get('node').push(ms)
      say(`round ${round + 2} of ${rounds + 1}`)
    }
    checkVectors(vectors)
    return resultOf(contenders, times)
  } finally {
    await model.remove()
  }
}

/** Without what makes Node itself start late: reading a system's certificates takes as long as all the rest. */
const { NODE_EXTRA_CA_CERTS: certificates, ...environment } = process.env

/** Runs a script from nothing to its end; what it prints is its vector's beginning. */
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

function resultOf(contenders, times) {
  const summaries = Object.fromEntries([...times].map(([name, values]) => [name, summarize(values)]))
  const ms = (value) => value.toFixed(0)
  const rows = [...contenders.map(({ name, version }) => [name, `${name} ${version}`]), ['node', 'Node itself, printing a line']]
  const rivals = contenders.slice(1).map(({ name }) => summaries[name].p50)
  return {
    tables: [
      {
        title: 'milliseconds from the start of the process to its end after one vector',
        head: ['', 'p50', 'p90', 'min'],
        rows: rows.map(([name, label]) => [label, ...['p50', 'p90', 'min'].map((statistic) => ms(summaries[name][statistic]))]),
      },
    ],
    notes: [
      `Each as it is installed from its package, ${times.get('gabion').length} processes each, in turns; files are in memory. gabion takes its bundled model, the others the same weights as a graph on disk; onnxruntime-node with @huggingface/tokenizers.`,
      ...(certificates === undefined
        ? []
        : ['NODE_EXTRA_CA_CERTS is set on this machine and was taken away for all: with it Node itself takes longer.']),
      "fastembed pads each text to 512 tokens and takes the first token's state; it is measured as it is.",
    ],
    marks: [
      { what: 'gabion at the median', value: summaries.gabion.p50, limit: GOAL_MS, unit: 'ms', met: summaries.gabion.p50 <= GOAL_MS },
      {
        what: 'gabion beside the fastest rival',
        value: summaries.gabion.p50,
        limit: Math.min(...rivals),
        unit: 'ms',
        met: summaries.gabion.p50 <= Math.min(...rivals),
      },
    ],
    measurements: summaries,
  }
}

await runBench(TITLE, QUESTION, measure)
