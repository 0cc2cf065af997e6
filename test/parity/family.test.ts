// Models of every architecture, with the modules and options that folders ask for, against what sentence-transformers made of
// 200 texts with them (scripts/golden/make_family.py; random weights).

import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { convertModel } from '../../lib/convert/index.js'
import { Embedder } from '../../lib/embedding/embedder.js'

const family = process.env.GABION_FAMILY ?? fileURLToPath(new URL('../fixtures/family', import.meta.url))

async function readPacked(file: string): Promise<unknown> {
  return JSON.parse(gunzipSync(await readFile(file)).toString('utf8'))
}

interface Agreement {
  worstCosine: number
  worstElement: number
}

/** By length, since not every model here gives unit vectors: the element difference is relative to the golden vector's length. */
function compare(actual: Float32Array, golden: Float32Array, agreement: Agreement): void {
  let [dot, squares, goldenSquares, worst] = [0, 0, 0, 0]
  for (const [index, value] of actual.entries()) {
    const other = golden[index] as number
    dot += value * other
    squares += value * value
    goldenSquares += other * other
    worst = Math.max(worst, Math.abs(value - other))
  }
  agreement.worstCosine = Math.min(agreement.worstCosine, dot / Math.sqrt(squares * goldenSquares))
  agreement.worstElement = Math.max(agreement.worstElement, worst / Math.sqrt(goldenSquares))
}

const BOUNDS = {
  fp32: { cosine: 0.9999999, element: 2e-6 },
  // Random weights with a wide spread are harder than trained ones; these say that nothing but rounding differs.
  bf16: { cosine: 0.9997, element: 0.02 },
  fp16: { cosine: 0.99998, element: 0.005 },
  int8: { cosine: 0.99, element: 0.15 },
} as const

describe('a converted model gives the vectors of sentence-transformers', async () => {
  const cases = (await readdir(family, { withFileTypes: true })).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
  const precisions = ['fp32', 'bf16', 'fp16', 'int8'] as const
  let folder: string
  let texts: string[]
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-family-'))
    texts = (await readPacked(join(family, 'texts.json.gz'))) as string[]
  })
  after(() => rm(folder, { recursive: true }))

  for (const { name } of cases) {
    test(name, async (context) => {
      const [source, out] = [join(family, name), join(folder, name)]
      await convertModel({ source, out, precisions })
      const golden = (await readPacked(join(source, 'golden.json.gz'))) as { dimensions: number; ids: number[][] }
      const vectors = new Float32Array(Uint8Array.from(await readFile(join(source, 'golden.f32'))).buffer)
      for (const precision of precisions) {
        using embedder = await Embedder.load({ model: out, precision, onTruncated: () => undefined })
        assert.equal(embedder.dimensions, golden.dimensions)
        const batch = await embedder.embedBatch(texts)
        const agreement = { worstCosine: 1, worstElement: 0 }
        for (const row of texts.keys()) {
          if (precision === 'fp32') assert.deepEqual([...embedder.tokenize(texts[row] as string).ids], golden.ids[row])
          compare(batch.row(row), vectors.subarray(row * golden.dimensions, (row + 1) * golden.dimensions), agreement)
        }
        const said = `${precision}: worst cosine ${agreement.worstCosine.toFixed(9)}, worst element ${agreement.worstElement.toExponential(2)}`
        context.diagnostic(said)
        assert.ok(agreement.worstCosine >= BOUNDS[precision].cosine && agreement.worstElement <= BOUNDS[precision].element, said)
      }
    })
  }
})
