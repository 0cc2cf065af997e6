// The bundled encoder as other runtimes need it: many texts at once, padded, with an attention mask. Same weights file, same
// fused operators as gabion's own graph, so that no baseline is slowed by its graph.

import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CONTRIB_DOMAIN, ONNX_TYPE, OnnxGraph, SafetensorsReader } from '../../dist/internals.js'
import { linkOrCopy, temporaryFolder } from './model-copies.mjs'

const INT32 = 6
const COPIED = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json']

/** @returns {Uint8Array} an `.onnx` file: input_ids and attention_mask int64 [batch, tokens], last_hidden_state [batch, tokens, hidden] */
function batchedGraph(config, tensors, weightsFile) {
  const graph = new OnnxGraph(weightsFile)
  const stored = (name) => graph.weight(tensors.get(name))
  const float = (name, input) => graph.node(`${name}.float`, 'Cast', [input], { to: ONNX_TYPE.FLOAT })
  const matrix = (name) => float(name, stored(name))
  const epsilon = { axis: -1, epsilon: { float: config.layer_norm_eps } }
  const normalize = (name, input, weights) =>
    graph.node(name, 'LayerNormalization', [input, stored(`${weights}.weight`), stored(`${weights}.bias`)], epsilon)
  const linear = (name, input) =>
    graph.node(name, 'Add', [graph.node(`${name}.product`, 'MatMul', [input, matrix(`${name}.weight`)]), stored(`${name}.bias`)])

  const shape = ['batch', 'tokens']
  const ids = graph.input('input_ids', ONNX_TYPE.INT64, shape)
  const mask = graph.node('mask', 'Cast', [graph.input('attention_mask', ONNX_TYPE.INT64, shape)], { to: INT32 })
  const zero = graph.constant('zero', ONNX_TYPE.INT64, [1], new Uint8Array(BigInt64Array.of(0n).buffer))
  const tokens = graph.node('tokens', 'Shape', [ids], { start: 1, end: 2 })
  const positions = graph.node('positions', 'Slice', [stored('embeddings.position.weight'), zero, tokens, zero])
  const words = float('words', graph.node('words', 'Gather', [stored('embeddings.word.weight'), ids], { axis: 0 }))
  let state = normalize('embeddings', graph.node('embedded', 'Add', [words, positions]), 'embeddings.norm')
  for (let index = 0; index < config.num_hidden_layers; index++) {
    const at = `layers.${index}`
    const qkv = `${at}.attention.qkv`
    const inputs = [state, matrix(`${qkv}.weight`), stored(`${qkv}.bias`), mask]
    const heads = graph.node(`${at}.attention`, 'Attention', inputs, { num_heads: config.num_attention_heads }, CONTRIB_DOMAIN)
    const attended = graph.node(`${at}.attention.sum`, 'Add', [linear(`${at}.attention.output`, heads), state])
    const middle = normalize(`${at}.attention.norm`, attended, `${at}.attention.norm`)
    const [into, out] = [`${at}.feed_forward.input`, `${at}.feed_forward.output`]
    const wide = graph.node(into, 'MatMul', [middle, matrix(`${into}.weight`)])
    const active = graph.node(`${at}.feed_forward.gelu`, 'BiasGelu', [wide, stored(`${into}.bias`)], {}, CONTRIB_DOMAIN)
    const sum = graph.node(`${at}.feed_forward.sum`, 'Add', [linear(out, active), middle])
    const last = index === config.num_hidden_layers - 1
    state = normalize(last ? 'last_hidden_state' : `${at}.feed_forward.norm`, sum, `${at}.feed_forward.norm`)
  }
  graph.output(state, ONNX_TYPE.FLOAT, [...shape, config.hidden_size])
  return graph.toBytes('batched', '1')
}

/**
 * Makes a model folder that transformers.js can read, alone in a new temporary folder.
 *
 * @param {string} modelFolder gabion's, with `onnx/weights_bf16.safetensors`
 * @returns {Promise<{ parent: string, name: string, graphFile: string, remove: () => Promise<void> }>}
 */
export async function makeBatchedModel(modelFolder) {
  const parent = await temporaryFolder()
  const name = 'batched'
  const onnx = join(parent, name, 'onnx')
  await mkdir(onnx, { recursive: true })
  for (const file of COPIED) await copyFile(join(modelFolder, file), join(parent, name, file))
  const weights = 'weights_bf16.safetensors'
  const source = join(modelFolder, 'onnx', weights)
  // ONNX Runtime requires the weights inside the graph's folder.
  await linkOrCopy(source, join(onnx, weights))
  const reader = await SafetensorsReader.open(source)
  const config = JSON.parse(await readFile(join(modelFolder, 'config.json'), 'utf8'))
  const graphFile = join(onnx, 'model.onnx')
  await writeFile(graphFile, batchedGraph(config, reader.tensors, weights))
  await reader.close()
  return { parent, name, graphFile, remove: () => rm(parent, { recursive: true }) }
}
