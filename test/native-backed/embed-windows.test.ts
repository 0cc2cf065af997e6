// Texts of any length as windows: their number, their positions, and that each has the vector of its part alone.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { Embedder } from '../../lib/embedding/embedder.js'
import { Projection } from '../../lib/projection/projection.js'

let embedder: Embedder
before(async () => {
  embedder = await Embedder.load({ cache: false })
})
after(() => {
  embedder.dispose()
})

/** Words of one token each, so that a cut falls between words. */
const WORDS = 'the house is open and we are here with all of our friends from the city by the sea'.split(' ')

function textOf(words: number, first = 0): string {
  return Array.from({ length: words }, (_, i) => WORDS[(first + i * 7) % WORDS.length]).join(' ')
}

const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0)

describe('embedWindows', () => {
  test('gives as many windows as the rule says, and each is the vector of its piece of text', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 30 }),
        async (words, size, step) => {
          const stride = Math.min(size, step)
          const text = textOf(words, size)
          const batch = await embedder.embedWindows([text], { size, stride })
          const windows = batch.windows(0)
          assert.equal(windows.length, words <= size ? 1 : Math.ceil((words - size) / stride) + 1)
          for (const [index, { start, end, vector }] of windows.entries()) {
            const piece = text.slice(start, end)
            assert.equal(
              piece,
              text
                .split(' ')
                .slice(index * stride, index * stride + size)
                .join(' '),
            )
            assert.deepEqual(vector, await embedder.embed(piece))
          }
        },
      ),
      { numRuns: 15 },
    )
  })

  test('a text that fits has one window: the vector that embed gives', async () => {
    const texts = ['A short reply.', textOf(254)]
    const batch = await embedder.embedWindows(texts, { size: 254, stride: 200 })
    assert.equal(batch.rows, 2)
    for (const [index, text] of texts.entries()) {
      assert.equal(batch.windows(index).length, 1)
      assert.deepEqual(batch.windows(index)[0]!.vector, await embedder.embed(text))
    }
    assert.equal((await embedder.embedWindows([textOf(255)], { size: 254, stride: 200 })).windows(0).length, 2)
  })

  test('counts places in the string as JavaScript does', async () => {
    const text = `${'😀 é '.repeat(20)}the end of it`
    const windows = (await embedder.embedWindows([text], { size: 12, stride: 12 })).windows(0)
    assert.ok(windows.length > 2)
    assert.equal(text.slice(windows.at(-1)!.start, windows.at(-1)!.end).endsWith('end of it'), true)
    for (const [index, { start, end }] of windows.entries()) {
      assert.ok(start < end && end <= text.length)
      // Between the surrogates of a pair there is no place to cut.
      assert.ok(!/^[\udc00-\udfff]/.test(text.slice(start)) && !/^[\udc00-\udfff]/.test(text.slice(end)))
      if (index > 0) assert.ok(start >= windows[index - 1]!.end)
    }
  })

  test('texts keep their order, whatever their lengths; one without words has no window', async () => {
    const texts = [textOf(700), '', 'short', '   ', textOf(300, 5), 'another']
    const batch = await embedder.embedWindows(texts, { size: 254, stride: 200 })
    assert.deepEqual(
      texts.map((_, index) => batch.windows(index).length),
      [4, 0, 1, 0, 2, 1],
    )
    for (const index of [2, 5]) assert.deepEqual(batch.windows(index)[0]!.vector, await embedder.embed(texts[index]!))
    for (const { vector } of batch.windows(0)) assert.ok(Math.abs(cosine(vector, vector) - 1) < 1e-5)
    assert.throws(() => batch.windows(6), { code: 'INVALID_ARGUMENT' })
  })

  test('projects every window in the same call', async () => {
    const rows = await embedder.embedBatch(Array.from({ length: 12 }, (_, i) => textOf(4 + i, i)))
    const { model, modelHash, precision } = embedder.info
    const projection = Projection.fitPca(rows, { components: 2, model: { name: model, hash: modelHash, precision } })
    const windows = (await embedder.embedWindows([textOf(40)], { size: 16, stride: 10 }, { projection })).windows(0)
    assert.equal(windows.length, 4)
    for (const { vector, projected } of windows) {
      const expected = projection.apply(vector)
      assert.equal(projected?.length, 2)
      for (const [i, value] of expected.entries()) assert.ok(Math.abs(value - projected[i]!) < 1e-5)
    }
  })

  test('refuses rules that cut nothing, and stops when it is told to', async () => {
    for (const rule of [
      { size: 0, stride: 1 },
      { size: 10, stride: 0 },
      { size: 10, stride: 11 },
      { size: 255, stride: 200 },
      { size: 1.5, stride: 1 },
    ]) {
      await assert.rejects(embedder.embedWindows(['text'], rule), { code: 'INVALID_ARGUMENT' }, JSON.stringify(rule))
    }
    const texts = Array.from({ length: 400 }, (_, i) => textOf(300, i))
    const stop = new AbortController()
    const run = embedder.embedWindows(texts, { size: 254, stride: 200 }, { signal: stop.signal })
    setTimeout(() => {
      stop.abort()
    }, 20)
    await assert.rejects(run, { code: 'ABORTED' })
  })
})
