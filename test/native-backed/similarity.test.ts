// Similarities and exact search, against plain loops.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Embedder } from '../../lib/embedding/embedder.js'
import { cosineSimilarity, dotProduct, semanticSearch, type SearchHit } from '../../lib/embedding/similarity.js'

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0)

interface Matrix {
  rows: number
  dimensions: number
  data: Float32Array | Float64Array
}

const rowOf = ({ data, dimensions }: Matrix, row: number): Float32Array | Float64Array =>
  data.subarray(row * dimensions, (row + 1) * dimensions)

/** The search as one would write it down. */
function plainSearch(query: ArrayLike<number>, matrix: Matrix, topK: number, score: typeof dot): SearchHit[] {
  return Array.from({ length: matrix.rows }, (_, index) => ({ index, score: score(query, rowOf(matrix, index)) }))
    .filter((hit) => Number.isFinite(hit.score))
    .sort((a, b) => b.score - a.score)
    .slice(0, topK)
}

describe('semanticSearch', () => {
  const value = fc.double({ min: -1, max: 1, noNaN: true }).map(Math.fround)
  const search = fc.integer({ min: 1, max: 70 }).chain((dimensions) =>
    fc.record({
      query: fc.array(value, { minLength: dimensions, maxLength: dimensions }),
      values: fc.array(fc.array(value, { minLength: dimensions, maxLength: dimensions }), { maxLength: 40 }),
      topK: fc.integer({ min: 1, max: 50 }),
      Kind: fc.constantFrom(Float32Array, Float64Array),
      similarity: fc.constantFrom('cosine' as const, 'dot' as const),
    }),
  )

  test('gives what comparing with every row gives', () => {
    fc.assert(
      fc.property(search, ({ query, values, topK, Kind, similarity }) => {
        const matrix = { rows: values.length, dimensions: query.length, data: Kind.from(values.flat()) }
        const expected = plainSearch(query, matrix, topK, similarity === 'dot' ? dot : cosineSimilarity)
        const found = semanticSearch(query, matrix, { topK, similarity })
        assert.equal(found.length, expected.length)
        // Rounding may order scores that are equal otherwise; so scores are compared, and each with its own row.
        for (const [rank, { index, score }] of found.entries()) {
          assert.ok(Math.abs(score - expected[rank]!.score) < 1e-12)
          const own = (similarity === 'dot' ? dotProduct : cosineSimilarity)(query, rowOf(matrix, index))
          assert.ok(Math.abs(score - own) < 1e-12)
        }
        assert.equal(new Set(found.map(({ index }) => index)).size, found.length)
      }),
    )
  })

  test('finds the best of many rows, also where scores rise to the end', () => {
    const rows = 5000
    const data = Float32Array.from({ length: 2 * rows }, (_, i) =>
      i % 2 === 0 ? Math.cos(i / (2 * rows)) : Math.sin((i - 1) / (2 * rows)),
    )
    const hits = semanticSearch([Math.cos(1), Math.sin(1)], { rows, dimensions: 2, data }, { topK: 3 })
    assert.deepEqual(
      hits.map(({ index }) => index),
      [4999, 4998, 4997],
    )
  })

  test('puts the first of equal rows first, and leaves out rows that have no direction', () => {
    const data = Float32Array.of(0, 0, 1, 0, 0, 1, 1, 0, NaN, 0)
    const hits = semanticSearch([1, 0], { rows: 5, dimensions: 2, data })
    assert.deepEqual(hits, [
      { index: 1, score: 1 },
      { index: 3, score: 1 },
      { index: 2, score: 0 },
    ])
    assert.deepEqual(semanticSearch([1, 0], { rows: 0, dimensions: 2, data: new Float32Array() }), [])
  })

  test('refuses what it cannot compare', () => {
    const rows = { rows: 1, dimensions: 2, data: Float32Array.of(1, 0) }
    assert.throws(() => semanticSearch([1], rows), {
      code: 'INVALID_ARGUMENT',
      message: /query must have the 2 dimensions of the rows, got 1/,
    })
    assert.throws(() => semanticSearch([1, 0], rows, { topK: 0 }), { name: 'RangeError', message: /topK must be an integer of 1 or more/ })
    assert.throws(() => semanticSearch([1, 0], rows, { similarity: 'euclidean' as never }), /similarity must be one of 'cosine', 'dot'/)
    assert.throws(() => semanticSearch([1, 0], { ...rows, data: [1, 0] as never }), { name: 'TypeError' })
    assert.throws(() => semanticSearch('query' as never, rows), { name: 'TypeError' })
    assert.throws(() => semanticSearch([1, 0], [[1, 0]] as never), { name: 'TypeError', message: /an EmbeddingBatch or an object/ })
  })
})

describe('two vectors', () => {
  test('have a dot product and a cosine', () => {
    assert.equal(dotProduct([1, 2, 3], Float32Array.of(4, 5, 6)), 32)
    assert.ok(Math.abs(cosineSimilarity([1, 0], [1, 1]) - Math.SQRT1_2) < 1e-15)
    assert.throws(() => dotProduct([1], [1, 2]), { name: 'RangeError', message: /must have the same length, got 1 and 2/ })
  })
})

test('a batch is searched by its texts, iterated and counted', async () => {
  using embedder = await Embedder.load()
  const texts = ['Refunds take two weeks.', 'We open at nine.', 'Parcels arrive at noon.']
  const batch = await embedder.embed(texts)
  assert.equal(batch.length, 3)
  assert.deepEqual([...batch], [batch.row(0), batch.row(1), batch.row(2)])
  assert.deepEqual(batch.row(1), await embedder.embed('We open at nine.'))
  const [first, ...rest] = semanticSearch(await embedder.embed('When is a refund paid?'), batch)
  assert.equal(first?.index, 0)
  assert.equal(rest.length, 2)
})
