// Vectors of fewer dimensions: cut, then of unit length, the same wherever the number is given.

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { loadErosionDetector } from '../../lib/detection/erosion/load-erosion.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { Projection } from '../../lib/projection/projection.js'

const TEXTS = ['The kettle is on.', 'We open at nine.', 'Parcels arrive at noon.', 'Refunds take two weeks.']

/** The first values of a vector, as of unit length. */
function shortened(vector: Float32Array, dimensions: number): Float32Array {
  const first = vector.subarray(0, dimensions)
  const length = Math.sqrt(first.reduce((sum, value) => sum + value * value, 0))
  return Float32Array.from(first, (value) => value / length)
}

describe('dimensions', () => {
  let whole: Embedder
  let small: Embedder
  before(async () => {
    whole = await Embedder.load()
    small = await Embedder.load({ dimensions: 64 })
  })
  after(() => {
    whole.dispose()
    small.dispose()
  })

  test('of a call, of an embedder, in a batch and on this thread give the same vector', async () => {
    const [text = ''] = TEXTS
    const expected = shortened(await whole.embed(text), 64)
    assert.equal(expected.length, 64)
    assert.deepEqual(await whole.embed(text, { dimensions: 64 }), expected)
    assert.deepEqual(whole.embedSync(text, { dimensions: 64 }), expected)
    assert.deepEqual(await small.embed(text), expected)
    assert.deepEqual(small.embedSync(text), expected)
    const batch = await whole.embedBatch(TEXTS, { dimensions: 64 })
    assert.deepEqual([batch.dimensions, batch.data.length], [64, 4 * 64])
    assert.deepEqual(batch.row(0), expected)
    const windows = await whole.embedWindows([text], { size: 32, stride: 32 }, { dimensions: 64 })
    assert.deepEqual(windows.windows(0)[0]?.vector, expected)
    assert.deepEqual(await small.embed(text, { dimensions: 16 }), await whole.embed(text, { dimensions: 16 }))
  })

  test('as many as the model has change nothing', async () => {
    assert.deepEqual(await whole.embed('the same', { dimensions: 384 }), await whole.embed('the same'))
  })

  test('are told by info, and not mixed up by the cache', async () => {
    assert.deepEqual([small.info.dimensions, small.info.modelDimensions, small.dimensions], [64, 384, 64])
    assert.equal(whole.info.modelDimensions, 384)
    using own = await Embedder.load()
    const lengths: number[] = []
    for (const dimensions of [384, 8, 32, 8, 384]) lengths.push((await own.embed('again and again', { dimensions })).length)
    assert.deepEqual(lengths, [384, 8, 32, 8, 384])
    assert.deepEqual([own.cacheStats.hits, own.cacheStats.misses], [4, 1])
  })

  test('beyond those that there are, or none, are refused', async () => {
    for (const dimensions of [0, 385, 1.5]) {
      await assert.rejects(whole.embed('a', { dimensions }), {
        name: 'RangeError',
        code: 'INVALID_ARGUMENT',
        message: /dimensions must be/,
      })
      await assert.rejects(Embedder.load({ dimensions }), { name: 'RangeError', code: 'INVALID_ARGUMENT', message: /dimensions must be/ })
    }
    await assert.rejects(small.embed('a', { dimensions: 65 }), { message: /dimensions must be an integer from 1 to 64, got 65/ })
    await assert.rejects(whole.embed('a', { dimensions: '64' as never }), { name: 'TypeError', code: 'INVALID_ARGUMENT' })
  })

  test('a projection fitted on cut vectors applies to these alone', async () => {
    const batch = await whole.embedBatch(TEXTS, { dimensions: 64 })
    const { model: name, modelHash: hash, precision } = whole.info
    const projection = Projection.fitPca(batch, { components: 2, model: { name, hash, precision } })
    const expected = projection.apply(batch.row(1))
    const text = TEXTS[1] ?? ''
    assert.deepEqual(await whole.embed(text, { dimensions: 64, projection }), expected)
    assert.deepEqual(await small.embed(text, { projection }), expected)
    assert.deepEqual(small.embedSync(text, { projection }), expected)
    const projected = await small.embedBatch(TEXTS, { projection })
    assert.deepEqual([projected.components, projected.projectedRow(1), projected.row(1)], [2, expected, batch.row(1)])
    assert.ok(projected.timings.projectMs > 0)
    const misfit = { code: 'PROJECTION_MISMATCH', message: /takes vectors of 64 dimensions, .* 384/ }
    await assert.rejects(whole.embed(text, { projection }), misfit)
    await assert.rejects(whole.embed(text, { dimensions: 32, projection }), { code: 'PROJECTION_MISMATCH' })
    const other = Projection.fitPca(batch, { components: 2, model: { name: 'another-model', hash, precision } })
    await assert.rejects(small.embed(text, { projection: other }), { code: 'PROJECTION_MISMATCH', message: /was fitted on another-model/ })
  })

  test('a detector of whole vectors is refused for cut ones', async () => {
    await assert.rejects(loadErosionDetector(small), {
      code: 'ARTIFACT_INVALID',
      message: /\(384 dimensions\), this is all-MiniLM-L6-v2 \(64\)/,
    })
  })
})

test('a folder’s truncate_dim is a default, and its vectors stay as it says', async () => {
  const place = mkdtempSync(join(tmpdir(), 'gabion-dimensions-'))
  const savedCache = process.env.GABION_CACHE
  process.env.GABION_CACHE = join(place, 'cache')
  try {
    const folder = join(place, 'model')
    cpSync(fileURLToPath(new URL('../fixtures/family/bert', import.meta.url)), folder, { recursive: true })
    using whole = await Embedder.load({ model: folder })
    writeFileSync(join(folder, 'config_sentence_transformers.json'), JSON.stringify({ truncate_dim: 16 }))
    using cut = await Embedder.load({ model: folder })
    using wider = await Embedder.load({ model: folder, dimensions: 24 })
    const [text = ''] = TEXTS
    const all = await whole.embed(text)
    const own = all.slice(0, 16)
    assert.deepEqual([cut.info.dimensions, cut.info.modelDimensions], [16, 16])
    assert.deepEqual(await cut.embed(text), own)
    assert.deepEqual(await cut.embed(text, { dimensions: 8 }), shortened(all, 8))
    assert.deepEqual([wider.info.dimensions, wider.info.modelDimensions], [24, 16])
    assert.deepEqual(await wider.embed(text), shortened(all, 24))
    assert.deepEqual(await wider.embed(text, { dimensions: 16 }), own)
  } finally {
    if (savedCache === undefined) Reflect.deleteProperty(process.env, 'GABION_CACHE')
    else process.env.GABION_CACHE = savedCache
    rmSync(place, { recursive: true })
  }
})
