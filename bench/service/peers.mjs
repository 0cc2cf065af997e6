// Python services on the same weights under the same load, gabion's in the same run before them.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { closedLoop, openLoop } from './generator.mjs'
import { base64Body, CONNECTIONS } from './http-load.mjs'
import { startService } from './server.mjs'
import { pythonService, weights } from './tools.mjs'

const PATH = '/v1/embeddings'

/** How each one is started. */
export const PEERS = {
  fastapi: {
    title: 'FastAPI over sentence-transformers',
    args: ({ port, threads }) => [fileURLToPath(new URL('fastapi_service.py', import.meta.url)), port, weights, threads].map(String),
  },
  infinity: {
    title: 'infinity-emb, PyTorch',
    args: ({ port }) => {
      const place = [
        '--host',
        '127.0.0.1',
        '--port',
        String(port),
        '--url-prefix',
        '/v1',
        '--model-id',
        weights,
        '--served-model-name',
        'm',
      ]
      return [
        '-m',
        'infinity_emb.cli',
        'v2',
        ...place,
        '--engine',
        'torch',
        '--device',
        'cpu',
        '--dtype',
        'float32',
        '--no-bettertransformer',
      ]
    },
  },
}

/** @param {keyof typeof PEERS} name */
export async function measurePeer(name, { threads, seconds, note }) {
  const environment = await pythonService(name)
  const ours = await startService({ threads })
  let own
  try {
    own = await measure(ours.url, seconds)
  } finally {
    await ours.stop()
  }
  note(`gabion ${own.perSecond.toFixed(0)}/s`)
  const port = 20_000 + Math.floor(Math.random() * 12_000)
  const child = spawn(environment.program, PEERS[name].args({ port, threads }), {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...environment.env, ...quiet, OMP_NUM_THREADS: String(threads), TOKENIZERS_PARALLELISM: 'false' },
  })
  process.once('exit', () => child.kill('SIGKILL'))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-2000)))
  try {
    const url = `http://127.0.0.1:${port}`
    for (let tries = 0; ; tries++) {
      const up = await fetch(`${url}/openapi.json`).catch(() => null)
      if (up !== null) break
      if (tries > 600 || child.exitCode !== null) throw new Error(`${PEERS[name].title} did not start: ${said}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    const peer = await measure(url, seconds)
    note(`${PEERS[name].title} ${peer.perSecond.toFixed(0)}/s`)
    return { title: PEERS[name].title, own, peer }
  } finally {
    child.kill('SIGKILL')
    if (child.exitCode === null) await once(child, 'exit')
  }
}

async function measure(url, seconds) {
  const closed = (length) => closedLoop({ url, path: PATH, bodyOf: base64Body, seconds: length, connections: CONNECTIONS })
  await closed(2)
  const { perSecond } = await closed(seconds)
  return { perSecond, half: await openLoop({ url, path: PATH, bodyOf: base64Body, perSecond: perSecond / 2, seconds }) }
}

/** No download and no telemetry during the measurement. */
const quiet = { HF_HUB_OFFLINE: '1', HF_HUB_DISABLE_TELEMETRY: '1', DO_NOT_TRACK: '1', INFINITY_ANONYMOUS_USAGE_STATS: '0' }
