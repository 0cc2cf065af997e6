// Every ending of a process, a worker, a model and a run, each in a process of its own.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { nativeAddon } from '../../lib/native.js'
import { runChild, type Ending } from './child.js'

/** How many models are opened and disposed in one process: a thousand in the long form, fewer here. */
const MODELS = process.env.GABION_LIFECYCLE_MODELS ?? '160'

const here = fileURLToPath(new URL('.', import.meta.url))
const smallModel = join(here, '..', 'fixtures', 'family', 'bert')
let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'gabion-lifecycle-'))
})
after(() => rmSync(folder, { recursive: true }))

function assertEnded(ending: Ending, code: number): void {
  assert.equal(ending.signal, null, `ended by ${String(ending.signal)}\n${ending.stderr}`)
  assert.equal(ending.code, code, ending.stderr)
}

describe('process', () => {
  for (const delay of [0, 5, 40]) {
    test(`exit with promises pending, after ${String(delay)} ms`, async () => {
      assertEnded(await runChild('exit-pending', [String(delay)]), 7)
    })
    test(`exit while a model loads, after ${String(delay)} ms`, async () => {
      assertEnded(await runChild('exit-loading', [String(delay)]), 7)
    })
  }

  test('opens ONNX Runtime when a graph needs it, and exits in order after that', async () => {
    const hasOwn = nativeAddon().machine().encoderInstructionSet !== ''
    const ending = await runChild('late-runtime', hasOwn ? ['own'] : [])
    assertEnded(ending, 7)
    assert.equal(ending.stdout, 'done\n')
  })

  test('ends by itself once the last promise is settled', async () => {
    const ending = await runChild('natural-end')
    assertEnded(ending, 0)
    assert.equal(ending.stdout, '384\n')
  })

  test('an uncaught exception ends it as usual', async () => {
    const ending = await runChild('uncaught')
    assertEnded(ending, 1)
    assert.match(ending.stderr, /thrown on purpose/)
  })
})

describe('worker', () => {
  const phases: [string, number[]][] = [
    ['load', [0, 30, 120]],
    ['batch', [0, 15, 60]],
    ['sync', [0, 20]],
  ]
  for (const [phase, delays] of phases) {
    for (const delay of delays) {
      test(`terminate() in phase ${phase}, after ${String(delay)} ms`, async () => {
        const ending = await runChild('worker-terminate', [phase, String(delay)])
        assertEnded(ending, 0)
        assert.equal(ending.stdout, 'done\n')
      })
    }
  }

  test('64 at once give one vector', async () => {
    const ending = await runChild('many-workers', ['64'])
    assertEnded(ending, 0)
    assert.equal(ending.stdout, '64\n')
  })
})

describe('model and run', () => {
  for (const name of ['dispose', 'abort', 'shared-signal', 'open-close', 'throwing-callback', 'contexts', 'loaded-twice']) {
    test(name, async () => {
      const ending = await runChild(name)
      assertEnded(ending, 0)
      assert.equal(ending.stdout, 'done\n')
    })
  }

  test('realm', async () => {
    const ending = await runChild('realm', [], { ...process.env, NODE_OPTIONS: '--experimental-vm-modules --no-warnings' })
    assertEnded(ending, 0)
    assert.equal(ending.stdout, 'done\n')
  })

  test(`${MODELS} models, one after the other`, async (context) => {
    const env = { ...process.env, GABION_CACHE: join(folder, 'cache') }
    const ending = await runChild('models-in-turn', [MODELS, smallModel], env)
    assertEnded(ending, 0)
    context.diagnostic(ending.stderr.trim())
    assert.equal(ending.stdout, 'done\n')
  })
})

describe('signals and forks', () => {
  test('signals that are handled take nothing from the texts under way', async () => {
    const ending = await runChild('signals', ['handled'])
    assertEnded(ending, 0)
    assert.equal(ending.stdout, 'done\n')
  })

  test('a signal that nobody handles ends the process as usual', async () => {
    const ending = await runChild('signals', ['default'])
    assert.deepEqual([ending.code, ending.signal], [null, 'SIGTERM'], ending.stderr)
  })

  test('a fork by another addon, and another Node, leave the encoder threads alone', async () => {
    const addon = join(folder, 'fork.node')
    const headers = join(here, '..', '..', 'node_modules', 'node-api-headers', 'include')
    execFileSync('cc', ['-shared', '-fPIC', '-I', headers, '-o', addon, join(here, 'children', 'fork.c')])
    const ending = await runChild('fork', [addon])
    assertEnded(ending, 0)
    assert.equal(ending.stdout, 'done\n')
  })
})

describe('onnxruntime-node in the same process', () => {
  for (const order of ['ours-first', 'theirs-first']) {
    test(order, async () => {
      const ending = await runChild('two-runtimes', [order])
      assertEnded(ending, 0)
      assert.equal(ending.stdout, 'done\n')
    })
  }
})
