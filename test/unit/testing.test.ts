// The stand-ins of gabion/testing, and cosineSimilarity. No model is loaded here.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cosineSimilarity } from '../../lib/embedding/similarity.js'
import { Monitor } from '../../lib/monitor/monitor.js'
import { Projection } from '../../lib/projection/projection.js'
import { FakeEmbedder, ScriptedDetector } from '../../lib/testing/index.js'

const exchange = (assistant: string): { user: string; assistant: string } => ({ user: 'a question', assistant })

describe('the fake embedder', () => {
  test('gives a text one unit vector, alone and in a batch, and other texts unrelated ones', async () => {
    const embedder = new FakeEmbedder()
    const batch = await embedder.embedBatch(['one', 'two words', 'one'])
    assert.deepEqual(await embedder.embed('one'), batch.row(0))
    assert.deepEqual([...batch].length, 3)
    assert.equal(batch.length, 3)
    assert.deepEqual(batch.row(0), batch.row(2))
    assert.deepEqual([...batch.tokenCounts], [1, 2, 1])
    assert.ok(Math.abs(Math.hypot(...batch.row(1)) - 1) < 1e-6)
    assert.ok(Math.abs(cosineSimilarity(batch.row(0), batch.row(1))) < 0.2)
  })

  test('takes given vectors and projections', async () => {
    const embedder = new FakeEmbedder({ dimensions: 2, vectors: { north: [0, 2], east: [3, 0], west: [-1, 0] } })
    assert.deepEqual(await embedder.embed('north'), Float32Array.of(0, 1))
    const projection = Projection.fitPca(await embedder.embedBatch(['east', 'west', 'north']), { components: 1 })
    assert.deepEqual(await embedder.embed('east', { projection }), projection.apply(Float32Array.of(1, 0)))
    assert.throws(() => new FakeEmbedder({ dimensions: 3, vectors: { north: [0, 1] } }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(embedder.embed('north', { signal: AbortSignal.abort() }), { name: 'AbortError', code: 'ABORTED' })
  })

  test('serves a monitor with a bundled detector, whose model it is not', async () => {
    await assert.rejects(Monitor.load({ embedder: new FakeEmbedder(), detector: 'erosion' }), {
      code: 'ARTIFACT_INVALID',
      message: /trained on vectors of/,
    })
  })
})

describe('the scripted detector', () => {
  test('says what the list says, and alerts where the level becomes alert', async () => {
    const monitor = await Monitor.load({
      embedder: new FakeEmbedder(),
      detector: new ScriptedDetector(['calm', 'elevated', 'alert', 'alert']),
    })
    const conversation = monitor.conversation('x')
    const verdicts = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((reply) => conversation.addExchange(exchange(reply))))
    assert.deepEqual(
      verdicts.map(({ level }) => level),
      ['calm', 'elevated', 'alert', 'alert', 'calm'],
    )
    assert.deepEqual(
      verdicts.map(({ alert }) => alert),
      [false, false, true, false, false],
    )
    assert.equal(monitor.restore(JSON.parse(JSON.stringify(conversation))).exchanges, 5)
  })

  test('decides by a function of the texts', async () => {
    const detector = new ScriptedDetector(({ assistant }) => (assistant.includes('refund') ? 'alert' : 'calm'))
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector })
    const conversation = monitor.conversation('x')
    assert.equal((await conversation.addExchange(exchange('No.'))).alert, false)
    assert.equal((await conversation.addExchange(exchange('Here is your refund.'))).alert, true)
    const wrong = await Monitor.load({ embedder: new FakeEmbedder(), detector: new ScriptedDetector(() => 'red' as never) })
    await assert.rejects(wrong.conversation('x').addExchange(exchange('a')), { code: 'INVALID_ARGUMENT', message: /level must be one of/ })
  })
})

test('cosineSimilarity', () => {
  assert.equal(cosineSimilarity([1, 0], [0, 3]), 0)
  assert.equal(cosineSimilarity([2, 0], Float32Array.of(5, 0)), 1)
  assert.equal(cosineSimilarity([1, 1], [-2, -2]), -1)
  assert.ok(Number.isNaN(cosineSimilarity([0, 0], [1, 1])))
  assert.throws(() => cosineSimilarity([1], [1, 2]), { code: 'INVALID_ARGUMENT', message: /same length, got 1 and 2/ })
  assert.throws(() => cosineSimilarity('no' as never, [1]), { code: 'INVALID_ARGUMENT', message: /^a must be an array of numbers/ })
})
