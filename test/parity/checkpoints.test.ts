// Checkpoints as they are published, run by gabion's own encoder without a graph, against sentence-transformers in double precision
// (scripts/golden/make_encoders.py; random weights).

import assert from 'node:assert/strict'
import { cp, mkdtemp, open, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Embedder } from '../../lib/embedding/embedder.js'
import { agreementOf, assertSameIds, inWords, readGolden, readPacked } from './agreement.js'

const encoders = fileURLToPath(new URL('../../build/encoders', import.meta.url))

const BOUNDS = {
  fp32: { cosine: 0.9999999, element: 2e-6 },
  bf16: { cosine: 0.9997, element: 0.015 },
  int8: { cosine: 0.9975, element: 0.045 },
} as const

/** First files of weights, by folder. */
const FILES: Readonly<Record<string, string>> = { 'xlm-roberta': 'model-00001-of-00002.safetensors' }

describe('a checkpoint without a graph', async () => {
  const saved = process.env.GABION_CACHE
  const names = (await readdir(encoders, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name)
  let place: string
  let texts: string[]
  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'gabion-checkpoints-'))
    process.env.GABION_CACHE = join(place, 'cache')
    texts = (await readPacked(join(encoders, 'texts.json.gz'))) as string[]
  })
  after(async () => {
    if (saved === undefined) Reflect.deleteProperty(process.env, 'GABION_CACHE')
    else process.env.GABION_CACHE = saved
    await rm(place, { recursive: true })
  })
  const load = (name: string, precision: 'fp32' | 'bf16' | 'int8'): Promise<Embedder> =>
    Embedder.load({ model: join(encoders, name), precision, onTruncated: () => undefined })

  for (const name of names) {
    test(`${name} gives the vectors of sentence-transformers`, async (context) => {
      const golden = await readGolden(join(encoders, name))
      for (const precision of ['fp32', 'bf16', 'int8'] as const) {
        using embedder = await load(name, precision)
        assert.deepEqual(
          [embedder.info.folder, embedder.info.graphFile, embedder.info.precision],
          [join(encoders, name), FILES[name] ?? 'model.safetensors', precision],
        )
        assert.deepEqual(embedder.info.warnings, [])
        if (precision === 'fp32') assertSameIds(embedder, texts, golden)
        const agreement = await agreementOf(embedder, texts, golden)
        const said = `${precision}: ${inWords(agreement)}`
        context.diagnostic(said)
        assert.ok(agreement.worstCosine >= BOUNDS[precision].cosine && agreement.worstElement <= BOUNDS[precision].element, said)
      }
    })
  }

  test('is not converted; only what int8 measures is kept', async () => {
    assert.deepEqual(
      (await readdir(join(place, 'cache'))).filter((name) => name !== 'tokenizers'),
      ['int8'],
    )
    const vectors: Float32Array[] = []
    for (const round of [0, 1]) {
      using embedder = await load('mpnet', 'int8')
      const file = embedder.info.calibrationFile ?? ''
      // 2 layers of 3 · 64 + 128 inputs.
      assert.equal((await stat(file)).size, 2 * (3 * 64 + 128) * 4)
      vectors.push(await embedder.embed('a text'))
      if (round === 0) await rm(file)
    }
    using again = await load('mpnet', 'int8')
    assert.deepEqual(vectors[1], vectors[0])
    assert.deepEqual(await again.embed('a text'), vectors[0])
  })

  test('is refused by the setting that the kernels do not compute', async () => {
    const copy = join(place, 'prenorm')
    await cp(join(encoders, 'nomic-bert-published'), copy, { recursive: true })
    const config = JSON.parse(await readFile(join(copy, 'config.json'), 'utf8')) as object
    await writeFile(join(copy, 'config.json'), JSON.stringify({ ...config, prenorm: true, foreign_setting: 1 }))
    await assert.rejects(Embedder.load(copy), { code: 'MODEL_UNSUPPORTED', message: /nomic_bert with prenorm true .*optimum-cli export/ })
    await writeFile(join(copy, 'config.json'), JSON.stringify({ ...config, foreign_setting: 1 }))
    using embedder = await Embedder.load(copy)
    assert.match(embedder.info.warnings.join(), /'foreign_setting'/)
  })

  test('has an identity that a copy shares, and other weights do not', async () => {
    const copy = join(place, 'copy')
    await cp(join(encoders, 'mpnet'), copy, { recursive: true })
    await utimes(join(copy, 'model.safetensors'), 1, 1)
    const identityOf = async (model: string): Promise<string> => {
      using embedder = await Embedder.load(model)
      return embedder.info.modelHash
    }
    const identity = await identityOf(join(encoders, 'mpnet'))
    assert.match(identity, /^[0-9a-f]{64}$/)
    assert.equal(await identityOf(copy), identity)
    const file = await open(join(copy, 'model.safetensors'), 'r+')
    const header = (await readFile(join(copy, 'model.safetensors'))).readUInt32LE(0)
    await file.write(new Uint8Array(4), 0, 4, 8 + header)
    await file.close()
    assert.notEqual(await identityOf(copy), identity)
  })
})
