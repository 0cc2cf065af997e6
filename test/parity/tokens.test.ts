// Token ids are those of Hugging Face's own tokenizer for 10,000 texts. Source: test/fixtures/tokens.golden.jsonl.gz, made by
// scripts/golden/make_tokens.py, which describes its lines. Tolerance: none.

import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { Embedder } from '../../lib/embedding/embedder.js'

interface Head {
  tokenizer: string
  tokenizer_sha256: string
  max_tokens: number
  texts: number
}

/** A text, or a piece that is repeated, and its tokens. */
interface Golden {
  text?: string
  surrogates?: string[]
  repeat?: string
  times?: number
  total: number
  ids: number[]
}

const root = new URL('../../', import.meta.url)
const [head, ...goldens] = readGolden()

describe('tokens equal Hugging Face', () => {
  let embedder: Embedder
  before(async () => {
    embedder = await Embedder.load()
  })
  after(() => {
    embedder.dispose()
  })

  test('the golden file is of this tokenizer and whole', () => {
    const definition = readFileSync(new URL(head.tokenizer, root))
    assert.equal(createHash('sha256').update(definition).digest('hex'), head.tokenizer_sha256)
    assert.equal(embedder.info.maxSequenceLength, head.max_tokens)
    assert.equal(goldens.length, head.texts)
    assert.ok(head.texts >= 10_000)
  })

  test('for every text', () => {
    for (const golden of goldens) assertTokens(embedder, textOf(golden), golden)
  })

  test('for every lone surrogate, as for U+FFFD', () => {
    let found = 0
    for (const golden of goldens) {
      if (!golden.surrogates) continue
      const units = golden.surrogates.map((unit) => parseInt(unit, 16))
      const text = textOf(golden).replaceAll('\ufffd', () => String.fromCharCode(units.shift() ?? 0))
      assert.equal(units.length, 0)
      assert.match(text, /\p{Surrogate}/u)
      assertTokens(embedder, text, golden)
      found++
    }
    assert.ok(found > 0)
  })
})

function assertTokens(embedder: Embedder, text: string, golden: Golden): void {
  const start = text.slice(0, 120)
  const { ids, totalTokenCount: tokens, truncated } = embedder.tokenize(text)
  assert.deepEqual(
    { start, ids: Array.from(ids), tokens, truncated },
    { start, ids: golden.ids, tokens: golden.total, truncated: golden.total > golden.ids.length },
  )
}

function textOf(golden: Golden): string {
  return golden.text ?? (golden.repeat ?? '').repeat(golden.times ?? 0)
}

function readGolden(): [Head, ...Golden[]] {
  const lines = gunzipSync(readFileSync(new URL('test/fixtures/tokens.golden.jsonl.gz', root))).toString('utf8')
  return lines
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line)) as [Head, ...Golden[]]
}
