#!/usr/bin/env node
// What does the service give under load, compared with the library alone and with a Python service on the same weights, in one run?
//
// usage: node bench/service/load.mjs [--threads 1] [--seconds 8] [--soak 0] [--python PROGRAM] [--model FOLDER] [--json]
//   --soak N       seconds at twice the capacity, for resident memory (600 for the ten minutes)
//   --python P     a Python with sentence-transformers, fastapi and uvicorn (bench/service/python-requirements.txt); without it, it is left out

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { closedLoop, openLoop } from './generator.mjs'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '8' },
    soak: { type: 'string', default: '0' },
    python: { type: 'string' },
    model: { type: 'string', default: here('../../build/models/all-MiniLM-L6-v2') },
    json: { type: 'boolean', default: false },
  },
})
const [threads, seconds, soak] = [values.threads, values.seconds, values.soak].map(Number)
const PENDING = 64
const path = '/v1/embeddings'
const base64Body = (text) => JSON.stringify({ input: text, model: 'm', encoding_format: 'base64' })
const floatBody = (text) => JSON.stringify({ input: text, model: 'm' })
const result = {}
const note = (text) => process.stderr.write(`${text}\n`)

async function library() {
  const child = spawn(process.execPath, [here('library.mjs'), threads, seconds, 8].map(String), { stdio: ['ignore', 'pipe', 'inherit'] })
  const [data] = await once(child.stdout, 'data')
  return JSON.parse(data.toString()).perSecond
}

async function startService() {
  const args = ['serve', '--port', '0', '--no-grpc', '--threads', String(threads), '--cache-mib', '0', '--max-pending', String(PENDING)]
  const child = spawn(
    process.execPath,
    ['--import', here('probe.mjs'), here('../../dist/cli/main.js'), ...args, '--log-level', 'warn', '--json'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const [data] = await once(child.stdout, 'data')
  const probe = async () => {
    child.kill('SIGUSR2')
    for (;;) {
      const [line] = await once(child.stderr, 'data')
      const found = /\{"probe".*\}/.exec(line.toString())
      if (found !== null) return JSON.parse(found[0])
    }
  }
  return { child, url: JSON.parse(data.toString()).url, probe }
}

async function service() {
  const { child, url, probe } = await startService()
  const load = (perSecond, length = seconds) => openLoop({ url, path, bodyOf: base64Body, perSecond, seconds: length })
  await closedLoop({ url, path, bodyOf: base64Body, seconds: 2, connections: 8 })
  result.library = await library()
  result.service = (await closedLoop({ url, path, bodyOf: base64Body, seconds, connections: 8 })).perSecond
  result.float = (await closedLoop({ url, path, bodyOf: floatBody, seconds: seconds / 2, connections: 8 })).perSecond
  const capacity = result.service
  await probe()
  result.half = await load(capacity / 2)
  result.halfLoopP99Ms = (await probe()).loopP99Ms
  result.full = await load(capacity)
  result.fullLoopP99Ms = (await probe()).loopP99Ms
  result.twice = await load(capacity * 2)
  const { loopP99Ms, rss } = await probe()
  result.twiceLoopP99Ms = loopP99Ms
  if (soak > 0) {
    const memory = [rss]
    for (let at = 0; at < soak; at += 30) {
      await load(capacity * 2, Math.min(30, soak - at))
      memory.push((await probe()).rss)
      note(`soak ${at + 30} s: ${(memory.at(-1) / 1e6).toFixed(1)} MB`)
    }
    result.rss = memory
  }
  child.kill('SIGTERM')
  await once(child, 'exit')
}

async function python(program) {
  const port = 20_000 + Math.floor(Math.random() * 20_000)
  const child = spawn(program, [here('python_service.py'), String(port), values.model, String(threads)], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, OMP_NUM_THREADS: String(threads), TOKENIZERS_PARALLELISM: 'false', HF_HUB_OFFLINE: '1' },
  })
  const url = `http://127.0.0.1:${port}`
  try {
    for (let tries = 0; ; tries++) {
      const up = await fetch(`${url}/openapi.json`).catch(() => null)
      if (up?.ok) break
      if (tries > 600 || child.exitCode !== null) throw new Error('the Python service did not start')
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    await closedLoop({ url, path, bodyOf: base64Body, seconds: 2, connections: 8 })
    result.python = await closedLoop({ url, path, bodyOf: base64Body, seconds, connections: 8 })
    result.pythonHalf = await openLoop({ url, path, bodyOf: base64Body, perSecond: result.python.perSecond / 2, seconds })
  } finally {
    child.kill('SIGKILL')
  }
}

await service()
if (values.python !== undefined) await python(values.python).catch((error) => note(`left out: ${error.message}`))

const ms = (value) => `${value.toFixed(2)} ms`
const rows = [
  ['library alone, texts/s', result.library.toFixed(0), ''],
  [
    'service, base64, requests/s',
    result.service.toFixed(0),
    `${((100 * result.service) / result.library).toFixed(1)} % of the library (≥ 85 %)`,
  ],
  ['service, numbers, requests/s', result.float.toFixed(0), `${((100 * result.float) / result.library).toFixed(1)} % of the library`],
  [
    'half load: p50, p99',
    `${ms(result.half.p50)}, ${ms(result.half.p99)}`,
    `${(result.half.p99 / result.half.p50).toFixed(2)} times (≤ 3)`,
  ],
  [
    'event loop late, p99: half, full, twice',
    [result.halfLoopP99Ms, result.fullLoopP99Ms, result.twiceLoopP99Ms].map(ms).join(', '),
    '(< 5 ms)',
  ],
  ['full load: p99 of accepted', ms(result.full.p99), JSON.stringify(result.full.statuses)],
  [
    'twice: p99 of accepted',
    ms(result.twice.p99),
    `${(result.twice.p99 / result.full.p99).toFixed(2)} times (≤ 2), ${result.twice.accepted.toFixed(0)}/s accepted, ${JSON.stringify(result.twice.statuses)}`,
  ],
]
if (result.rss !== undefined) {
  const [first, last] = [result.rss[1] ?? result.rss[0], result.rss.at(-1)]
  rows.push([
    `resident memory over ${soak} s`,
    `${(first / 1e6).toFixed(1)} → ${(last / 1e6).toFixed(1)} MB`,
    `${((100 * (last - first)) / first).toFixed(1)} %`,
  ])
}
if (result.pythonHalf !== undefined) {
  rows.push([
    'FastAPI + sentence-transformers, requests/s',
    result.python.perSecond.toFixed(0),
    `ours ${(result.service / result.python.perSecond).toFixed(1)} times`,
  ])
  rows.push([
    '… half load: p50, p99',
    `${ms(result.pythonHalf.p50)}, ${ms(result.pythonHalf.p99)}`,
    `ours ${(result.pythonHalf.p50 / result.half.p50).toFixed(1)} times`,
  ])
}
if (values.json) console.log(JSON.stringify({ threads, seconds, ...result }))
else {
  console.log(`| what | figure | |\n| --- | --- | --- |`)
  for (const row of rows) console.log(`| ${row.join(' | ')} |`)
}
