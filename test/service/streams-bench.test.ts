// The short form of the load test of streams (bench/service/streams.mjs): every byte arrives, no stream is lost, and what was stored survives.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'

interface Result {
  parts: {
    load?: { streams: number; lost: number }
    kills?: { passed: number; blocked: number; alerts: number }
  }
  failures: string[]
}

async function bench(...args: string[]): Promise<Result> {
  const all = ['bench/service/streams.mjs', '--streams', '20', '--seconds', '5', ...args]
  const { stdout } = await promisify(execFile)(process.execPath, all).catch((error: unknown) => error as { stdout: string })
  return JSON.parse(stdout) as Result
}

describe('Streams under load', { concurrency: 2 }, () => {
  for (const mode of ['observe', 'cut']) {
    it(`arrive with every byte, twenty at once (${mode})`, async () => {
      const { parts, failures } = await bench('--mode', mode, '--part', 'load')
      assert.deepEqual(failures, [])
      assert.ok(parts.load !== undefined && parts.load.streams > 20 && parts.load.lost === 0)
    })
  }

  for (const mode of ['cut', 'hold']) {
    it(`leave a verdict, and alerts arrive, though Redis and a proxy are killed (${mode})`, async () => {
      const { parts, failures } = await bench('--mode', mode, '--part', 'kills')
      assert.deepEqual(failures, [])
      assert.ok(parts.kills !== undefined && parts.kills.passed > 0 && parts.kills.blocked > 0 && parts.kills.alerts > 0)
    })
  }
})
