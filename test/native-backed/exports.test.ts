// ONNX exports as other tools write them: which file is run, which output is read, and what is refused. The graphs are made here, with
// the weights of a small model: what they must give is what the model itself gives.

import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ONNX_TYPE, OnnxGraph, type Dimension } from '../../lib/convert/onnx-graph.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import type { GabionErrorCode } from '../../lib/errors.js'

const family = fileURLToPath(new URL('../fixtures/family', import.meta.url))
const WIDTH = 32
const ROWS = 420
const TEXT = 'the quiet harbour woke before dawn'

const savedCache = process.env.GABION_CACHE
let place: string
let model: string
before(async () => {
  place = await mkdtemp(join(tmpdir(), 'gabion-exports-'))
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
  await cp(join(family, 'bert'), model, { recursive: true, filter: (file) => !file.includes('golden') })
  await rm(join(model, 'model.safetensors'))
  await mkdir(join(model, 'onnx'))
})

/** Row r of the table: value r at column r mod WIDTH, and a 1 everywhere. */
const table = Float32Array.from({ length: ROWS * WIDTH }, (_, at) =>
  Math.floor(at / WIDTH) % WIDTH === at % WIDTH ? Math.floor(at / WIDTH) : 1,
)

interface Outputs {
  /** In their order. */
  names: readonly string[]
  length?: Dimension
  half?: boolean
}

/** A graph whose hidden state of a token is its row of the table; `pooler_output` is all zeros but the first, `sentence_embedding` the last token's. */
function graphOf({ names, length = 'tokens', half = false }: Outputs): Uint8Array {
  const graph = new OnnxGraph('none')
  const ids = graph.input('input_ids', ONNX_TYPE.INT64, [1, length])
  const words = graph.constant('table', ONNX_TYPE.FLOAT, [ROWS, WIDTH], new Uint8Array(table.buffer))
  const hidden = graph.node('hidden', 'Gather', [words, ids], { axis: 0 })
  const type = half ? ONNX_TYPE.FLOAT16 : ONNX_TYPE.FLOAT
  for (const name of names) {
    const last = graph.integers(`${name}.at`, [], [name === 'pooler_output' ? 0 : -1])
    const rows =
      name === 'pooler_output' || name === 'sentence_embedding' ? graph.node(`${name}.row`, 'Gather', [hidden, last], { axis: 1 }) : hidden
    graph.output(graph.node(name, 'Cast', [rows], { to: type }), type, rows === hidden ? [1, length, WIDTH] : [1, WIDTH])
  }
  return graph.toBytes('export', '1')
}

const write = (file: string, outputs: Outputs): Promise<void> => writeFile(join(model, file), graphOf(outputs))
const refuse = (code: GabionErrorCode, message: RegExp): Promise<void> => assert.rejects(Embedder.load(model), { code, message })

/** The mean of the tokens' rows, of unit length. */
function meanOf(ids: Int32Array): Float32Array {
  const sum = new Float32Array(WIDTH)
  for (const id of ids) for (let at = 0; at < WIDTH; at++) sum[at]! += table[id * WIDTH + at]! / ids.length
  const length = Math.hypot(...sum)
  return sum.map((value) => value / length)
}

function assertNear(vector: Float32Array, expected: Float32Array, bound = 1e-6): void {
  for (const [at, value] of vector.entries())
    assert.ok(Math.abs(value - expected[at]!) <= bound, `${String(at)}: ${String(value)}, ${String(expected[at])}`)
}

describe('the output of an export', () => {
  for (const names of [
    ['last_hidden_state'],
    ['pooler_output', 'last_hidden_state'],
    ['sentence_embedding', 'token_embeddings'],
    ['output_0'],
  ]) {
    test(`among ${names.join(', ')} is the tokens' own`, async () => {
      await write('onnx/model.onnx', { names })
      using embedder = await Embedder.load(model)
      assertNear(await embedder.embed(TEXT), meanOf(embedder.tokenize(TEXT).ids))
    })
  }

  test('is the finished vector where the graph has only that', async () => {
    await write('onnx/model.onnx', { names: ['sentence_embedding'] })
    using embedder = await Embedder.load(model)
    assertNear(await embedder.embed(TEXT), meanOf(embedder.tokenize(TEXT).ids.slice(-1)))
  })

  test('is the finished vector where the folder has layers that only it includes', async () => {
    await write('onnx/model.onnx', { names: ['token_embeddings', 'sentence_embedding'] })
    await writeFile(join(model, '1_Pooling', 'config.json'), JSON.stringify({ embedding_dimension: WIDTH, pooling_mode: 'weightedmean' }))
    using embedder = await Embedder.load(model)
    assertNear(await embedder.embed(TEXT), meanOf(embedder.tokenize(TEXT).ids.slice(-1)))
  })

  test('is not the finished vector where a prompt’s tokens must be left out of it', async () => {
    await writeFile(join(model, 'config_sentence_transformers.json'), JSON.stringify({ prompts: { query: 'harbour ' } }))
    await writeFile(join(model, '1_Pooling', 'config.json'), JSON.stringify({ embedding_dimension: WIDTH, include_prompt: false }))
    await write('onnx/model.onnx', { names: ['sentence_embedding'] })
    await refuse('MODEL_UNSUPPORTED', /1_Pooling.*include_prompt false .*model\.onnx, which pools prompts too/)
    await write('onnx/model.onnx', { names: ['last_hidden_state'] })
    using embedder = await Embedder.load(model)
    const { ids } = embedder.tokenize(`harbour ${TEXT}`)
    assertNear(await embedder.embed(TEXT, { prompt: 'query' }), meanOf(ids.slice(embedder.tokenize('harbour').ids.length - 1)))
  })

  test('is never the pooler, which no folder asks for', async () => {
    await write('onnx/model.onnx', { names: ['pooler_output'] })
    await refuse('MODEL_UNSUPPORTED', /outputs 'pooler_output'; a vector is made of last_hidden_state/)
  })

  test('may be float16', async () => {
    await write('onnx/model.onnx', { names: ['last_hidden_state'], half: true })
    using embedder = await Embedder.load(model)
    assertNear(await embedder.embed(TEXT), meanOf(embedder.tokenize(TEXT).ids), 1e-3)
  })

  test('of a fixed length is refused', async () => {
    await write('onnx/model.onnx', { names: ['last_hidden_state'], length: 16 })
    await refuse('MODEL_UNSUPPORTED', /input 'input_ids' has the shape \[1, 16\].*dynamic sequence axis/)
  })
})

test('an export gets its texts as the settings say, also where tokenizer.json does not', async () => {
  await write('onnx/model.onnx', { names: ['last_hidden_state'] })
  const tokenizer = JSON.parse(await readFile(join(model, 'tokenizer.json'), 'utf8')) as { normalizer: { lowercase: boolean } }
  tokenizer.normalizer.lowercase = false
  await writeFile(join(model, 'tokenizer.json'), JSON.stringify(tokenizer))
  const idsOf = async (text: string): Promise<Int32Array> => {
    using embedder = await Embedder.load(model)
    return embedder.tokenize(text).ids
  }
  const lower = await idsOf(TEXT)
  assert.notDeepEqual(await idsOf(TEXT.toUpperCase()), lower)
  await writeFile(join(model, 'sentence_bert_config.json'), JSON.stringify({ do_lower_case: true }))
  assert.deepEqual(await idsOf(TEXT.toUpperCase()), lower)
})

describe('a folder with several exports', () => {
  const files = [
    'model_q4',
    'model_O4',
    'model_fp16',
    'model_uint8',
    'model_qint8_avx2',
    'model_qint8_avx512_vnni',
    'model_int8',
    'model_quantized',
    'model_O2',
    'model_O3',
    'model',
  ]

  test('runs the most exact that is there, and says which', async () => {
    for (const name of files) {
      await write(`onnx/${name}.onnx`, { names: ['last_hidden_state'] })
      using embedder = await Embedder.load(model)
      if (!name.startsWith('model_qint8')) assert.equal(embedder.info.graphFile, join('onnx', `${name}.onnx`))
      // The content decides, and all of these are float.
      assert.equal(embedder.info.precision, 'fp32')
    }
  })

  test('runs the one that is asked for', async () => {
    for (const name of files) await write(`onnx/${name}.onnx`, { names: ['last_hidden_state'] })
    using embedder = await Embedder.load({ model, onnxFile: 'onnx/model_O2.onnx' })
    assert.equal(embedder.info.graphFile, join('onnx', 'model_O2.onnx'))
    await assert.rejects(Embedder.load({ model, onnxFile: 'onnx/other.onnx' }), {
      code: 'MODEL_NOT_FOUND',
      message: /has no onnx.other\.onnx; it has .*model_q4\.onnx/,
    })
    await assert.rejects(Embedder.load({ model, onnxFile: '../model.onnx' }), {
      code: 'INVALID_ARGUMENT',
      message: /inside the model folder/,
    })
  })
})

test('a folder whose only ONNX file has another name says what it has, and how to name it', async () => {
  await write('onnx/text_model.onnx', { names: ['last_hidden_state'] })
  await refuse('MODEL_NOT_FOUND', /no model\.safetensors .*it has onnx.text_model\.onnx: .*--onnx-file/)
  using embedder = await Embedder.load({ model, onnxFile: 'onnx/text_model.onnx' })
  assert.equal(embedder.info.graphFile, join('onnx', 'text_model.onnx'))
})

test('a checkpoint of another architecture is refused with its name and a way out, and its export is run', async () => {
  await cp(join(family, 'bert', 'model.safetensors'), join(model, 'model.safetensors'))
  const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as Record<string, unknown>
  const { hidden_size: dim, ...others } = config
  await writeFile(join(model, 'config.json'), JSON.stringify({ ...others, model_type: 'funnel', dim }))
  await refuse('MODEL_UNSUPPORTED', /config\.json: model_type "funnel" cannot be .*ONNX export/)
  await write('onnx/model.onnx', { names: ['last_hidden_state'] })
  using embedder = await Embedder.load(model)
  assertNear(await embedder.embed(TEXT), meanOf(embedder.tokenize(TEXT).ids))
  await rename(join(model, 'onnx', 'model.onnx'), join(model, 'onnx', 'model_O1.onnx'))
  using other = await Embedder.load(model)
  assert.equal(other.info.graphFile, join('onnx', 'model_O1.onnx'))
})
