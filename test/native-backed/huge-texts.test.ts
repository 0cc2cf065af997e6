// Texts that nobody sends on purpose: ten megabytes, lone surrogates at both ends, one character over and over.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Embedder } from '../../lib/embedding/embedder.js'

const MEGABYTES = 10

describe('a text of ten megabytes', () => {
  let embedder: Embedder
  before(async () => {
    embedder = await Embedder.load({ cache: false, onTruncated: () => undefined })
  })
  after(() => embedder.dispose())

  // A word of more than a hundred characters is one unknown token, in addition to the two special ones; U+FFFD is none.
  for (const [what, part, ...expected] of [
    ['of words', 'a few words ', 256, true],
    ['without a space', 'x', 3, false],
    ['of combining marks', 'e\u0301\u0323', 3, false],
    ['of emoji', '👩‍👧', 3, false],
    ['of lone surrogates', '\ud83d', 2, false],
  ] as const) {
    test(what, async () => {
      const text = `\udfff${part.repeat((MEGABYTES << 20) / part.length)}\ud800`
      const vector = await embedder.embed(text)
      assert.ok(vector.every(Number.isFinite))
      const { ids, truncated } = embedder.tokenize(text)
      assert.deepEqual([ids.length, truncated], expected)
      // What is cut off has no say: the beginning alone gives the same vector, where a cut falls between words.
      if (what === 'of words') assert.deepEqual(await embedder.embed(text.slice(0, 20_000)), vector)
    })
  }
})
