// Reading model folders: the source file of each field, and the error of every kind of invalid file.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { GabionErrorCode } from '../../lib/errors.js'
import { readModelFolder } from '../../lib/models/index.js'
import { ONNX_TYPE, OnnxGraph } from '../../lib/convert/onnx-graph.js'
import { TINY, tinyCheckpoint, writeTinyFolder } from '../fixtures/tiny-checkpoint.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gabion-folder-'))
})
afterEach(() => rm(folder, { recursive: true }))

const graph = exportOf('last_hidden_state')

function exportOf(output: string): Uint8Array {
  const made = new OnnxGraph('none')
  made.output(made.node(output, 'Identity', [made.input('input_ids', ONNX_TYPE.INT64, [1, 'tokens'])]), ONNX_TYPE.FLOAT, [1, 'tokens', 32])
  return made.toBytes('export', '1')
}

/** A folder with an ordinary export; the graph's content does not matter here. */
async function write(files: Record<string, unknown> = {}): Promise<void> {
  await writeTinyFolder(folder, tinyCheckpoint(), { files })
  await mkdir(join(folder, 'onnx'), { recursive: true })
  await writeFile(join(folder, 'onnx', 'model.onnx'), graph)
}

const pooling = (config: Record<string, unknown>): Record<string, unknown> => ({
  '1_Pooling/config.json': { word_embedding_dimension: TINY.hidden, ...config },
})
const dense = (config: Record<string, unknown> = {}): Record<string, unknown> => ({
  '2_Dense/config.json': {
    in_features: TINY.hidden,
    out_features: 8,
    bias: true,
    activation_function: 'torch.nn.modules.activation.Tanh',
    ...config,
  },
})
const modules = (...types: string[]): Record<string, unknown> => ({
  'modules.json': types.map((type, index) => ({
    type: `sentence_transformers.models.${type}`,
    path: index === 0 ? '' : `${String(index)}_${type}`,
  })),
})

describe('a model folder', () => {
  test('is read from its own files', async () => {
    await write()
    const model = await readModelFolder(folder)
    const { graphs, ...rest } = model
    assert.deepEqual(rest, {
      name: folder.split('/').at(-1),
      folder,
      revision: null,
      license: 'mit',
      dimensions: TINY.hidden,
      wholeDimensions: TINY.hidden,
      maxSequenceLength: 16,
      keepsEnd: null,
      pooling: 'mean',
      normalize: true,
      tokenizerFile: join(folder, 'tokenizer.json'),
      vocabularySize: TINY.vocabulary,
      prompt: '',
      prompts: {},
      includePrompt: true,
      lowersText: false,
      warnings: [],
      encoderFolder: folder,
      selfTest: null,
    })
    const sha256 = createHash('sha256').update(graph).digest('hex')
    assert.deepEqual(graphs, [
      {
        precision: 'fp32',
        output: { name: 'last_hidden_state', rank: 3 },
        file: join(folder, 'onnx', 'model.onnx'),
        fusedFile: null,
        weightsFile: null,
        sha256,
        weightsHash: sha256,
      },
    ])
  })

  test('counts external weights of an export to its identity', async () => {
    await write()
    await writeFile(join(folder, 'onnx', 'model.onnx_data'), 'weights')
    const [found] = (await readModelFolder(folder)).graphs
    assert.equal(found?.weightsHash, createHash('sha256').update(graph).update('weights').digest('hex'))
    assert.equal(found.weightsFile, join(folder, 'onnx', 'model.onnx_data'))
  })

  test('says that it has no graph, and how to make one', async () => {
    await writeTinyFolder(folder, tinyCheckpoint())
    await assert.rejects(readModelFolder(folder), { code: 'MODEL_NOT_FOUND', message: /no ONNX graph.*gabion model convert/ })
  })

  test('need not end with Normalize', async () => {
    await write(modules('Transformer', 'Pooling'))
    assert.equal((await readModelFolder(folder)).normalize, false)
  })

  test('may name its modules as newer releases of sentence-transformers do', async () => {
    const type = (name: string): string => `sentence_transformers.sentence_transformer.modules.${name.toLowerCase()}.${name}`
    await write({
      'modules.json': [
        { type: type('Transformer'), path: '' },
        { type: type('Pooling'), path: '1_Pooling' },
      ],
      '1_Pooling/config.json': { embedding_dimension: TINY.hidden, pooling_mode: 'cls', include_prompt: true },
    })
    assert.equal((await readModelFolder(folder)).pooling, 'cls')
  })

  for (const [key, expected] of [
    ['pooling_mode_cls_token', 'cls'],
    ['pooling_mode_mean_tokens', 'mean'],
    ['pooling_mode_max_tokens', 'max'],
    ['pooling_mode_mean_sqrt_len_tokens', 'mean_sqrt_len_tokens'],
    ['pooling_mode_lasttoken', 'lasttoken'],
  ] as const) {
    test(`pools as ${key} says`, async () => {
      await write(pooling({ pooling_mode_mean_tokens: false, [key]: true }))
      assert.equal((await readModelFolder(folder)).pooling, expected)
    })
  }

  for (const [declared, expected] of [
    [12, 12],
    [1e30, TINY.positions],
  ] as const) {
    test(`that leaves its length open has the smaller of tokenizer (${String(declared)}) and position table`, async () => {
      await write({ 'sentence_bert_config.json': { max_seq_length: null }, 'tokenizer_config.json': { model_max_length: declared } })
      assert.equal((await readModelFolder(folder)).maxSequenceLength, expected)
    })
  }

  test('tells its prompts, and which one every text gets', async () => {
    await write({ 'config_sentence_transformers.json': { prompts: { query: 'q: ', document: '' }, default_prompt_name: null } })
    const named = await readModelFolder(folder)
    assert.deepEqual([named.prompt, named.prompts], ['', { query: 'q: ', document: '' }])
    await write({ 'config_sentence_transformers.json': { prompts: { query: 'q: ' }, default_prompt_name: 'query' } })
    assert.equal((await readModelFolder(folder)).prompt, 'q: ')
  })

  for (const names of [{ dim: TINY.hidden }, { n_embd: TINY.hidden, n_positions: 12 }, { text_config: { d_model: TINY.hidden } }, {}]) {
    test(`may be of another architecture, with sizes as ${JSON.stringify(names)}`, async () => {
      await write({ 'config.json': { model_type: 'other', ...names } })
      const { dimensions, maxSequenceLength } = await readModelFolder(folder)
      assert.deepEqual([dimensions, maxSequenceLength], [TINY.hidden, 'n_positions' in names ? 12 : 16])
    })
  }

  test('never takes more tokens than it has positions for', async () => {
    await write({ 'sentence_bert_config.json': { max_seq_length: 21 } })
    assert.equal((await readModelFolder(folder)).maxSequenceLength, TINY.positions)
    const { config } = tinyCheckpoint()
    await write({
      'sentence_bert_config.json': { max_seq_length: 21 },
      'config.json': { ...config, model_type: 'xlm-roberta', pad_token_id: 1 },
    })
    assert.equal((await readModelFolder(folder)).maxSequenceLength, TINY.positions - 2)
  })

  const refused: [what: string, files: Record<string, unknown>, code: GabionErrorCode, message: RegExp][] = [
    ['no modules.json', { 'modules.json': null }, 'MODEL_NOT_FOUND', /has no modules\.json/],
    ['a modules.json that is no JSON', { 'modules.json': '[' }, 'MODEL_INVALID', /modules\.json is not JSON/],
    ['a modules.json that is no list', { 'modules.json': {} }, 'MODEL_INVALID', /list of modules/],
    ['an empty modules.json', { 'modules.json': [] }, 'MODEL_INVALID', /lists no modules/],
    ['a module without a type', { 'modules.json': [{ path: '' }] }, 'MODEL_INVALID', /module 0: field 'type'/],
    [
      'a module outside the folder',
      { 'modules.json': [{ type: 'sentence_transformers.models.Transformer', path: '../x' }] },
      'MODEL_INVALID',
      /inside the model folder/,
    ],
    ['an unknown layer', modules('Transformer', 'Pooling', 'CNN', 'Normalize'), 'MODEL_UNSUPPORTED', /module '2_CNN' \(.*models\.CNN\)/],
    [
      'a dense layer that its export lacks',
      { ...modules('Transformer', 'Pooling', 'Dense'), ...dense() },
      'MODEL_UNSUPPORTED',
      /lacks.*2_Dense/,
    ],
    [
      'a dense layer of another width',
      { ...modules('Transformer', 'Pooling', 'Dense'), ...dense({ in_features: 31 }) },
      'MODEL_INVALID',
      /in_features.*32.*got 31/,
    ],
    [
      'a dense layer with an unknown activation',
      { ...modules('Transformer', 'Pooling', 'Dense'), ...dense({ activation_function: 'torch.nn.modules.activation.Softmax' }) },
      'MODEL_UNSUPPORTED',
      /2_Dense.config\.json: activation_function .*Softmax/,
    ],
    [
      'a dense layer over tokens',
      { ...modules('Transformer', 'Pooling', 'Dense'), ...dense({ module_input_name: 'token_embeddings' }) },
      'MODEL_UNSUPPORTED',
      /module_input_name "token_embeddings" of module '2_Dense'/,
    ],
    [
      'a dense layer with a residual',
      { ...modules('Transformer', 'Pooling', 'Dense'), ...dense({ use_residual: true }) },
      'MODEL_UNSUPPORTED',
      /use_residual true/,
    ],
    ['another first module', modules('BoW', 'Pooling'), 'MODEL_UNSUPPORTED', /models\.BoW/],
    ['no pooling', modules('Transformer'), 'MODEL_UNSUPPORTED', /no Pooling/],
    ['something else instead of pooling', modules('Transformer', 'Normalize'), 'MODEL_UNSUPPORTED', /second module/],
    ['no pooling file', { '1_Pooling/config.json': null }, 'MODEL_NOT_FOUND', /1_Pooling\/config\.json/],
    [
      'two poolings and an export',
      pooling({ pooling_mode_mean_tokens: true, pooling_mode_cls_token: true }),
      'MODEL_UNSUPPORTED',
      /mean and cls|cls and mean/,
    ],
    ['an unknown pooling', pooling({ pooling_mode: 'median' }), 'MODEL_UNSUPPORTED', /pooling_mode "median" is not supported/],
    [
      'a pooling that only graphs of ours do',
      pooling({ pooling_mode_weightedmean_tokens: true }),
      'MODEL_UNSUPPORTED',
      /weightedmean.*gabion model convert/,
    ],
    ['a pooling switch as text', pooling({ pooling_mode_mean_tokens: 'yes' }), 'MODEL_INVALID', /true or false, got "yes"/],
    [
      'another width',
      pooling({ pooling_mode_mean_tokens: true, word_embedding_dimension: 31 }),
      'MODEL_INVALID',
      /hidden_size.*31.*got 32/,
    ],
    ['a length of zero', { 'sentence_bert_config.json': { max_seq_length: 0 } }, 'MODEL_INVALID', /max_seq_length/],
    ['no tokenizer.json', { 'tokenizer.json': null }, 'MODEL_NOT_FOUND', /tokenizer\.json/],
    ['no config.json', { 'config.json': null }, 'MODEL_NOT_FOUND', /has no config\.json/],
    [
      'a default prompt that it does not have',
      { 'config_sentence_transformers.json': { prompts: {}, default_prompt_name: 'query' } },
      'MODEL_INVALID',
      /default_prompt_name/,
    ],
    [
      'a prompt that pooling leaves out',
      {
        'config_sentence_transformers.json': { prompts: { query: 'q: ' }, default_prompt_name: 'query' },
        ...pooling({ pooling_mode_weightedmean_tokens: true, include_prompt: false }),
      },
      'MODEL_UNSUPPORTED',
      /1_Pooling.config\.json: include_prompt false.*'query'/,
    ],
    [
      'a self-test of another length',
      { 'selftest.json': { text: 'a', vector: 'AAAA', minimumCosine: {} } },
      'MODEL_INVALID',
      /'vector'.*32 float32/,
    ],
    ['another manifest format', { 'manifest.json': { format: 'x' } }, 'MODEL_INVALID', /manifest\.json: field 'format'/],
    ['another graph manifest format', { 'onnx/manifest.json': {} }, 'MODEL_INVALID', /onnx\/manifest\.json: field 'format'/],
  ]
  for (const [what, files, code, message] of refused) {
    test(`with ${what} is refused`, async () => {
      await write(files)
      await assert.rejects(readModelFolder(folder), { code, message })
    })
  }

  test('that does not exist is not found', async () => {
    await assert.rejects(readModelFolder(join(folder, 'nowhere')), { code: 'MODEL_NOT_FOUND', message: /no model folder/ })
  })
})
