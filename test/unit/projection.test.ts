// Projection: the affine map, its identity, its file, and every refusal.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { Projection, type ProjectionParts } from '../../lib/projection/projection.js'

const model = { name: 'all-MiniLM-L6-v2', hash: 'ab'.repeat(32), precision: 'bf16' }

function coded(code: string, ...parts: RegExp[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Error)
    assert.equal((error as { code?: string }).code, code, error.message)
    for (const part of parts) assert.match(error.message, part)
    return true
  }
}

function parts(change: Partial<ProjectionParts> = {}): ProjectionParts {
  return {
    components: 2,
    dimensions: 3,
    mean: Float64Array.of(1, 2, 3),
    axes: Float64Array.of(1, 0, 0, 0, 0.5, -0.5),
    explainedVariance: Float64Array.of(2, 1),
    explainedVarianceRatio: Float64Array.of(0.5, 0.25),
    model,
    fit: { rows: 10, standardized: false },
    ...change,
  }
}

function ramp(rows: number, dimensions: number): { rows: number; dimensions: number; data: Float32Array } {
  return { rows, dimensions, data: Float32Array.from({ length: rows * dimensions }, (_, i) => Math.sin(i * i)) }
}

describe('the map', () => {
  test('subtracts the mean and multiplies by the axes', () => {
    // (5, 6, 11) − (1, 2, 3) = (4, 4, 8); axes: 1·4 = 4 and 0.5·4 − 0.5·8 = −2
    assert.deepEqual(Array.from(Projection.fromParts(parts()).apply(Float32Array.of(5, 6, 11))), [4, -2])
  })

  test('its affine form gives the same points', () => {
    const value = fc.double({ min: -10, max: 10, noNaN: true })
    fc.assert(
      fc.property(fc.array(value, { minLength: 12, maxLength: 12 }), (numbers) => {
        const mean = Float64Array.from(numbers.slice(0, 3))
        const axes = Float64Array.from(numbers.slice(3, 9))
        const x = Float64Array.from(numbers.slice(9))
        const projection = Projection.fromParts(parts({ mean, axes }))
        const { matrix, offset } = projection.affine()
        const point = projection.apply(x)
        for (let k = 0; k < 2; k++) {
          let y = offset[k] as number
          for (let j = 0; j < 3; j++) y += (matrix[k * 3 + j] as number) * (x[j] as number)
          assert.ok(Math.abs(y - (point[k] as number)) < 1e-4)
        }
      }),
    )
  })

  test('copies what it is made of', () => {
    const source = parts()
    const projection = Projection.fromParts(source)
    source.axes.fill(7)
    projection.affine().matrix.fill(7)
    assert.deepEqual(Array.from(projection.apply(Float32Array.of(5, 6, 11))), [4, -2])
  })

  test('refuses vectors of other dimensions', () => {
    const projection = Projection.fromParts(parts())
    assert.throws(() => projection.apply(new Float32Array(4)), coded('PROJECTION_MISMATCH', /3 dimensions, got 4/))
    assert.throws(() => projection.apply([1, 2, 3] as unknown as Float32Array), coded('INVALID_ARGUMENT', /vector/))
  })
})

describe('the identity', () => {
  test('is that of the map, not of what is known about it', () => {
    const id = Projection.fromParts(parts()).id
    assert.match(id, /^[0-9a-f]{64}$/)
    assert.equal(Projection.fromParts(parts({ model: null, fit: null, explainedVariance: Float64Array.of(9, 9) })).id, id)
    assert.notEqual(Projection.fromParts(parts({ mean: Float64Array.of(1, 2, 3.0000001) })).id, id)
    assert.notEqual(Projection.fromParts(parts({ axes: Float64Array.of(1, 0, 0, 0, 0.5, -0.4) })).id, id)
  })

  test('tells shapes of equal numbers apart', () => {
    const one = { explainedVariance: Float64Array.of(1), explainedVarianceRatio: Float64Array.of(1) }
    const a = Projection.fromParts(parts({ ...one, components: 1, dimensions: 2, mean: new Float64Array(2), axes: new Float64Array(2) }))
    const b = Projection.fromParts(parts({ components: 2, dimensions: 1, mean: new Float64Array(1), axes: new Float64Array(2) }))
    assert.notEqual(a.id, b.id)
  })
})

describe('refusals of fitPca', () => {
  const refused: [string, () => unknown, RegExp][] = [
    [
      'more components than dimensions',
      () => Projection.fitPca(ramp(10, 4), { components: 5 }),
      /components must be at most 4, .*10 rows and 4 dimensions, got 5/,
    ],
    ['more components than rows', () => Projection.fitPca(ramp(3, 8), { components: 4 }), /components must be at most 3/],
    ['no components', () => Projection.fitPca(ramp(3, 8), { components: 0 }), /components must be an integer of 1 or more, got 0/],
    ['one row', () => Projection.fitPca(ramp(1, 8), { components: 1 }), /rows must be an integer of 2 or more/],
    [
      'a wrong length',
      () => Projection.fitPca({ ...ramp(3, 4), rows: 4 }, { components: 1 }),
      /data must be 4 \* 4 = 16 values long, got 12/,
    ],
    [
      'an array of arrays',
      () =>
        Projection.fitPca(
          {
            rows: 2,
            dimensions: 2,
            data: [
              [1, 2],
              [3, 4],
            ] as unknown as Float32Array,
          },
          { components: 1 },
        ),
      /data must be a Float32Array/,
    ],
    [
      'equal rows',
      () => Projection.fitPca({ rows: 3, dimensions: 2, data: Float32Array.of(1, 2, 1, 2, 1, 2) }, { components: 1 }),
      /vectors must differ/,
    ],
    [
      'NaN',
      () => Projection.fitPca({ rows: 2, dimensions: 2, data: Float32Array.of(1, 2, 3, NaN) }, { components: 1 }),
      /data\[3\] \(row 1\) must be a finite number, got NaN/,
    ],
    [
      'infinity',
      () => Projection.fitPca({ rows: 2, dimensions: 2, data: Float32Array.of(1, Infinity, 3, 4) }, { components: 1 }),
      /data\[1\] \(row 0\)/,
    ],
    ['an unknown option', () => Projection.fitPca(ramp(3, 4), { components: 1, solver: 'full' } as never), /no option 'solver'/],
    ['no vectors', () => Projection.fitPca(null as never, { components: 1 }), /vectors must be an object/],
  ]
  for (const [name, call, message] of refused) {
    test(name, () => {
      assert.throws(call, coded('INVALID_ARGUMENT', message))
    })
  }
})

describe('the file', () => {
  let folder: string
  before(async () => void (folder = await mkdtemp(join(tmpdir(), 'gabion-projection-'))))
  after(() => rm(folder, { recursive: true }))

  test('gives back every part exactly, and leaves nothing beside', async () => {
    const pca = Projection.fitPca(ramp(20, 7), { components: 3, model, standardize: true })
    const file = join(folder, 'pca.json')
    await pca.save(file)
    await pca.save(file)
    assert.deepEqual(await readdir(folder), ['pca.json'])
    const read = await Projection.load(file)
    assert.deepEqual(read, pca)
    assert.deepEqual(read.fit, { rows: 20, standardized: true })
  })

  test('that cannot be written is an error', async () => {
    await assert.rejects(Projection.fromParts(parts()).save(join(folder, 'none', 'pca.json')), coded('INVALID_ARGUMENT', /none/))
  })

  test('that does not exist, or is not a projection, is an error naming it', async () => {
    await assert.rejects(Projection.load(join(folder, 'absent.json')), coded('ARTIFACT_INVALID', /absent\.json/))
    for (const text of ['', '{', '[]', 'null', '7', '"x"']) {
      const file = join(folder, 'bad.json')
      await writeFile(file, text)
      await assert.rejects(Projection.load(file), coded('ARTIFACT_INVALID', /bad\.json/))
    }
  })

  test('every damaged field is named', async () => {
    const file = join(folder, 'whole.json')
    await Projection.fromParts(parts()).save(file)
    const whole = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
    const shorter = Buffer.alloc(16).toString('base64')
    const notFinite = Buffer.from(Float64Array.of(1, NaN, 3).buffer).toString('base64')
    const damages: [string, unknown][] = [
      ['format', 'pickle'],
      ['version', 2],
      ['components', 0],
      ['components', '2'],
      ['dimensions', 2.5],
      ['model', 'all-MiniLM-L6-v2'],
      ['model', undefined],
      ['hash', { name: 'a', precision: 'fp32' }],
      ['fit', { rows: 3 }],
      ['rows', { rows: 0, standardized: false }],
      ['mean', shorter],
      ['mean', notFinite],
      ['axes', null],
      ['explainedVariance', [1]],
      ['explainedVarianceRatio', [1, 'x']],
      ['id', 4],
      ['id', '00'],
    ]
    for (const [field, value] of damages) {
      const place = field === 'hash' ? 'model' : field === 'rows' ? 'fit' : field
      const damaged = join(folder, 'damaged.json')
      await writeFile(damaged, JSON.stringify({ ...whole, [place]: value }))
      await assert.rejects(Projection.load(damaged), coded('ARTIFACT_INVALID', /damaged\.json/, new RegExp(`['.]${field}['.]`)), field)
    }
  })

  test('a changed number is noticed', async () => {
    const file = join(folder, 'changed.json')
    await Projection.fromParts(parts()).save(file)
    const whole = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
    await writeFile(file, JSON.stringify({ ...whole, mean: Buffer.from(Float64Array.of(1, 2, 4).buffer).toString('base64') }))
    await assert.rejects(Projection.load(file), coded('ARTIFACT_INVALID', /'id'/))
  })
})
