// Owns the encoder as an ONNX graph of standard operators for one text: ids in, the last hidden state out, or the pooled vector
// where native code does not support the modules after the encoder. No padding, so no mask and no token types.
// batch-graph.ts has the graph for batches on a GPU.

import type { GraphPrecision } from '../models/graph-manifest.js'
import type { Activation, EncoderConfig } from './encoder-config.js'
import { longestInput } from './encoder-config.js'
import { productsOf, type WeightOf } from './encoder-products.js'
import { CONTRIB_DOMAIN, ONNX_TYPE, OnnxGraph } from './onnx-graph.js'
import { addPoolingHead, type PoolingHead } from './pooling-head.js'
import type { StoredTensor } from './safetensors-header.js'

/** Name of the graph's input: int64 [1, tokens]. */
export const GRAPH_INPUT = 'input_ids'
/** Name of the graph's output without a pooling head: float [1, tokens, hidden]. */
export const GRAPH_OUTPUT = 'last_hidden_state'
/** Name of the graph's output with one: float [1, dimensions]. */
export const POOLED_OUTPUT = 'sentence_embedding'

/** Input of {@link encoderGraph}. */
export interface EncoderGraphParts {
  config: EncoderConfig
  /** Pooling and layers after the encoder in the graph; null where native code pools. */
  head: PoolingHead | null
  precision: GraphPrecision
  /** Locations of the weights, by name in the weight layout. */
  tensors: ReadonlyMap<string, StoredTensor>
  /** Name of the file of weights, in the graph's folder. */
  weightsFile: string
  /** Version of the converter, written as the producer's. */
  version: string
}

/** Builds the bytes of an `.onnx` file over a weights file. */
export function encoderGraph({ config, head, precision, tensors, weightsFile, version }: EncoderGraphParts): Uint8Array {
  const graph = new OnnxGraph(weightsFile)
  const weight = weightsOf(graph, tensors)
  const products = productsOf(graph, config, precision, weight)
  const epsilon = { axis: -1, epsilon: { float: config.layerNormEpsilon } }
  const normalize = (name: string, input: string, weights: string): string =>
    graph.node(name, 'LayerNormalization', [input, weight(`${weights}.weight`), weight(`${weights}.bias`)], epsilon)

  const ids = graph.input(GRAPH_INPUT, ONNX_TYPE.INT64, [1, 'tokens'])
  const tokens = graph.node('tokens', 'Shape', [ids], { start: 1, end: 2 })
  const embedded = graph.node('embedded', 'Add', [products.lookUpWords(ids), positionRows(graph, config, ids, tokens, weight)])
  const scoreBias = config.relativeBuckets === 0 ? '' : biasOfDistances(graph, config, tokens, weight)
  let state = normalize('embeddings', embedded, 'embeddings.norm')

  // In float16 and with a head the hidden state is not the output yet.
  const isOutput = precision !== 'fp16' && head === null
  for (let index = 0; index < config.layers; index++) {
    const layer = `layers.${String(index)}`
    const heads = products.attention(`${layer}.attention`, state, `${layer}.attention.qkv`, { scoreBias, keyLengths: '' })
    const attended = products.linear(`${layer}.attention.output`, heads, `${layer}.attention.output`, true)
    const middle = normalize(
      `${layer}.attention.norm`,
      graph.node(`${layer}.attention.sum`, 'Add', [attended, state]),
      `${layer}.attention.norm`,
    )
    const wide = products.linear(`${layer}.feed_forward.input`, middle, `${layer}.feed_forward.input`, false)
    const active = activate(graph, config.activation, `${layer}.feed_forward`, wide, weight(`${layer}.feed_forward.input.bias`))
    const back = products.linear(`${layer}.feed_forward.output`, active, `${layer}.feed_forward.output`, true)
    state = normalize(
      index === config.layers - 1 && isOutput ? GRAPH_OUTPUT : `${layer}.feed_forward.norm`,
      graph.node(`${layer}.feed_forward.sum`, 'Add', [back, middle]),
      `${layer}.feed_forward.norm`,
    )
  }
  if (precision === 'fp16') state = graph.node(head === null ? GRAPH_OUTPUT : 'hidden', 'Cast', [state], { to: ONNX_TYPE.FLOAT })
  if (head === null) graph.output(state, ONNX_TYPE.FLOAT, [1, 'tokens', config.hidden])
  else {
    const pooled = addPoolingHead(graph, head, state, tokens, weight)
    graph.output(graph.node(POOLED_OUTPUT, 'Identity', [pooled]), ONNX_TYPE.FLOAT, [1, head.dimensions])
  }
  return graph.toBytes(`${config.modelType}-${precision}`, version)
}

/** Adds each weight to the graph on first use. */
export function weightsOf(graph: OnnxGraph, tensors: ReadonlyMap<string, StoredTensor>): WeightOf {
  const placed = new Set<string>()
  return (name) => {
    const tensor = tensors.get(name)
    if (tensor === undefined) throw new Error(`the weights file lacks '${name}'`)
    if (placed.has(name)) return name
    placed.add(name)
    return graph.weight(tensor)
  }
}

function positionRows(graph: OnnxGraph, config: EncoderConfig, ids: string, tokens: string, weight: WeightOf): string {
  const table = weight('embeddings.position.weight')
  if (config.paddingId === null) {
    const zero = graph.integers('zero', [1], [0])
    return graph.node('positions', 'Slice', [table, zero, tokens, zero])
  }
  return graph.node('positions', 'Gather', [table, countedPositions(graph, config.paddingId, ids)], { axis: 0 })
}

/**
 * Rows of the position table where positions count from the row after the padding id. Since a text may contain the padding token:
 * position = padding + (number of other tokens up to and including this one, if it is another).
 */
export function countedPositions(graph: OnnxGraph, paddingId: number, ids: string): string {
  const padding = graph.integers('padding', [], [paddingId])
  const others = graph.node('others', 'Cast', [graph.node('others.bool', 'Not', [graph.node('paddings', 'Equal', [ids, padding])])], {
    to: ONNX_TYPE.INT64,
  })
  const counted = graph.node('others.count', 'CumSum', [others, graph.integers('one', [], [1])])
  return graph.node('others.position', 'Add', [graph.node('others.number', 'Mul', [counted, others]), padding])
}

/** The bias of every pair of tokens by their distance, [1, heads, tokens, tokens]; all layers share it. */
function biasOfDistances(graph: OnnxGraph, config: EncoderConfig, tokens: string, weight: WeightOf): string {
  const scalar = graph.node('tokens.scalar', 'Squeeze', [tokens])
  const [start, step] = [graph.integers('range.start', [], [0]), graph.integers('range.step', [], [1])]
  const keys = graph.node('range', 'Range', [start, scalar, step])
  const queries = graph.node('range.column', 'Unsqueeze', [keys, graph.integers('axis.1', [1], [1])])
  const shift = graph.integers('distance.shift', [], [longestInput(config) - 1])
  const rows = graph.node('distance.row', 'Add', [graph.node('distance', 'Sub', [keys, queries]), shift])
  const biases = graph.node('attention.bias.pairs', 'Gather', [weight('attention.bias.weight'), rows], { axis: 0 })
  const byHead = graph.node('attention.bias.heads', 'Transpose', [biases], { perm: { integers: [2, 0, 1] } })
  return graph.node('attention.bias', 'Unsqueeze', [byHead, graph.integers('axis.0', [1], [0])])
}

/** The function between the halves of the feed-forward block, on the biased input. */
export function activate(graph: OnnxGraph, activation: Activation, name: string, input: string, bias: string): string {
  if (activation === 'gelu') return graph.node(`${name}.gelu`, 'BiasGelu', [input, bias], {}, CONTRIB_DOMAIN)
  if (activation === 'gelu_tanh') return graph.node(`${name}.gelu`, 'FastGelu', [input, bias], {}, CONTRIB_DOMAIN)
  const sum = graph.node(`${name}.biased`, 'Add', [input, bias])
  if (activation === 'relu') return graph.node(`${name}.relu`, 'Relu', [sum])
  const alpha = activation === 'silu' ? 1 : 1.702
  return graph.node(`${name}.${activation}`, 'QuickGelu', [sum], { alpha: { float: alpha } }, CONTRIB_DOMAIN)
}
