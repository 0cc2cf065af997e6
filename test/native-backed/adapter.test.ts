// Linear adapters: a teacher that is found again, a rotation that is found again, refusals, folding, and the file.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Embedder } from '../../lib/embedding/embedder.js'
import { LinearAdapter } from '../../lib/projection/adapter.js'
import { Projection } from '../../lib/projection/projection.js'
import type { VectorRows } from '../../lib/projection/vectors.js'
import { normalNumbers, noisyImages } from '../fixtures/teacher.js'

function coded(code: string, reason: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.equal((error as { code?: string }).code, code)
    assert.match((error as Error).message, reason)
    return true
  }
}

/** Vectors with a spectrum that falls off. */
function vectors(rows: number, dimensions: number, seed: number): VectorRows {
  const values = normalNumbers(rows * dimensions, seed)
  return { rows, dimensions, data: Float32Array.from(values, (value, at) => value / Math.sqrt(1 + (at % dimensions))) }
}

function worstDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((worst, value, at) => Math.max(worst, Math.abs(value - b[at]!)), 0)
}

describe('a linear adapter', () => {
  const from = vectors(600, 24, 1)
  const teacher = normalNumbers(40 * 24, 2)

  test('finds a linear teacher again, exactly without noise', () => {
    const to = noisyImages(from, teacher, 40, 0, 3)
    const adapter = LinearAdapter.fit(from, to, { penalties: [1e-12] })
    assert.ok(adapter.quality.r2 > 0.999999)
    assert.ok(adapter.quality.meanCosine > 0.999999)
    assert.ok(worstDifference(adapter.map.axes, teacher) < 1e-3)
    assert.deepEqual([adapter.quality.pairs, adapter.quality.heldBack], [600, 120])
  })

  test('loses no more than the noise, and tells how much that is', () => {
    const to = noisyImages(from, teacher, 40, 0.5, 4)
    const clean = noisyImages(from, teacher, 40, 0, 4)
    const { quality, map } = LinearAdapter.fit(from, to)
    const variance = (values: ArrayLike<number>): number =>
      Array.from(values).reduce((sum, value) => sum + value * value, 0) / values.length
    const ceiling = 1 - 0.25 / variance(to.data)
    assert.ok(Math.abs(quality.r2 - ceiling) < 0.03, `R² ${String(quality.r2)} beside the best possible ${String(ceiling)}`)
    const errors = Array.from({ length: from.rows }, (_, row) => {
      const mapped = map.apply(from.data.subarray(row * 24, (row + 1) * 24))
      return mapped.reduce((sum, value, j) => sum + (value - clean.data[row * 40 + j]!) ** 2, 0) / 40
    })
    // Of the noise's variance, a fit of 25 parameters a dimension on 600 pairs keeps 25/600.
    assert.ok(errors.reduce((sum, value) => sum + value, 0) / errors.length < 0.25 * 0.06)
  })

  test('chooses a strong penalty where there is only noise', () => {
    const noise = { rows: 600, dimensions: 8, data: Float32Array.from(normalNumbers(600 * 8, 5)) }
    const { quality } = LinearAdapter.fit(from, noise)
    assert.ok(quality.penalty !== null && quality.penalty >= 1, String(quality.penalty))
    assert.ok(quality.r2 < 0.05)
  })

  for (const width of [24, 40, 12]) {
    test(`by Procrustes finds a rotation into ${String(width)} dimensions again`, () => {
      // Orthonormal rows or columns out of principal axes.
      const least = Math.min(24, width)
      const basis = Projection.fitPca(vectors(200, Math.max(24, width), 6), { components: least }).axes
      const rotation = new Float64Array(width * 24)
      for (let i = 0; i < width; i++)
        for (let j = 0; j < 24; j++) rotation[i * 24 + j] = width >= 24 ? basis[j * width + i]! : basis[i * 24 + j]!
      const to = noisyImages(from, rotation, width, 0, 7)
      const adapter = LinearAdapter.fit(from, to, { method: 'procrustes' })
      assert.equal(adapter.quality.penalty, null)
      if (width >= 24) assert.ok(worstDifference(adapter.map.axes, rotation) < 1e-4)
      for (let a = 0; a < least; a++) {
        for (let b = 0; b <= a; b++) {
          const at = (i: number, k: number): number => (width >= 24 ? adapter.map.axes[k * 24 + i]! : adapter.map.axes[i * 24 + k]!)
          let dot = 0
          for (let k = 0; k < Math.max(24, width); k++) dot += at(a, k) * at(b, k)
          assert.ok(Math.abs(dot - (a === b ? 1 : 0)) < 1e-6, 'a rotation keeps lengths and angles')
        }
      }
    })
  }

  test('refuses too few pairs and says why, and pairs that are none', () => {
    const few = (rows: number): VectorRows => ({ rows, dimensions: 24, data: from.data.slice(0, rows * 24) })
    assert.throws(
      () => LinearAdapter.fit(few(31), few(31)),
      coded('INVALID_ARGUMENT', /31 pairs are too few .* 24 dimensions.*whatever the truth is; give 32 or more/),
    )
    LinearAdapter.fit(few(32), few(32))
    assert.throws(() => LinearAdapter.fit(few(40), few(41)), coded('INVALID_ARGUMENT', /40 source and 41 target/))
    assert.throws(() => LinearAdapter.fit(from, from, { method: 'lasso' as never }), coded('INVALID_ARGUMENT', /'ridge', 'procrustes'/))
    const broken = { ...from, data: from.data.map((value, at) => (at === 50 ? Number.NaN : value)) }
    assert.throws(() => LinearAdapter.fit(broken, from), coded('INVALID_ARGUMENT', /data\[50\] \(row 2\)/))
  })
})

describe('folding', () => {
  let folder = ''
  let embedder: Embedder
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-adapter-'))
    embedder = await Embedder.load()
  })
  after(async () => {
    embedder.dispose()
    await rm(folder, { recursive: true, force: true })
  })

  test('changes no point by 1e-5, in native code too', async () => {
    const texts = Array.from(
      { length: 500 },
      (_, index) => `Sentence number ${String(index)} about ${['rain', 'cheese', 'maps', 'ships'][index % 4]!}.`,
    )
    const batch = await embedder.embedBatch(texts)
    const { model: name, modelHash: hash, precision } = embedder.info
    const model = { name, hash, precision }
    const to = noisyImages(batch, normalNumbers(96 * 384, 8), 96, 0.01, 9)
    const adapter = LinearAdapter.fit(batch, to, { model, target: 'cloud' })
    const pca = Projection.fitPca(to, {
      components: 2,
      whiten: true,
      standardize: true,
      model: { name: 'cloud', hash: 'aa', precision: 'fp32' },
    })
    const folded = adapter.fold(pca)
    assert.deepEqual(folded.model, model)
    for (let row = 0; row < 50; row++) {
      const inSteps = pca.apply(Float64Array.from(adapter.apply(batch.row(row))))
      assert.ok(worstDifference(folded.apply(batch.row(row)), inSteps) < 1e-5)
      assert.ok(worstDifference(await embedder.embed(texts[row]!, { projection: folded }), inSteps) < 1e-5)
    }
    const other = Projection.fitPca(to, { components: 2, model: { name: 'another', hash: 'aa', precision: 'fp32' } })
    assert.throws(() => adapter.fold(other), coded('PROJECTION_MISMATCH', /fitted on another, the adapter gives vectors of cloud/))
    assert.throws(
      () => adapter.fold(Projection.fitPca(batch, { components: 2 })),
      coded('PROJECTION_MISMATCH', /384 dimensions, the adapter gives 96/),
    )
    const foreign = LinearAdapter.fit(batch, to, { model: { ...model, name: 'another' } }).fold(pca)
    await assert.rejects(embedder.embed('text', { projection: foreign }), coded('PROJECTION_MISMATCH', /another/))

    const file = join(folder, 'adapter.json')
    await adapter.save(file)
    const loaded = await LinearAdapter.load(file)
    assert.deepEqual(loaded.quality, adapter.quality)
    assert.equal(loaded.fold(pca).id, folded.id)
    const saved = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
    for (const [field, value] of Object.entries({ format: 'x', version: 9, target: 4, quality: { method: 'ridge' }, map: null })) {
      await writeFile(file, JSON.stringify({ ...saved, [field]: value }))
      await assert.rejects(LinearAdapter.load(file), coded('ARTIFACT_INVALID', new RegExp(`adapter\\.json: field '${field}`)), field)
    }
  })
})
