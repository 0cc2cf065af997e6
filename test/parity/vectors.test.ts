// The embedder against the vectors that sentence-transformers made of 1,000 texts (scripts/golden/make_vectors.py).

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { Embedder } from '../../lib/embedding/embedder.js'

interface Head {
  texts: number
  dimensions: number
  tolerance: { fp32: { worst_cosine: number; worst_element: number }; bf16: { worst_cosine: number; mean_cosine: number } }
}
interface GoldenText {
  text: string
  ids: number[]
}

const fixture = (name: string): Promise<Buffer> => readFile(new URL(`../fixtures/${name}`, import.meta.url))
/** Made by the set-up for the tests; the bundled folder has no fp32 graph. */
const referenceModel = fileURLToPath(new URL('../../build/models/all-MiniLM-L6-v2', import.meta.url))

let head: Head
let golden: GoldenText[]
let vectors: Float32Array
before(async () => {
  const [first, ...rest] = JSON.parse(gunzipSync(await fixture('vectors.golden.json.gz')).toString('utf8')) as [Head, ...GoldenText[]]
  head = first
  golden = rest
  vectors = new Float32Array(Uint8Array.from(await fixture('vectors.golden.f32')).buffer)
  assert.equal(golden.length, head.texts)
  assert.equal(vectors.length, head.texts * head.dimensions)
})

interface Agreement {
  worstCosine: number
  meanCosine: number
  worstElement: number
  longestOff: number
}

/** Compares all golden vectors with what the embedder makes of their texts. */
async function compare(embedder: Embedder): Promise<Agreement> {
  const batch = await embedder.embedBatch(golden.map(({ text }) => text))
  const result: Agreement = { worstCosine: 1, meanCosine: 0, worstElement: 0, longestOff: 0 }
  for (const row of golden.keys()) {
    const expected = vectors.subarray(row * head.dimensions, (row + 1) * head.dimensions)
    let [dot, squares, goldenSquares] = [0, 0, 0]
    for (const [index, value] of batch.row(row).entries()) {
      const other = expected[index] as number
      dot += value * other
      squares += value * value
      goldenSquares += other * other
      result.worstElement = Math.max(result.worstElement, Math.abs(value - other))
    }
    const cosine = dot / Math.sqrt(squares * goldenSquares)
    result.worstCosine = Math.min(result.worstCosine, cosine)
    result.meanCosine += cosine / head.texts
    result.longestOff = Math.max(result.longestOff, Math.abs(Math.sqrt(squares) - 1))
  }
  return result
}

describe('vectors of the golden texts', () => {
  test('in fp32 are those of sentence-transformers', async () => {
    using embedder = await Embedder.load({ model: referenceModel, precision: 'fp32', onTruncated: () => undefined })
    const agreement = await compare(embedder)
    assert.ok(agreement.worstCosine >= head.tolerance.fp32.worst_cosine, `worst cosine ${String(agreement.worstCosine)}`)
    assert.ok(agreement.worstElement <= head.tolerance.fp32.worst_element, `worst element ${String(agreement.worstElement)}`)
    assert.ok(agreement.longestOff < 1e-6, `length off by ${String(agreement.longestOff)}`)
  })

  test('of the bundled bf16 model are as near as it promises', async () => {
    using embedder = await Embedder.load({ onTruncated: () => undefined })
    assert.equal(embedder.info.precision, 'bf16')
    const agreement = await compare(embedder)
    assert.ok(agreement.worstCosine >= head.tolerance.bf16.worst_cosine, `worst cosine ${String(agreement.worstCosine)}`)
    assert.ok(agreement.meanCosine >= head.tolerance.bf16.mean_cosine, `mean cosine ${String(agreement.meanCosine)}`)
  })

  test('in int8 are what stock integer operators reach', async () => {
    using embedder = await Embedder.load({ model: referenceModel, precision: 'int8', onTruncated: () => undefined })
    const agreement = await compare(embedder)
    assert.ok(agreement.worstCosine >= 0.95, `worst cosine ${String(agreement.worstCosine)}`)
    assert.ok(agreement.meanCosine >= 0.99, `mean cosine ${String(agreement.meanCosine)}`)
  })

  test('come from the same ids', async () => {
    using embedder = await Embedder.load({ onTruncated: () => undefined })
    for (const { text, ids } of golden) assert.deepEqual([...embedder.tokenize(text).ids], ids)
  })
})
