// Models of the published sizes, all layers and the whole vocabulary, against what sentence-transformers made of 200 texts with them
// (scripts/golden/make_full_depth.py; random weights): the plain graph, and gabion's own operator. Of the larger ones every third vector is
// compared, and after `build/golden/bin/python scripts/golden/make_full_depth.py --whole` every one.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { convertModel } from '../../lib/convert/index.js'
import { writeGraphManifest } from '../../lib/convert/convert-model.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { KNOWN_MODELS, readGraphManifest } from '../../lib/models/index.js'
import { agreementOf, assertSameIds, inWords, readGolden, readPacked, type Golden } from './agreement.js'

const build = fileURLToPath(new URL('../../build', import.meta.url))
const models = join(build, 'full-depth')

// Of a unit vector's components and of its direction; bf16 as for trained weights, though random ones are harder.
const BOUNDS = {
  fp32: { worstCosine: 0.999999, meanCosine: 0.999999, worstElement: 2e-5 },
  bf16: { worstCosine: 0.9999, meanCosine: 0.99998, worstElement: 0.01 },
} as const

describe('a model of full depth gives the vectors of sentence-transformers', () => {
  let folder: string
  let texts: string[]
  before(async () => {
    folder = await mkdtemp(join(build, '.full-depth-'))
    texts = (await readPacked(join(models, 'texts.json.gz'))) as string[]
    assert.equal(texts.length, 200)
  })
  after(() => rm(folder, { recursive: true }))

  /** Leaves only the graphs of standard operators. */
  async function withoutFusedGraphs(model: string): Promise<void> {
    const manifest = (await readGraphManifest(model)) ?? assert.fail()
    assert.ok(manifest.graphs.every(({ fused }) => fused !== null))
    await writeGraphManifest(join(model, 'onnx'), { ...manifest, graphs: manifest.graphs.map((graph) => ({ ...graph, fused: null })) })
  }

  async function compare(
    model: string,
    precision: 'fp32' | 'bf16',
    golden: Golden,
    say: (line: string) => void,
    name: string,
  ): Promise<void> {
    using embedder = await Embedder.load({ model, precision, onTruncated: () => undefined })
    if (precision === 'fp32') assertSameIds(embedder, texts, golden)
    const agreement = await agreementOf(embedder, texts, golden)
    say(`${precision}, ${name}: ${inWords(agreement)}`)
    const bounds = BOUNDS[precision]
    assert.ok(
      agreement.worstCosine >= bounds.worstCosine &&
        agreement.meanCosine >= bounds.meanCosine &&
        agreement.worstElement <= bounds.worstElement,
      inWords(agreement),
    )
  }

  for (const { name, layers } of KNOWN_MODELS) {
    test(name, async (context) => {
      const [source, out] = [join(models, name), join(folder, name)]
      const config = JSON.parse(await readFile(join(source, 'config.json'), 'utf8')) as { num_hidden_layers: number }
      assert.equal(config.num_hidden_layers, layers)
      const golden = await readGolden(source)
      const lengths = golden.ids.filter((_, row) => row % golden.every === 0).map((row) => row.length)
      assert.ok(lengths.length > 50 && lengths.includes(512) && lengths.some((length) => length <= 3))
      await convertModel({ source, out, precisions: ['fp32', 'bf16'] })
      const say = (line: string): void => context.diagnostic(line)
      const manifest = await readFile(join(out, 'onnx', 'manifest.json'), 'utf8')
      await withoutFusedGraphs(out)
      await compare(out, 'fp32', golden, say, 'standard operators')
      await writeFile(join(out, 'onnx', 'manifest.json'), manifest)
      await compare(out, 'fp32', golden, say, 'own operator')
      await compare(out, 'bf16', golden, say, 'own operator')
      await rm(out, { recursive: true })
    })
  }
})
