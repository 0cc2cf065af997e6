// What the installed scikit-learn, joblib and skops save and compute (scripts/sklearn/make_estimators.py), against what gabion reads
// and fits. A pickle of Python's own that would run something is read as well, and runs in Python only.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { importProjection } from '../../lib/projection/import.js'
import { encodeNpz } from '../../lib/projection/formats/npz.js'
import { PcaAccumulator, Projection } from '../../lib/projection/projection.js'
import { StandardScaler } from '../../lib/projection/scaler.js'

interface Expected {
  versions: Record<string, string>
  rows: number
  dimensions: number
  vectors: string
  cases: { name: string; files: string[]; points: string; components: number; explainedVariance: number[] | null }[]
  fits: {
    file: string
    rows: number
    dimensions: number
    components: number
    scaled: boolean
    whiten: boolean
    points: string
    explainedVariance: number[]
    explainedVarianceRatio: number[]
  }[]
}

const script = fileURLToPath(new URL('../../scripts/sklearn/make_estimators.py', import.meta.url))
const packages = fileURLToPath(new URL('../../build/sklearn', import.meta.url))

function python(...args: string[]): string {
  return execFileSync('python3', args, {
    encoding: 'utf8',
    env: { ...process.env, PYTHONPATH: packages },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

function doubles(base64: string): Float64Array {
  const bytes = Buffer.from(base64, 'base64')
  return Float64Array.from({ length: bytes.length / 8 }, (_, index) => bytes.readDoubleLE(index * 8))
}

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.equal(actual.length, expected.length, what)
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!)
    assert.ok(difference <= tolerance, `${what}[${String(i)}]: ${String(actual[i])} is not ${String(expected[i])}`)
  }
}

/** Points of all vectors, row after row. */
function pointsOf(projection: Projection, data: Float64Array | Float32Array, rows: number): Float64Array {
  const { dimensions, components } = projection
  const points = new Float64Array(rows * components)
  for (let row = 0; row < rows; row++)
    points.set(projection.apply(data.subarray(row * dimensions, (row + 1) * dimensions)), row * components)
  return points
}

describe('beside the installed scikit-learn', () => {
  let folder = ''
  let expected: Expected
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-sklearn-'))
    python(script, folder)
    expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('every estimator gives its points from every form of file', async () => {
    const vectors = doubles(expected.vectors)
    let read = 0
    for (const { name, files, points, components, explainedVariance } of expected.cases) {
      for (const file of files) {
        const projection = await importProjection(join(folder, file))
        assert.equal(projection.components, components, file)
        assertClose(pointsOf(projection, vectors, expected.rows), doubles(points), 1e-6, file)
        if (explainedVariance !== null) assertClose(projection.explainedVariance, explainedVariance, 1e-9, `${file}: explainedVariance`)
        read++
      }
      assert.ok(files.length >= 9, name)
    }
    assert.ok(read > 100, String(read))
  })

  test('a scaler saved apart comes before the PCA', async () => {
    const vectors = doubles(expected.vectors)
    const scaler = StandardScaler.fit({ rows: expected.rows, dimensions: expected.dimensions, data: vectors })
    const projection = await importProjection(join(folder, 'few-components.4.pkl'), { scaler: join(folder, 'scaler.joblib') })
    const alone = await importProjection(join(folder, 'few-components.4.pkl'))
    const scaled = scaler.apply({ rows: expected.rows, dimensions: expected.dimensions, data: vectors })
    assertClose(pointsOf(projection, vectors, expected.rows), pointsOf(alone, scaled.data, expected.rows), 1e-6, 'points')
  })

  test('NumPy reads an exported archive, and it comes back as it was', async () => {
    const model = { name: 'modèle', hash: 'ab'.repeat(32), precision: 'bf16' }
    const projection = await importProjection(join(folder, 'pipeline-of-two.skops'), { model })
    const file = join(folder, 'exported.npz')
    await writeFile(file, await encodeNpz(projection))
    const code =
      'import sys, json, numpy as np; a = np.load(sys.argv[1]); x = np.linspace(-1, 1, a["mean_"].size); ' +
      'print(json.dumps({"y": (a["components_"] @ (x - a["mean_"]) + a["offset"]).tolist(), "model": str(a["model_name"])}))'
    const theirs = JSON.parse(python('-c', code, file)) as { y: number[]; model: string }
    const x = Float64Array.from({ length: expected.dimensions }, (_, i) => -1 + (2 * i) / (expected.dimensions - 1))
    assertClose(projection.apply(x), theirs.y, 1e-6, 'y')
    assert.equal(theirs.model, 'modèle')
    const back = await importProjection(file)
    assert.equal(back.id, projection.id)
    assert.deepEqual(back.model, projection.model)
    assert.deepEqual(back.fit, projection.fit)
  })

  test('other compressions and other estimators are refused by name', async () => {
    for (const [file, reason] of [
      ['refused.bz2.joblib', /bz2.*compress=/],
      ['refused.xz.joblib', /xz/],
      ['refused.lzma.joblib', /lzma/],
      ['refused.other.pkl', /sklearn\.preprocessing\._data\.MinMaxScaler/],
      ['refused.other.skops', /MinMaxScaler/],
      ['refused.unfitted.pkl', /no components_: was it saved before it was fitted/],
    ] as const) {
      await assert.rejects(importProjection(join(folder, file)), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ARTIFACT_INVALID', error.message)
        assert.match(error.message, reason)
        assert.match(error.message, new RegExp(file.replaceAll('.', '\\.')))
        return true
      })
    }
  })

  test('a pickle that runs something in Python runs nothing here', async () => {
    const mark = join(folder, 'mark')
    const file = join(folder, 'runs.pkl')
    await writeFile(file, `cos\nmkdir\n(V${mark}\ntR.`)
    await assert.rejects(importProjection(file), /"os\.mkdir", which is refused/)
    assert.ok(!existsSync(mark))
    python('-c', 'import pickle, sys; pickle.load(open(sys.argv[1], "rb"))', file)
    assert.ok(existsSync(mark), 'Python does run it: the refusal above was of something real')
  })

  test('fits of large and of wide matrices equal its own, in one piece and in parts', () => {
    for (const golden of expected.fits) {
      const { rows, dimensions, components, scaled, whiten } = golden
      const bytes = readFileSync(join(folder, golden.file))
      const data = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
      const vectors = { rows, dimensions, data }
      const options = { components, whiten, ...(scaled && { scaler: StandardScaler.fit(vectors) }) }
      const fits: [string, Projection][] = [['in one piece', Projection.fitPca(vectors, options)]]
      if (rows > dimensions) {
        const parts = new PcaAccumulator()
        for (let from = 0; from < rows; from += 700) {
          const to = Math.min(rows, from + 700)
          parts.add({ rows: to - from, dimensions, data: data.subarray(from * dimensions, to * dimensions) })
        }
        fits.push(['in parts', parts.fit(options)])
      }
      for (const [how, projection] of fits) {
        const what = `${golden.file} ${how}, scaled ${String(scaled)}, whitened ${String(whiten)}`
        const theirs = doubles(golden.points)
        const ours = pointsOf(projection, data, 40)
        // A component's sign is free.
        const signs = Array.from({ length: components }, (_, k) => {
          let dot = 0
          for (let row = 0; row < 40; row++) dot += ours[row * components + k]! * theirs[row * components + k]!
          return Math.sign(dot)
        })
        const scale = Math.max(...theirs.map(Math.abs))
        assertClose(
          ours.map((value, at) => (value * signs[at % components]!) / scale),
          theirs.map((value) => value / scale),
          2e-6,
          what,
        )
        const relative = (values: ArrayLike<number>): number[] => Array.from(values, (value, k) => value / golden.explainedVariance[k]!)
        assertClose(relative(projection.explainedVariance), relative(golden.explainedVariance), 1e-6, `${what}: variance`)
        assertClose(projection.explainedVarianceRatio, golden.explainedVarianceRatio, 1e-6, `${what}: ratio`)
      }
    }
  })
})
