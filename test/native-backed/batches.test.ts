// Graphs that take several texts at once, as a graphics card runs them, here on the processor: whoever's texts run together, everybody
// gets the vectors of their own.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { convertModel } from '../../lib/convert/index.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { Projection } from '../../lib/projection/projection.js'

const source = fileURLToPath(new URL('../fixtures/family/bert', import.meta.url))
/** float16 rounds otherwise in another shape. */
const SAME = 0.99999

let folder: string
let embedder: Embedder
let exact: Embedder

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gabion-batches-'))
  await convertModel({ source, out: join(folder, 'bert'), precisions: ['fp16', 'fp32'] })
  const options = { model: join(folder, 'bert'), cache: false, onTruncated: () => undefined } as const
  embedder = await Embedder.load({ ...options, precision: 'fp16', threads: 2 })
  exact = await Embedder.load({ ...options, precision: 'fp32' })
})
after(async () => {
  embedder.dispose()
  exact.dispose()
  await rm(folder, { recursive: true })
})

/** Different texts of up to 60 words. */
const textsOf = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${String(index)} ` + 'tea '.repeat((index * 37) % 60))

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, value, index) => sum + value * (y[index] as number), 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

function assertSame(given: Float32Array, wanted: Float32Array, what: string): void {
  assert.equal(given.length, wanted.length)
  const agreement = cosine(given, wanted)
  assert.ok(agreement >= SAME, `${what}: cosine ${String(agreement)}`)
}

describe('texts that run together', () => {
  test('have the vectors of the exact model, each at its place', async () => {
    // More than one run takes, of lengths that need several shapes.
    const texts = textsOf(300)
    const [together, wanted] = [await embedder.embedBatch(texts), await exact.embedBatch(texts)]
    for (const [index] of texts.entries()) assertSame(together.row(index), wanted.row(index), `text ${String(index)}`)
    assert.deepEqual(together.totalTokenCounts, wanted.totalTokenCounts)
  })

  test('may be of many callers', async () => {
    const texts = textsOf(150)
    const wanted = await exact.embedBatch(texts)
    const alone = await Promise.all(texts.map((text) => embedder.embed(text)))
    for (const [index, vector] of alone.entries()) assertSame(vector, wanted.row(index), `caller ${String(index)}`)
    assertSame(embedder.embedSync(texts[7] as string), wanted.row(7), 'on the calling thread')
  })

  test('have projections of their own', async () => {
    const { dimensions } = embedder
    const axes = new Float64Array(2 * dimensions)
    axes[0] = 1
    axes[dimensions + 1] = -1
    const none = new Float64Array(2)
    const parts = {
      components: 2,
      dimensions,
      mean: new Float64Array(dimensions),
      axes,
      explainedVariance: none,
      explainedVarianceRatio: none,
    }
    const projection = Projection.fromParts({ ...parts, model: null, fit: null })
    const texts = textsOf(20)
    const [projected, plain] = await Promise.all([embedder.embedBatch(texts, { projection }), embedder.embedBatch(texts)])
    for (const [index] of texts.entries()) {
      const [x, y] = projected.projected?.subarray(2 * index, 2 * index + 2) ?? []
      const vector = projected.row(index)
      assert.ok(Math.abs((x as number) - (vector[0] as number)) < 1e-6 && Math.abs((y as number) + (vector[1] as number)) < 1e-6)
      assertSame(plain.row(index), vector, `text ${String(index)}`)
    }
  })

  test('may be windows of one text', async () => {
    const text = 'the kettle is on and the tea is hot '.repeat(40)
    const rule = { size: 30, stride: 20 }
    const [windows, wanted] = [await embedder.embedWindows([text], rule), await exact.embedWindows([text], rule)]
    const [given, exactly] = [windows.windows(0), wanted.windows(0)]
    assert.ok(given.length > 10 && given.length === exactly.length)
    for (const [index, { vector }] of given.entries()) assertSame(vector, exactly[index]?.vector as Float32Array, `window ${String(index)}`)
  })

  test('go on when one of their callers gives up', async () => {
    const texts = textsOf(60)
    const wanted = await exact.embedBatch(texts)
    const controller = new AbortController()
    const calls = texts.map((text, index) => embedder.embed(text, index % 3 === 0 ? { signal: controller.signal } : {}))
    controller.abort()
    for (const [index, outcome] of (await Promise.allSettled(calls)).entries()) {
      if (index % 3 === 0) assert.equal(outcome.status === 'rejected' && (outcome.reason as { code?: string }).code, 'ABORTED')
      else assertSame((outcome as PromiseFulfilledResult<Float32Array>).value, wanted.row(index), `caller ${String(index)}`)
    }
  })
})
