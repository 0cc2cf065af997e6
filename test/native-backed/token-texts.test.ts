// From token ids back to a text: with each kind of vocabulary the text has exactly these tokens, and ids of another one are refused.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Embedder } from '../../lib/index.js'

const TEXTS = [
  '',
  'hello world',
  "It's 3.5 € — naïve, unbelievably so!",
  ' two  spaces\tand a\nline',
  'Grüße aus Köln 🙂 東京',
  '[MASK] <s> ##x ▁y Ġz',
]

describe('Embedder.textOf', () => {
  for (const [kind, model] of [
    ['WordPiece', 'test/fixtures/family/bert'],
    ['byte-level BPE', 'test/fixtures/family/roberta'],
    ['Unigram', 'test/fixtures/family/xlm-roberta'],
  ] as const) {
    it(`gives a text of the same tokens and the same vector, or none: ${kind}`, async () => {
      using embedder = await Embedder.load({ model, onTruncated: () => undefined })
      let found = 0
      for (const text of TEXTS) {
        const { ids } = embedder.tokenize(text)
        const again = await embedder.textOf([...ids])
        if (again === null) continue
        found++
        assert.deepEqual(embedder.tokenize(again).ids, ids)
        assert.deepEqual(await embedder.embed(again, { prompt: '' }), await embedder.embed(text))
      }
      // Spaces that a tokenizer joins, and special tokens written out, may have no way back.
      assert.ok(found >= TEXTS.length - 2, `${found} of ${TEXTS.length} texts were found again`)
    })
  }

  it('refuses ids without the special tokens, unknown ones, and more than the model reads', async () => {
    using embedder = await Embedder.load({ model: 'test/fixtures/family/bert', onTruncated: () => undefined })
    const ids = [...embedder.tokenize('hello world').ids]
    const [first, last] = [ids[0]!, ids.at(-1)!]
    const long = [first, ...Array<number>(embedder.info.maxSequenceLength).fill(ids[1]!), last]
    for (const wrong of [[], ids.slice(1), ids.slice(0, -1), [first], [first, 10_000_000, last], long])
      assert.equal(await embedder.textOf(wrong), null)
  })
})
