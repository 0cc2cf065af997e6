// Models of every architecture, with the modules and options that folders ask for, against what sentence-transformers made of
// 200 texts with them (scripts/golden/make_family.py; random weights).

import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { convertModel } from '../../lib/convert/index.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { agreementOf, assertSameIds, inWords, readGolden, readPacked } from './agreement.js'

const family = fileURLToPath(new URL('../fixtures/family', import.meta.url))

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
      const golden = await readGolden(source)
      for (const precision of precisions) {
        using embedder = await Embedder.load({ model: out, precision, onTruncated: () => undefined })
        if (precision === 'fp32') assertSameIds(embedder, texts, golden)
        const agreement = await agreementOf(embedder, texts, golden)
        const said = `${precision}: ${inWords(agreement)}`
        context.diagnostic(said)
        assert.ok(agreement.worstCosine >= BOUNDS[precision].cosine && agreement.worstElement <= BOUNDS[precision].element, said)
      }
    })
  }
})
