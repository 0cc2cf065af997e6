// Converting a folder: outputs, refusals, and that no partial output remains.

import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { convertModel, type ConversionProgress, type ConvertOptions } from '../../lib/convert/index.js'
import { SafetensorsReader } from '../../lib/convert/safetensors-reader.js'
import type { GabionErrorCode } from '../../lib/errors.js'
import { readModelFolder, verifyModel } from '../../lib/models/index.js'
import { TINY, tinyCheckpoint, writeTinyFolder, type TinyCheckpoint } from '../fixtures/tiny-checkpoint.js'

let folder: string
let source: string
let out: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gabion-convert-'))
  source = join(folder, 'tiny-model')
  out = join(folder, 'deep', 'converted')
})
afterEach(() => rm(folder, { recursive: true }))

describe('converting a model folder', () => {
  test('writes graphs, weights, manifest and configuration that the model room reads', async () => {
    await writeTinyFolder(source, tinyCheckpoint())
    const manifest = await convertModel({ source, out, precisions: ['bf16', 'int8'] })
    assert.deepEqual((await readdir(join(out, 'onnx'))).sort(), [
      'manifest.json',
      'model_bf16.onnx',
      'model_int8.onnx',
      'weights_bf16.safetensors',
      'weights_int8.safetensors',
    ])
    const model = await readModelFolder(out)
    assert.equal(model.name, 'converted')
    assert.equal(model.license, 'mit')
    assert.deepEqual(
      model.graphs.map((graph) => [graph.precision, graph.weightsHash]),
      manifest.graphs.map((graph) => [graph.precision, graph.weights.sha256]),
    )
    assert.equal((await verifyModel(out)).ok, true)
    assert.deepEqual(await readdir(join(folder, 'deep')), ['converted'])
  })

  test('lays the weights out as documented', async () => {
    const checkpoint = tinyCheckpoint()
    await writeTinyFolder(source, checkpoint)
    await convertModel({ source, out, precisions: ['fp32'] })
    const reader = await SafetensorsReader.open(join(out, 'onnx', 'weights_fp32.safetensors'))
    const of = (name: string): Float32Array => checkpoint.tensors.get(name)?.values ?? assert.fail(name)
    const { hidden, positions } = TINY

    const merged = await reader.read(reader.require('layers.1.attention.qkv.weight', [hidden, 3 * hidden]))
    const key = of('encoder.layer.1.attention.self.key.weight')
    assert.equal(merged[5 * 3 * hidden + hidden + 7], key[7 * hidden + 5])
    const bias = await reader.read(reader.require('layers.1.attention.qkv.bias', [3 * hidden]))
    assert.equal(bias[2 * hidden + 3], of('encoder.layer.1.attention.self.value.bias')[3])

    const table = await reader.read(reader.require('embeddings.position.weight', [positions, hidden]))
    const [position, type] = [of('embeddings.position_embeddings.weight'), of('embeddings.token_type_embeddings.weight')]
    assert.equal(table[3 * hidden + 4], Math.fround((position[3 * hidden + 4] as number) + (type[4] as number)))
    assert.equal(
      [...reader.tensors.keys()].some((name) => name.includes('pooler')),
      false,
    )
    await reader.close()
  })

  test('makes a tokenizer that lowers texts where the folder asks for it and its own does not', async () => {
    const settings = {
      'sentence_bert_config.json': { max_seq_length: 16, do_lower_case: true },
      'tokenizer_config.json': { tokenizer_class: 'PreTrainedTokenizerFast' },
    }
    const nfc = { type: 'NFC' }
    for (const [normalizer, expected] of [
      [null, [{ type: 'Lowercase' }]],
      [nfc, [{ type: 'Lowercase' }, nfc]],
      [{ type: 'Sequence', normalizers: [nfc] }, [{ type: 'Lowercase' }, nfc]],
      [{ type: 'Lowercase' }, null],
      [{ type: 'Sequence', normalizers: [nfc, { type: 'Lowercase' }] }, null],
    ] as const) {
      await rm(source, { recursive: true, force: true })
      await writeTinyFolder(source, tinyCheckpoint(), { files: { ...settings, 'tokenizer.json': { normalizer, model: {} } } })
      await convertModel({ source, out, overwrite: true })
      const { tokenizerFile } = await readModelFolder(out)
      if (expected === null) assert.equal(tokenizerFile, join(out, 'tokenizer.json'))
      else {
        assert.equal(tokenizerFile, join(out, 'onnx', 'tokenizer.json'))
        const written = JSON.parse(await readFile(tokenizerFile, 'utf8')) as Record<string, unknown>
        assert.deepEqual(written, { normalizer: { type: 'Sequence', normalizers: expected }, model: {} })
      }
    }
  })

  test('is noticed when a file of it is cut short later', async () => {
    await writeTinyFolder(source, tinyCheckpoint())
    await convertModel({ source, out })
    const weights = join(out, 'onnx', 'weights_bf16.safetensors')
    await truncate(weights, 5000)
    await assert.rejects(readModelFolder(out), { code: 'MODEL_INVALID', message: /weights_bf16\.safetensors.*it has 5000/ })
  })

  test('gives the same bytes each time', async () => {
    await writeTinyFolder(source, tinyCheckpoint())
    const first = await convertModel({ source, out, precisions: ['bf16'] })
    assert.deepEqual(await convertModel({ source, out: join(folder, 'again'), precisions: ['bf16'] }), first)
  })

  test('reports its progress up to the last byte', async () => {
    await writeTinyFolder(source, tinyCheckpoint())
    const seen: ConversionProgress[] = []
    const manifest = await convertModel({ source, out, precisions: ['fp32', 'bf16'], onProgress: (progress) => seen.push(progress) })
    const sizes = manifest.graphs.map((graph) => graph.weights.bytes) as [number, number]
    assert.equal(seen.at(-1)?.bytesWritten, sizes[0] + sizes[1])
    assert.equal(seen.at(-1)?.bytesOfPrecision, sizes[1])
    assert.ok(seen.every((progress, index) => index === 0 || progress.bytesWritten > (seen[index - 1]?.bytesWritten ?? 0)))
  })

  test('into itself adds only the graphs', async () => {
    await writeTinyFolder(source, tinyCheckpoint())
    const before = await readdir(source)
    await convertModel({ source, out: source })
    assert.deepEqual((await readdir(source)).sort(), [...before, 'onnx'].sort())
    assert.equal((await readModelFolder(source)).graphs[0]?.precision, 'bf16')
    await assert.rejects(convertModel({ source, out: source }), { code: 'INVALID_ARGUMENT', message: /onnx exists already/ })
  })

  test('replaces a folder only when told to', async () => {
    await writeTinyFolder(source, tinyCheckpoint())
    await mkdir(out, { recursive: true })
    await writeFile(join(out, 'mine'), '')
    await assert.rejects(convertModel({ source, out }), { code: 'INVALID_ARGUMENT', message: /exists already/ })
    assert.deepEqual(await readdir(out), ['mine'])
    await convertModel({ source, out, overwrite: true })
    assert.ok(!(await readdir(out)).includes('mine'))
    assert.deepEqual(await readdir(join(folder, 'deep')), ['converted'])
  })

  test('that is aborted leaves nothing behind', async () => {
    await writeTinyFolder(source, tinyCheckpoint())
    const controller = new AbortController()
    let reports = 0
    const onProgress = (): void => {
      reports++
      controller.abort(new Error('enough'))
    }
    await assert.rejects(convertModel({ source, out, onProgress, signal: controller.signal }), { code: 'ABORTED' })
    assert.equal(reports, 1)
    assert.deepEqual(await readdir(join(folder, 'deep')), [])
    await assert.rejects(convertModel({ source, out, signal: AbortSignal.abort() }), { code: 'ABORTED' })
  })

  test('that fails keeps the folder that it would have replaced', async () => {
    const checkpoint = tinyCheckpoint()
    const last = checkpoint.tensors.get('encoder.layer.1.output.dense.weight')
    last?.values.fill(NaN, 3, 4)
    await writeTinyFolder(source, checkpoint)
    await mkdir(out, { recursive: true })
    await writeFile(join(out, 'mine'), 'still here')
    await assert.rejects(convertModel({ source, out, overwrite: true }), {
      code: 'MODEL_INVALID',
      message: /layer\.1\.output\.dense\.weight.*not finite/,
    })
    assert.equal(await readFile(join(out, 'mine'), 'utf8'), 'still here')
    assert.deepEqual(await readdir(join(folder, 'deep')), ['converted'])
  })

  test('that is cut short is refused', async () => {
    await writeTinyFolder(source, tinyCheckpoint())
    const weights = join(source, 'model.safetensors')
    const { size } = await stat(weights)
    await writeFile(weights, (await readFile(weights)).subarray(0, size - 1))
    await assert.rejects(convertModel({ source, out }), { code: 'MODEL_INVALID', message: /safetensors/ })
  })
})

describe('what cannot be converted is named', () => {
  const cases: [what: string, change: (checkpoint: TinyCheckpoint) => void, code: GabionErrorCode, message: RegExp][] = [
    ['another architecture', ({ config }) => (config.model_type = 'deberta'), 'MODEL_UNSUPPORTED', /config\.json: model_type "deberta"/],
    ['another activation', ({ config }) => (config.hidden_act = 'mish'), 'MODEL_UNSUPPORTED', /hidden_act "mish"/],
    ['relative positions', ({ config }) => (config.position_embedding_type = 'relative_key'), 'MODEL_UNSUPPORTED', /"relative_key"/],
    ['a decoder', ({ config }) => (config.is_decoder = true), 'MODEL_UNSUPPORTED', /decoder/],
    ['heads that do not divide', ({ config }) => (config.num_attention_heads = 5), 'MODEL_INVALID', /num_attention_heads.*divisor/],
    ['a missing field', ({ config }) => delete config.intermediate_size, 'MODEL_INVALID', /'intermediate_size' must be .* got undefined/],
    ['an epsilon of zero', ({ config }) => (config.layer_norm_eps = 0), 'MODEL_INVALID', /'layer_norm_eps'/],
    [
      'a missing tensor',
      ({ tensors }) => tensors.delete('encoder.layer.1.attention.self.key.bias'),
      'MODEL_UNSUPPORTED',
      /no tensor 'encoder\.layer\.1\.attention\.self\.key\.bias'/,
    ],
    ['a tensor of another shape', ({ config }) => (config.vocab_size = 49), 'MODEL_INVALID', /word_embeddings.*\[49, 32\], has \[50, 32\]/],
  ]
  for (const [what, change, code, message] of cases) {
    test(what, async () => {
      const checkpoint = tinyCheckpoint()
      change(checkpoint)
      await writeTinyFolder(source, checkpoint)
      await assert.rejects(convertModel({ source, out }), { code, message })
      await assert.rejects(stat(out))
    })
  }

  test('weights in another format, or none', async () => {
    await writeTinyFolder(source, tinyCheckpoint())
    await rm(join(source, 'model.safetensors'))
    await assert.rejects(convertModel({ source, out }), { code: 'MODEL_NOT_FOUND', message: /no model\.safetensors/ })
    await writeFile(join(source, 'pytorch_model.bin'), '')
    await assert.rejects(convertModel({ source, out }), { code: 'MODEL_UNSUPPORTED', message: /pytorch_model\.bin: a pickle.*safetensors/ })
  })

  test('shards that are missing, elsewhere or doubled', async () => {
    const index = join(source, 'model.safetensors.index.json')
    await writeTinyFolder(source, tinyCheckpoint())
    await rename(join(source, 'model.safetensors'), join(source, 'model-1.safetensors'))
    const refuse = async (map: unknown, code: GabionErrorCode, message: RegExp): Promise<void> => {
      await writeFile(index, JSON.stringify({ weight_map: map }))
      await assert.rejects(convertModel({ source, out }), { code, message })
    }
    await refuse({ a: 'model-1.safetensors', b: 'model-2.safetensors' }, 'MODEL_NOT_FOUND', /model-2\.safetensors/)
    await refuse({ a: '../model-1.safetensors' }, 'MODEL_INVALID', /in the folder of the index/)
    await refuse({}, 'MODEL_INVALID', /at least one file/)
    await copyFile(join(source, 'model-1.safetensors'), join(source, 'model-2.safetensors'))
    await refuse({ a: 'model-1.safetensors', b: 'model-2.safetensors' }, 'MODEL_INVALID', /is in two files/)
    await writeFile(index, JSON.stringify({ weight_map: { a: 'model-1.safetensors' } }))
    assert.equal((await convertModel({ source, out })).source.file, 'model-1.safetensors')
  })

  test('a tokenizer of another model', async () => {
    const checkpoint = tinyCheckpoint()
    Object.assign(checkpoint.config, { model_type: 'xlm-roberta', pad_token_id: 1 })
    const files = {
      'tokenizer.json': { added_tokens: [{ id: 0, content: '[PAD]' }] },
      'tokenizer_config.json': { pad_token: '[PAD]' },
    }
    await writeTinyFolder(source, checkpoint, { files })
    await assert.rejects(convertModel({ source, out }), {
      code: 'MODEL_INVALID',
      message: /pad_token_id.*0, the id of \[PAD\].*another model/,
    })
  })

  test('a value that fp16 cannot hold', async () => {
    const checkpoint = tinyCheckpoint()
    const bias = checkpoint.tensors.get('encoder.layer.0.output.dense.bias') ?? assert.fail()
    bias.values[3] = 65_520
    await writeTinyFolder(source, checkpoint)
    await assert.rejects(convertModel({ source, out, precisions: ['fp16'] }), {
      code: 'MODEL_UNSUPPORTED',
      message: /feed_forward\.output\.bias.*65,504/,
    })
  })

  test('wrong options', async () => {
    const wrong = (options: unknown, message: RegExp): Promise<void> =>
      assert.rejects(convertModel(options as ConvertOptions), { code: 'INVALID_ARGUMENT', message })
    await wrong({ source, out, precision: 'bf16' }, /no option 'precision'/)
    await wrong({ source, out, precisions: ['fp8'] }, /one of 'fp32', 'bf16', 'int8', 'fp16', got "fp8"/)
    await wrong({ source, out, precisions: [] }, /list of precisions/)
    await wrong({ source, out, precisions: ['bf16', 'bf16'] }, /without repetitions/)
    await wrong({ source: 1, out }, /options\.source/)
    await wrong({ source, out, overwrite: 'yes' }, /options\.overwrite/)
    await wrong(undefined, /options\.source/)
  })
})
