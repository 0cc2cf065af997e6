// The simulated move: a cloud that is a random linear teacher of the local vectors with noise, 384 → 1536 → 2; the adapter finds it
// again within the noise, and the verdict is "safe" there and "not safe" for a shuffled pairing. And the measures on cases by hand.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { comparePoints, compareSpaces, type SpaceAgreement } from '../../lib/migration/agreement.js'
import { judge, type Measures } from '../../lib/migration/verdict.js'
import { comparisonPage } from '../../lib/report/comparison-page.js'
import { LinearAdapter } from '../../lib/projection/adapter.js'
import { Projection, type VectorRows } from '../../lib/projection/projection.js'
import { normalNumbers, noisyImages } from '../fixtures/teacher.js'

const [LOCAL, CLOUD, PAIRS, COMPARED] = [384, 1536, 800, 200]
/** Share of the cloud's variance that is noise. */
const NOISE = 0.1

function rowsOf({ dimensions, data }: VectorRows, from: number, to: number): VectorRows {
  return { rows: to - from, dimensions, data: data.slice(from * dimensions, to * dimensions) }
}

function mapped(vectors: VectorRows, projection: Projection): VectorRows {
  const { rows, dimensions, data } = vectors
  const result = new Float32Array(rows * projection.components)
  for (let row = 0; row < rows; row++)
    result.set(projection.apply(data.subarray(row * dimensions, (row + 1) * dimensions)), row * projection.components)
  return { rows, dimensions: projection.components, data: result }
}

describe('the simulated move', () => {
  let local: VectorRows
  let cloud: VectorRows
  let clean: VectorRows
  let plane: Projection

  before(() => {
    // A spectrum that falls off, as embeddings have: 24 strong directions and a weak rest.
    const rows = PAIRS + COMPARED
    const strong = normalNumbers(rows * 24, 1)
    const basis = normalNumbers(24 * LOCAL, 2)
    const data = normalNumbers(rows * LOCAL, 3).map((value) => value * 0.05)
    for (let row = 0; row < rows; row++)
      for (let k = 0; k < 24; k++)
        for (let j = 0; j < LOCAL; j++)
          data[row * LOCAL + j]! += (strong[row * 24 + k]! * basis[k * LOCAL + j]!) / Math.sqrt(1 + k) / Math.sqrt(LOCAL)
    local = { rows, dimensions: LOCAL, data: Float32Array.from(data) }
    const teacher = normalNumbers(CLOUD * LOCAL, 4)
    clean = noisyImages(local, teacher, CLOUD, 0, 5)
    const variance = Float64Array.from(clean.data).reduce((sum, value) => sum + value * value, 0) / clean.data.length
    const noise = Math.sqrt((variance * NOISE) / (1 - NOISE))
    const jitter = normalNumbers(clean.data.length, 6)
    cloud = { ...clean, data: Float32Array.from(clean.data, (value, at) => value + noise * jitter[at]!) }
    plane = Projection.fitPca(cloud, { components: 2 })
  })

  function move(pairing: VectorRows): { adapter: LinearAdapter; measures: Measures } {
    const adapter = LinearAdapter.fit(rowsOf(local, 0, PAIRS), pairing, { penalties: [1e-4, 1e-3, 1e-2, 1e-1, 1] })
    const [fresh, old] = [rowsOf(local, PAIRS, PAIRS + COMPARED), rowsOf(cloud, PAIRS, PAIRS + COMPARED)]
    const space = compareSpaces(old, mapped(fresh, adapter.map))
    const points = comparePoints(mapped(old, plane), mapped(fresh, adapter.fold(plane)))
    return { adapter, measures: { space, points, alerts: null } }
  }

  test('recovers the teacher within the noise, and is safe', () => {
    const { adapter, measures } = move(rowsOf(cloud, 0, PAIRS))
    // The most that can be explained is 1 − NOISE; 384 parameters a dimension learn some of the noise of 640 pairs.
    assert.ok(adapter.quality.r2 > 1 - 2 * NOISE && adapter.quality.r2 < 1 - NOISE / 2, String(adapter.quality.r2))
    // Against the teacher without noise: the residual is a part of the noise.
    const guessed = mapped(rowsOf(local, PAIRS, PAIRS + COMPARED), adapter.map)
    const truth = rowsOf(clean, PAIRS, PAIRS + COMPARED)
    let [error, total] = [0, 0]
    for (let at = 0; at < truth.data.length; at++) {
      error += (guessed.data[at]! - truth.data[at]!) ** 2
      total += truth.data[at]! ** 2
    }
    assert.ok(error / total < NOISE, String(error / total))
    const verdict = judge(measures)
    assert.equal(verdict.safe, true, verdict.reasons.join('; '))
    assert.match(verdict.summary, /^Safe to switch/)
    const side = { name: '<old & cloud>', dimensions: CLOUD, latency: { texts: 3, p50: 80, p90: 120, p99: 200 }, cost: 0.01 }
    const page = comparisonPage(
      {
        format: 'gabion-comparison',
        version: 1,
        old: side,
        new: { ...side, name: 'local', cost: null },
        adapter: null,
        ...measures,
        verdict,
      },
      'Made by a test.',
    )
    assert.match(page, /Safe to switch/)
    assert.match(page, /&lt;old &amp; cloud&gt;/)
    assert.doesNotMatch(page, /<old & cloud>/)
  })

  test('is not safe for a shuffled pairing', () => {
    const { dimensions, data } = rowsOf(cloud, 0, PAIRS)
    const shuffled = new Float32Array(data.length)
    for (let row = 0; row < PAIRS; row++)
      shuffled.set(data.subarray(row * dimensions, (row + 1) * dimensions), ((row * 337) % PAIRS) * dimensions)
    const { adapter, measures } = move({ rows: PAIRS, dimensions, data: shuffled })
    assert.ok(adapter.quality.r2 < 0.05, String(adapter.quality.r2))
    const verdict = judge(measures)
    assert.equal(verdict.safe, false)
    assert.match(verdict.summary, /^Not safe to switch/)
    assert.ok(verdict.reasons[0]!.includes('below'))
  })
})

describe('agreement of spaces', () => {
  const base: VectorRows = { rows: 40, dimensions: 6, data: Float32Array.from(normalNumbers(240, 9)) }

  test('is whole for the same vectors, turned and made longer', () => {
    const turned = Projection.fitPca(base, { components: 6 })
    const centered = { ...base, data: base.data.map((value, at) => value - turned.mean[at % 6]!) }
    const rotated = mapped(base, turned)
    const found = compareSpaces(centered, { ...rotated, data: rotated.data.map((value) => value * 3) }, 5)
    for (const value of [found.pearson, found.spearman, found.neighborOverlap, found.kernelAlignment])
      assert.ok(value > 0.9999, String(value))
    assert.deepEqual([found.texts, found.pairs, found.neighbors], [40, 780, 5])
  })

  test('is none for unrelated vectors', () => {
    const other = { rows: 400, dimensions: 50, data: Float32Array.from(normalNumbers(20_000, 10)) }
    const found = compareSpaces({ ...other, data: Float32Array.from(normalNumbers(20_000, 11)) }, other)
    assert.ok(Math.abs(found.pearson) < 0.05 && Math.abs(found.spearman) < 0.05)
    assert.ok(found.neighborOverlap < 0.1 && found.kernelAlignment < 0.3)
  })

  test('refuses what is not paired', () => {
    assert.throws(() => compareSpaces(base, { ...base, rows: 20, data: base.data.slice(0, 120) }), /row i of both must be the same text/)
    assert.throws(
      () => comparePoints(base, { rows: 40, dimensions: 3, data: base.data.slice(0, 120) }),
      /number of components, got 6 and 3/,
    )
  })
})

test('alerts decide where they were compared', () => {
  const space = { texts: 500, spearman: 0.1, neighborOverlap: 0.1, kernelAlignment: 0.1, neighbors: 10 } as SpaceAgreement
  const alerts = { conversations: 9, exchanges: 100, agreeing: 99, both: 20, onlyOld: 0, onlyNew: 1, disagreements: [] }
  assert.equal(judge({ space, points: null, alerts }).safe, true)
  assert.equal(judge({ space, points: null, alerts: null }).safe, false)
  const missed = judge({ space: null, points: null, alerts: { ...alerts, both: 18, onlyOld: 2, onlyNew: 0, agreeing: 98 } })
  assert.deepEqual([missed.safe, missed.criteria.filter(({ met }) => !met).map(({ name }) => name)], [false, ['alertsKept']])
  assert.equal(judge({ space: null, points: null, alerts: { ...alerts, exchanges: 20, agreeing: 20 } }).safe, false)
  assert.throws(() => judge({ space: null, points: null, alerts: null }), /nothing was compared/)
})
