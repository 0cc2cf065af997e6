// Every ending of a process, a worker, a model and a run, each in a process of its own.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runChild, type Ending } from './child.js'

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

  test('32 at once give one vector', async () => {
    const ending = await runChild('many-workers')
    assertEnded(ending, 0)
    assert.equal(ending.stdout, '32\n')
  })
})

describe('model and run', () => {
  for (const name of ['dispose', 'abort', 'open-close', 'throwing-callback']) {
    test(name, async () => {
      const ending = await runChild(name)
      assertEnded(ending, 0)
      assert.equal(ending.stdout, 'done\n')
    })
  }
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
