// Python services on the same weights under the same load, gabion's in the same run before them: short and mixed texts, few and many clients,
// start and memory.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { closedLoop, openLoop } from './generator.mjs'
import { base64Body, CONNECTIONS } from './http-load.mjs'
import { startService } from './server.mjs'
import { freshText, mixedText } from './texts.mjs'
import { onnxFolder, pythonService, weights } from './tools.mjs'

const PATH = '/v1/embeddings'
const TEXTS = { short: freshText, mixed: mixedText }
const CLIENTS = [1, 8, 64]
/** The first start reads the files from disk, and is not measured. */
const STARTS = 3

const infinity = ({ port }, model, engine) => {
  const place = ['--host', '127.0.0.1', '--port', port, '--url-prefix', '/v1', '--model-id', model, '--served-model-name', 'm']
  return ['-m', 'infinity_emb.cli', 'v2', ...place, '--device', 'cpu', '--pooling-method', 'mean', ...engine].map(String)
}

/** How each one is started. */
export const PEERS = {
  fastapi: {
    title: 'FastAPI over sentence-transformers',
    args: async ({ port, threads }) => [fileURLToPath(new URL('fastapi_service.py', import.meta.url)), port, weights, threads].map(String),
  },
  infinity: {
    title: 'infinity-emb, PyTorch',
    args: async (place) => infinity(place, weights, ['--engine', 'torch', '--dtype', 'float32', '--no-bettertransformer']),
  },
  'infinity-onnx': {
    title: 'infinity-emb, ONNX',
    args: async (place) => infinity(place, await onnxFolder(), ['--engine', 'optimum']),
  },
}

/** @param {keyof typeof PEERS} name */
export async function measurePeer(name, { threads, seconds, note }) {
  const environment = await pythonService(name)
  const { title, args } = PEERS[name]
  const own = await measure(() => startService({ threads }), seconds)
  note(`gabion ${own.loads.short[CONNECTIONS].perSecond.toFixed(0)}/s`)
  const port = 20_000 + Math.floor(Math.random() * 12_000)
  const given = await args({ port, threads })
  const peer = await measure(() => startPeer(environment, given, { title, threads, port }), seconds)
  note(`${title} ${peer.loads.short[CONNECTIONS].perSecond.toFixed(0)}/s`)
  return { title, own, peer }
}

async function startPeer({ program, env }, args, { title, threads, port }) {
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env, ...quiet, OMP_NUM_THREADS: String(threads), TOKENIZERS_PARALLELISM: 'false' },
  })
  process.once('exit', () => child.kill('SIGKILL'))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-2000)))
  const url = `http://127.0.0.1:${port}`
  const began = performance.now()
  for (;;) {
    const up = await fetch(`${url}/openapi.json`).catch(() => null)
    if (up !== null) break
    if (performance.now() - began > 120_000 || child.exitCode !== null) throw new Error(`${title} did not start: ${said}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const stop = async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null) await once(child, 'exit')
  }
  return { url, pid: child.pid, stop }
}

/** A service's starts, then loads on it. */
async function measure(start, seconds) {
  const starts = []
  let service
  for (let round = 0; round < STARTS; round++) {
    if (service !== undefined) await service.stop()
    const began = performance.now()
    service = await start()
    await embed(service.url)
    if (round > 0) starts.push(performance.now() - began)
  }
  const { url, pid, stop } = service
  try {
    const closed = (connections, textOf, length = seconds) =>
      closedLoop({ url, path: PATH, bodyOf: base64Body, seconds: length, connections, textOf })
    for (const textOf of Object.values(TEXTS)) await closed(CONNECTIONS, textOf, 2)
    const loads = {}
    for (const [kind, textOf] of Object.entries(TEXTS)) {
      loads[kind] = {}
      for (const clients of CLIENTS) loads[kind][clients] = await closed(clients, textOf)
    }
    const rate = loads.short[CONNECTIONS].perSecond / 2
    const half = await openLoop({ url, path: PATH, bodyOf: base64Body, perSecond: rate, seconds })
    return { startMs: Math.min(...starts), rss: residentBytes(pid), loads, half }
  } finally {
    await stop()
  }
}

async function embed(url) {
  const response = await fetch(url + PATH, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: base64Body(freshText()),
  })
  if (!response.ok) throw new Error(`${PATH}: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
}

function residentBytes(pid) {
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

/** No download and no telemetry during the measurement. */
const quiet = { HF_HUB_OFFLINE: '1', HF_HUB_DISABLE_TELEMETRY: '1', DO_NOT_TRACK: '1', INFINITY_ANONYMOUS_USAGE_STATS: '0' }
