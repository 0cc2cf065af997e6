// Owns the encoder as an ONNX graph for batches on a GPU: padded ids in, one float16 sum of token vectors per text out.
// native/engine/batch_session.cpp makes its inputs and finishes the pooling. Every node runs on the GPU, and no shape depends on
// values: shape-dependent constants are inputs, so that a run can be captured as a CUDA graph.

import type { Pooling } from '../models/pooled-modules.js'
import type { EncoderConfig } from './encoder-config.js'
import { longestInput } from './encoder-config.js'
import { activate, countedPositions, GRAPH_INPUT, POOLED_OUTPUT, weightsOf, type EncoderGraphParts } from './encoder-graph.js'
import { productsOf, type WeightOf } from './encoder-products.js'
import { CONTRIB_DOMAIN, ONNX_TYPE, OnnxGraph } from './onnx-graph.js'
import type { PoolingHead } from './pooling-head.js'

/**
 * Names and shapes of the graph's inputs in addition to the ids, int64 [rows, tokens]. `distances` exists only with relative
 * attention, since a graph must use all its inputs.
 */
export const BATCH_INPUTS = {
  /** int32 [3 rows + 2]: token counts per row, then the offsets of the rows' queries and keys with the end, as ONNX Runtime's Attention requires. */
  keyLengths: 'key_lengths',
  /** float16 [rows, 1, tokens]: weight of each token in its row's sum. */
  poolingWeights: 'pooling_weights',
  /** int64 [1, tokens]: 0, 1, 2 … */
  positions: 'position_ids',
  /** int64 [tokens, tokens]: key minus query. */
  distances: 'key_distances',
} as const

/** Whether a model can run in batches: pooling must be a weighted sum. */
export function canBatch(head: PoolingHead | null, pooling: Pooling): boolean {
  return head === null && pooling !== 'max'
}

/** Builds the bytes of an `.onnx` file over a weights file in float16, for a model that {@link canBatch}. */
export function batchGraph({ config, tensors, weightsFile, version }: Omit<EncoderGraphParts, 'head' | 'precision'>): Uint8Array {
  const graph = new OnnxGraph(weightsFile)
  const weight = weightsOf(graph, tensors)
  const products = productsOf(graph, config, 'fp16', weight)

  const ids = graph.input(GRAPH_INPUT, ONNX_TYPE.INT64, ['rows', 'tokens'])
  const keyLengths = graph.input(BATCH_INPUTS.keyLengths, ONNX_TYPE.INT32, ['lengths'])
  const poolingWeights = graph.input(BATCH_INPUTS.poolingWeights, ONNX_TYPE.FLOAT16, ['rows', 1, 'tokens'])

  /** The norm of a sum of two inputs and an optional bias, as one node of ONNX Runtime. */
  const normOfSum = (name: string, inputs: readonly [string, string], norm: string, bias?: string): string => {
    const all = [...inputs, weight(`${norm}.weight`), weight(`${norm}.bias`), ...(bias === undefined ? [] : [weight(bias)])]
    return graph.node(name, 'SkipLayerNormalization', all, { epsilon: { float: config.layerNormEpsilon } }, CONTRIB_DOMAIN)
  }
  const positions = positionVectors(graph, config, ids, weight)
  const scoreBias = config.relativeBuckets === 0 ? '' : biasOfDistances(graph, config, weight)
  let state = normOfSum('embeddings', [products.lookUpWords(ids), positions], 'embeddings.norm')
  for (let index = 0; index < config.layers; index++) {
    const layer = `layers.${String(index)}`
    const heads = products.attention(`${layer}.attention`, state, `${layer}.attention.qkv`, { scoreBias, keyLengths })
    const attended = products.linear(`${layer}.attention.output`, heads, `${layer}.attention.output`, false)
    const middle = normOfSum(`${layer}.attention.norm`, [attended, state], `${layer}.attention.norm`, `${layer}.attention.output.bias`)
    const wide = products.linear(`${layer}.feed_forward.input`, middle, `${layer}.feed_forward.input`, false)
    const active = activate(graph, config.activation, `${layer}.feed_forward`, wide, weight(`${layer}.feed_forward.input.bias`))
    const back = products.linear(`${layer}.feed_forward.output`, active, `${layer}.feed_forward.output`, false)
    state = normOfSum(`${layer}.feed_forward.norm`, [back, middle], `${layer}.feed_forward.norm`, `${layer}.feed_forward.output.bias`)
  }
  const sums = graph.node('pooled', 'MatMul', [poolingWeights, state])
  graph.output(graph.node(POOLED_OUTPUT, 'Cast', [sums], { to: ONNX_TYPE.FLOAT }), ONNX_TYPE.FLOAT, ['rows', 1, config.hidden])
  return graph.toBytes(`${config.modelType}-batch`, version)
}

function positionVectors(graph: OnnxGraph, config: EncoderConfig, ids: string, weight: WeightOf): string {
  const table = weight('embeddings.position.weight')
  const numbers =
    config.paddingId === null
      ? graph.input(BATCH_INPUTS.positions, ONNX_TYPE.INT64, [1, 'tokens'])
      : countedPositions(graph, config.paddingId, ids)
  return graph.node('positions', 'Gather', [table, numbers], { axis: 0 })
}

/** The bias of every pair of tokens by their distance, [1, heads, tokens, tokens]; all layers and rows share it. */
function biasOfDistances(graph: OnnxGraph, config: EncoderConfig, weight: WeightOf): string {
  const distances = graph.input(BATCH_INPUTS.distances, ONNX_TYPE.INT64, ['tokens', 'tokens'])
  const rows = graph.node('distance.row', 'Add', [distances, graph.integers('distance.shift', [], [longestInput(config) - 1])])
  const biases = graph.node('attention.bias.pairs', 'Gather', [weight('attention.bias.weight'), rows], { axis: 0 })
  const byHead = graph.node('attention.bias.heads', 'Transpose', [biases], { perm: { integers: [2, 0, 1] } })
  return graph.node('attention.bias', 'Unsqueeze', [byHead, graph.integers('axis.0', [1], [0])])
}
