// A model whose run takes microseconds: one layer of width 32 with random weights, on the bundled model's tokenizer, made by
// gabion's own converter. With so little to compute, the overhead of a call becomes visible.

import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { convertModel } from '../../dist/convert/index.js'
import { writeSafetensors } from '../../dist/internals.js'
import { temporaryFolder } from './model-copies.mjs'

const BUNDLED = fileURLToPath(new URL('../../models/all-MiniLM-L6-v2', import.meta.url))
const COPIED = ['modules.json', '1_Pooling/config.json', 'sentence_bert_config.json', 'tokenizer.json', 'tokenizer_config.json']
// Head width that gabion's own operator does not support: ONNX Runtime can run the graph alone.
const [HIDDEN, HEADS, INTERMEDIATE] = [32, 2, 64]

/** Names and shapes of a BERT checkpoint with one layer. */
function shapes({ vocab_size: vocabulary, max_position_embeddings: positions, type_vocab_size: types }) {
  const norm = (name) => [
    [`${name}.weight`, [HIDDEN]],
    [`${name}.bias`, [HIDDEN]],
  ]
  const dense = (name, output, input) => [
    [`${name}.weight`, [output, input]],
    [`${name}.bias`, [output]],
  ]
  const layer = 'encoder.layer.0'
  return [
    ['embeddings.word_embeddings.weight', [vocabulary, HIDDEN]],
    ['embeddings.position_embeddings.weight', [positions, HIDDEN]],
    ['embeddings.token_type_embeddings.weight', [types, HIDDEN]],
    ...norm('embeddings.LayerNorm'),
    ...['query', 'key', 'value'].flatMap((part) => dense(`${layer}.attention.self.${part}`, HIDDEN, HIDDEN)),
    ...dense(`${layer}.attention.output.dense`, HIDDEN, HIDDEN),
    ...norm(`${layer}.attention.output.LayerNorm`),
    ...dense(`${layer}.intermediate.dense`, INTERMEDIATE, HIDDEN),
    ...dense(`${layer}.output.dense`, HIDDEN, INTERMEDIATE),
    ...norm(`${layer}.output.LayerNorm`),
  ]
}

/** Pseudo-random values, the same on every run. */
function values(shape) {
  const length = shape.reduce((product, size) => product * size, 1)
  return new Uint8Array(Float32Array.from({ length }, (_, index) => Math.sin(index * 12.9898 + length) * 0.5).buffer)
}

/**
 * Makes the model in a new temporary folder.
 *
 * @returns {Promise<{ folder: string, graphFile: string, remove: () => Promise<void> }>}
 */
export async function makeTinyModel() {
  const place = await temporaryFolder()
  const [source, folder] = [join(place, 'checkpoint'), join(place, 'tiny')]
  for (const name of COPIED) {
    await mkdir(dirname(join(source, name)), { recursive: true })
    await copyFile(join(BUNDLED, name), join(source, name))
  }
  const pooling = JSON.parse(await readFile(join(BUNDLED, '1_Pooling/config.json'), 'utf8'))
  await writeFile(join(source, '1_Pooling/config.json'), JSON.stringify({ ...pooling, word_embedding_dimension: HIDDEN }))
  const config = JSON.parse(await readFile(join(BUNDLED, 'config.json'), 'utf8'))
  const tiny = { ...config, num_hidden_layers: 1, hidden_size: HIDDEN, intermediate_size: INTERMEDIATE, num_attention_heads: HEADS }
  await writeFile(join(source, 'config.json'), JSON.stringify(tiny))
  const tensors = shapes(tiny).map(([name, shape]) => ({ name, type: 'F32', shape, chunks: () => [values(shape)] }))
  await writeSafetensors(join(source, 'model.safetensors'), tensors, { format: 'pt' })
  await convertModel({ source, out: folder, precisions: ['fp32'] })
  return { folder, graphFile: join(folder, 'onnx', 'model_fp32.onnx'), remove: () => rm(place, { recursive: true }) }
}
