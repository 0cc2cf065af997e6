// Principal components against scikit-learn's (scripts/golden/make_pca.py), and their properties.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Projection } from '../../lib/projection/projection.js'

interface Golden {
  name: string
  rows: number
  dimensions: number
  components: number
  standardize: boolean
  whiten: boolean
  vectors: string
  mean: string
  axes: string
  points: string
  explainedVariance: number[]
  explainedVarianceRatio: number[]
}

const fixture = JSON.parse(readFileSync(new URL('../fixtures/pca-sklearn.json', import.meta.url), 'utf8')) as { cases: Golden[] }
const TOLERANCE = 1e-6

function doubles(base64: string): Float64Array {
  const bytes = Buffer.from(base64, 'base64')
  return Float64Array.from({ length: bytes.length / 8 }, (_, index) => bytes.readDoubleLE(index * 8))
}

function floats(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64')
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4))
}

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.equal(actual.length, expected.length, what)
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number))
    assert.ok(difference <= tolerance, `${what}[${String(i)}]: ${String(actual[i])} is not ${String(expected[i])}`)
  }
}

function signs(ours: Float64Array, theirs: Float64Array, dimensions: number): number[] {
  return Array.from({ length: ours.length / dimensions }, (_, row) => {
    let dot = 0
    for (let j = 0; j < dimensions; j++) dot += (ours[row * dimensions + j] as number) * (theirs[row * dimensions + j] as number)
    return Math.sign(dot)
  })
}

describe('fitPca equals scikit-learn', () => {
  for (const golden of fixture.cases) {
    test(golden.name, () => {
      const { rows, dimensions, components } = golden
      const data = floats(golden.vectors)
      const pca = Projection.fitPca({ rows, dimensions, data }, { components, standardize: golden.standardize, whiten: golden.whiten })
      const axes = doubles(golden.axes)
      const points = doubles(golden.points)
      const flip = signs(pca.axes, axes, dimensions)
      assertClose(pca.mean, doubles(golden.mean), TOLERANCE, 'mean')
      assertClose(
        pca.axes,
        axes.map((value, i) => value * (flip[Math.floor(i / dimensions)] as number)),
        TOLERANCE,
        'axes',
      )
      assertClose(pca.explainedVariance, golden.explainedVariance, TOLERANCE, 'explainedVariance')
      assertClose(pca.explainedVarianceRatio, golden.explainedVarianceRatio, TOLERANCE, 'explainedVarianceRatio')
      for (let row = 0; row < rows; row++) {
        const point = pca.apply(data.subarray(row * dimensions, (row + 1) * dimensions))
        const expected = points.subarray(row * components, (row + 1) * components).map((value, k) => value * (flip[k] as number))
        assertClose(point, expected, TOLERANCE, `point ${String(row)}`)
      }
    })
  }
})

const vectorRows = fc
  .record({ rows: fc.integer({ min: 2, max: 30 }), dimensions: fc.integer({ min: 1, max: 12 }) })
  .chain(({ rows, dimensions }) =>
    fc
      .array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: rows * dimensions, maxLength: rows * dimensions })
      .map((values) => ({ rows, dimensions, data: Float32Array.from(values) })),
  )
  .filter(({ rows, dimensions, data }) => {
    let spread = 0
    for (let i = dimensions; i < rows * dimensions; i++)
      spread = Math.max(spread, Math.abs((data[i] as number) - (data[i % dimensions] as number)))
    return spread > 1e-3
  })

describe('principal components', () => {
  test('are orthonormal, ordered, and their ratios sum to 1 when all are kept', () => {
    fc.assert(
      fc.property(vectorRows, (vectors) => {
        const { dimensions } = vectors
        const components = Math.min(vectors.rows, dimensions)
        const pca = Projection.fitPca(vectors, { components })
        for (let a = 0; a < components; a++) {
          for (let b = 0; b <= a; b++) {
            let dot = 0
            for (let j = 0; j < dimensions; j++) dot += (pca.axes[a * dimensions + j] as number) * (pca.axes[b * dimensions + j] as number)
            assert.ok(Math.abs(dot - (a === b ? 1 : 0)) < 1e-9, `axes ${String(a)} and ${String(b)}: ${String(dot)}`)
          }
        }
        assert.deepEqual(Array.from(pca.explainedVariance), Array.from(pca.explainedVariance.toSorted().reverse()))
        assert.ok(Math.abs(pca.explainedVarianceRatio.reduce((sum, value) => sum + value, 0) - 1) < 1e-9)
      }),
    )
  })

  test('have a positive largest loading', () => {
    fc.assert(
      fc.property(vectorRows, (vectors) => {
        const { axes } = Projection.fitPca(vectors, { components: 1 })
        let largest = 0
        for (const value of axes) if (Math.abs(value) > Math.abs(largest)) largest = value
        assert.ok(largest > 0)
      }),
    )
  })

  test('a dimension that hardly varies is not blown up by standardising', () => {
    const rows = 40
    const dimensions = 6
    const data = new Float32Array(rows * dimensions)
    for (let i = 0; i < data.length; i++) data[i] = Math.sin(i * i + 1)
    for (let row = 0; row < rows; row++) data[row * dimensions + 2] = 0.5 + (row % 2) * 1e-7
    const pca = Projection.fitPca({ rows, dimensions, data }, { components: 3, standardize: true })
    for (let k = 0; k < 3; k++) assert.ok(Math.abs(pca.axes[k * dimensions + 2] as number) < 1e-3)
  })
})
