// ONNX exports of PyTorch's two exporters as what is converted, with their weights inside the file or next to it, against what
// sentence-transformers made of 200 texts with the same models (scripts/golden/make_exports.py; random weights).

import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { convertModel } from '../../lib/convert/index.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { agreementOf, inWords, readGolden, readPacked } from './agreement.js'

const exports = fileURLToPath(new URL('../../build/exports', import.meta.url))
const family = fileURLToPath(new URL('../fixtures/family', import.meta.url))

describe('a converted export gives the vectors of sentence-transformers', async () => {
  const names = await readdir(exports)
  let folder: string
  let texts: string[]
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-exports-'))
    texts = (await readPacked(join(family, 'texts.json.gz'))) as string[]
  })
  after(() => rm(folder, { recursive: true }))

  test('of both exporters', () => assert.equal(names.length, 8))

  for (const name of names) {
    test(name, async (context) => {
      const out = join(folder, name)
      await convertModel({ source: join(exports, name), out, precisions: ['fp32', 'bf16'] })
      const golden = await readGolden(join(exports, name))
      for (const [precision, cosine, element] of [
        ['fp32', 0.9999999, 2e-6],
        ['bf16', 0.9997, 0.02],
      ] as const) {
        using embedder = await Embedder.load({ model: out, precision, onTruncated: () => undefined })
        const agreement = await agreementOf(embedder, texts, golden)
        context.diagnostic(`${precision}: ${inWords(agreement)}`)
        assert.ok(agreement.worstCosine >= cosine && agreement.worstElement <= element, inWords(agreement))
      }
    })
  }
})
