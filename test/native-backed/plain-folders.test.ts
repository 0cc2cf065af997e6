// Folders without modules.json, as transformers saves encoders: pooling comes from the caller, and nothing is guessed.

import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { convertModel } from '../../lib/convert/index.js'
import { Embedder } from '../../lib/embedding/embedder.js'

const source = fileURLToPath(new URL('../fixtures/family/bert', import.meta.url))
const savedCache = process.env.GABION_CACHE
let place: string
let model: string
before(async () => {
  place = await mkdtemp(join(tmpdir(), 'gabion-plain-'))
  process.env.GABION_CACHE = join(place, 'cache')
})
after(async () => {
  if (savedCache === undefined) Reflect.deleteProperty(process.env, 'GABION_CACHE')
  else process.env.GABION_CACHE = savedCache
  await rm(place, { recursive: true })
})
beforeEach(async () => {
  model = join(place, 'model')
  await rm(model, { recursive: true, force: true })
  await cp(source, model, { recursive: true, filter: (file) => !file.includes('golden') })
  for (const name of ['modules.json', '1_Pooling', '2_Normalize', 'sentence_bert_config.json', 'config_sentence_transformers.json'])
    await rm(join(model, name), { recursive: true })
})

describe('a folder without modules.json', () => {
  test('is refused with the option that it lacks', async () => {
    await assert.rejects(Embedder.load(model), { code: 'MODEL_NOT_FOUND', message: /no modules\.json.*--pooling mean/ })
  })

  test('gives the vectors of the same model with modules.json', async () => {
    using plain = await Embedder.load({ model, precision: 'fp32', pooling: 'mean' })
    using whole = await Embedder.load({ model: source, precision: 'fp32' })
    assert.deepEqual(await plain.embed('the quiet harbour'), await whole.embed('the quiet harbour'))
  })

  test('pools and scales as the caller says', async () => {
    const vectors = await Promise.all(
      (['cls', 'max', 'lasttoken', 'weightedmean'] as const).map(async (pooling) => {
        using embedder = await Embedder.load({ model, precision: 'fp32', pooling, normalize: false })
        return await embedder.embed('the quiet harbour')
      }),
    )
    assert.equal(new Set(vectors.map((vector) => vector.join())).size, vectors.length)
    for (const vector of vectors) assert.ok(Math.abs(Math.hypot(...vector) - 1) > 0.01)
  })

  test('is converted to a folder with modules.json', async () => {
    const out = join(place, 'converted')
    await convertModel({ source: model, out, precisions: ['fp32'], pooling: 'cls', overwrite: true })
    using converted = await Embedder.load({ model: out })
    using plain = await Embedder.load({ model, precision: 'fp32', pooling: 'cls' })
    assert.deepEqual(await converted.embed('the quiet harbour'), await plain.embed('the quiet harbour'))
    assert.match(await readFile(join(out, '1_Pooling', 'config.json'), 'utf8'), /"pooling_mode": "cls"/)
  })

  test('needs no more than the option, and a folder that has modules.json none', async () => {
    await assert.rejects(Embedder.load({ model: source, pooling: 'mean' }), {
      code: 'INVALID_ARGUMENT',
      message: /for folders without modules\.json/,
    })
    await assert.rejects(Embedder.load({ model, normalize: false }), { code: 'INVALID_ARGUMENT', message: /pooling/ })
    await assert.rejects(Embedder.load({ model, pooling: 'median' as 'mean' }), { code: 'INVALID_ARGUMENT', message: /pooling/ })
  })

  test('with weights for llama.cpp alone is refused with a way out', async () => {
    await rm(join(model, 'model.safetensors'))
    await writeFile(join(model, 'model-q8_0.gguf'), 'GGUF')
    for (const options of [{ model }, { model, pooling: 'mean' } as const, { model: join(model, 'model-q8_0.gguf') }])
      await assert.rejects(Embedder.load(options), {
        code: 'MODEL_UNSUPPORTED',
        message: /gguf.*llama\.cpp.*safetensors or an ONNX export/i,
      })
  })

  test('without tokenizer.json is refused with a way to make one', async () => {
    await rm(join(model, 'tokenizer.json'))
    await assert.rejects(Embedder.load({ model, pooling: 'mean' }), { code: 'MODEL_NOT_FOUND', message: /AutoTokenizer/ })
  })
})
