// The vector cache in front of a monitored conversation: what was embedded before is not embedded again.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Embedder } from '../../lib/embedding/embedder.js'
import { Monitor } from '../../lib/monitor/monitor.js'

const EXCHANGES = [
  { user: 'Where is my parcel?', assistant: 'It was delivered on Tuesday, with a green ribbon around it.' },
  { user: 'Please look again.', assistant: 'I looked again: it is at the neighbor’s house.' },
  { user: 'Where is my parcel?', assistant: 'At the neighbor’s house, since Tuesday.' },
]

describe('a monitored conversation', () => {
  test('a repeated message and a replayed conversation are cache hits, and the verdicts are the same', async () => {
    using embedder = await Embedder.load()
    const monitor = await Monitor.load({ embedder, detector: 'erosion' })
    const judge = async (id: string): Promise<unknown[]> => {
      const verdicts = []
      for (const exchange of EXCHANGES) {
        const { timings: _timings, at: _at, conversation: _conversation, ...verdict } = await monitor.conversation(id).addExchange(exchange)
        verdicts.push(verdict)
      }
      return verdicts
    }
    const first = await judge('first')
    // The user's first message comes twice.
    assert.deepEqual([embedder.cacheStats.hits, embedder.cacheStats.misses, embedder.cacheStats.entries], [1, 5, 5])
    const replayed = await judge('second')
    assert.deepEqual(replayed, first)
    assert.deepEqual([embedder.cacheStats.hits, embedder.cacheStats.misses], [7, 5])
  })

  test('a reply that is still being written leaves nothing in it, and its finished text does', async () => {
    using embedder = await Embedder.load()
    const monitor = await Monitor.load({ embedder, detector: 'erosion' })
    const conversation = monitor.conversation('growing')
    const { user, assistant } = EXCHANGES[0]!
    const reading = await conversation.beginReply(user)
    for (let length = 10; length <= assistant.length; length += 10) await reading.read([{ text: assistant.slice(0, length), start: 0 }])
    assert.equal(embedder.cacheStats.entries, 1)
    await conversation.addExchange({ user, assistant })
    assert.equal(embedder.cacheStats.entries, 2)
    const again = await embedder.embedBatch([assistant], { cache: false })
    assert.deepEqual([again.cached, embedder.cacheStats.entries], [0, 2])
    await assert.rejects(embedder.embedBatch([], { cache: 1 as never }), { code: 'INVALID_ARGUMENT', message: /^cache/ })
  })

  test('windows are found again under their own rule and projection, and belong to the caller', async () => {
    using embedder = await Embedder.load()
    const text = 'the house is open '.repeat(40)
    const rule = { size: 64, stride: 32 }
    const first = await embedder.embedWindows([text, 'short', text], rule)
    assert.equal(first.cached, 0)
    const expected = Array.from(first.windows(0), ({ vector, start, end }) => ({ vector: vector.slice(), start, end }))
    for (const { vector } of first.windows(0)) vector.fill(0)
    const again = await embedder.embedWindows([text], rule)
    assert.equal(again.cached, 1)
    assert.equal(again.timings.encodeMs, 0)
    assert.deepEqual(
      again.windows(0).map(({ vector, start, end }) => ({ vector, start, end })),
      expected,
    )
    assert.equal((await embedder.embedWindows([text], { size: 64, stride: 64 })).cached, 0)
    assert.equal((await embedder.embedBatch([text])).cached, 0)
    assert.deepEqual([embedder.cacheStats.hits, embedder.cacheStats.misses], [1, 4])
  })
})
