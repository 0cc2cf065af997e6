// The encoder as an ONNX graph for one text: ids in, the last hidden state out. No padding, so no mask and no token types;
// pooling and normalising are left to the caller, who knows the model folder.

import type { GraphPrecision } from '../models/graph-manifest.js'
import type { EncoderConfig } from './encoder-config.js'
import { CONTRIB_DOMAIN, ONNX_TYPE, OnnxGraph } from './onnx-graph.js'
import type { StoredTensor } from './safetensors-header.js'

/** Name of the graph's input: int64 [1, tokens]. */
export const GRAPH_INPUT = 'input_ids'
/** Name of the graph's output: float [1, tokens, hidden]. */
export const GRAPH_OUTPUT = 'last_hidden_state'

/** Matrix products of one precision; everything between them is float32 in all of them. */
interface Products {
  /** Rows of the word table for the ids, in float32. */
  lookUpWords(ids: string): string
  /** Multi-head self-attention up to the concatenated heads, projection of Q, K and V included. */
  attention(name: string, input: string, weights: string): string
  /** `input · weights + bias`, the bias left out if the caller adds it. */
  linear(name: string, input: string, weights: string, withBias: boolean): string
}

function int64(graph: OnnxGraph, name: string, value: number): string {
  return graph.constant(name, ONNX_TYPE.INT64, [1], new Uint8Array(BigInt64Array.of(BigInt(value)).buffer))
}

function floatProducts(graph: OnnxGraph, config: EncoderConfig, weight: (name: string) => string, narrow: boolean): Products {
  // A Cast of a constant is folded when the session is made; the word table is cast row by row instead, after the look-up,
  // so that it stays narrow in memory.
  const widen = (name: string, input: string): string =>
    narrow ? graph.node(`${name}.float`, 'Cast', [input], { to: ONNX_TYPE.FLOAT }) : input
  const matrix = (name: string): string => widen(name, weight(name))
  return {
    lookUpWords: (ids) => widen('words', graph.node('words', 'Gather', [weight('embeddings.word.weight'), ids], { axis: 0 })),
    attention: (name, input, weights) =>
      graph.node(
        name,
        'Attention',
        [input, matrix(`${weights}.weight`), weight(`${weights}.bias`)],
        { num_heads: config.heads },
        CONTRIB_DOMAIN,
      ),
    linear: (name, input, weights, withBias) => {
      const product = graph.node(withBias ? `${name}.product` : name, 'MatMul', [input, matrix(`${weights}.weight`)])
      return withBias ? graph.node(name, 'Add', [product, weight(`${weights}.bias`)]) : product
    },
  }
}

function integerProducts(graph: OnnxGraph, config: EncoderConfig, weight: (name: string) => string): Products {
  const zero = graph.constant('weight_zero_point', ONNX_TYPE.INT8, [], Uint8Array.of(0))
  return {
    lookUpWords: (ids) => {
      const rows = graph.node('words.int8', 'Gather', [weight('embeddings.word.weight'), ids], { axis: 0 })
      const scales = graph.node('words.scale', 'Gather', [weight('embeddings.word.weight_scale'), ids], { axis: 0 })
      return graph.node('words', 'Mul', [graph.node('words.float', 'Cast', [rows], { to: ONNX_TYPE.FLOAT }), scales])
    },
    attention: (name, input, weights) => {
      const [quantized, scale, zeroPoint] = [`${name}.input`, `${name}.input_scale`, `${name}.input_zero_point`]
      graph.nodeOf([quantized, scale, zeroPoint], 'DynamicQuantizeLinear', [input])
      const [matrix, bias, matrixScale] = ['weight', 'bias', 'weight_scale'].map((part) => weight(`${weights}.${part}`)) as [
        string,
        string,
        string,
      ]
      const inputs = [quantized, matrix, bias, scale, matrixScale, '', zeroPoint, zero]
      return graph.node(name, 'QAttention', inputs, { num_heads: config.heads }, CONTRIB_DOMAIN)
    },
    linear: (name, input, weights, withBias) => {
      const inputs = [input, weight(`${weights}.weight`), weight(`${weights}.weight_scale`)]
      if (withBias) inputs.push('', weight(`${weights}.bias`))
      return graph.node(name, 'DynamicQuantizeMatMul', inputs, {}, CONTRIB_DOMAIN)
    },
  }
}

/**
 * Builds the graph over a weights file.
 *
 * @param tensors     where the weights lie, by their names in the weight layout
 * @param weightsFile name of that file, which lies in the same folder as the graph
 * @param version     of the converter, written as the producer's
 * @returns the bytes of an `.onnx` file
 */
export function encoderGraph(
  config: EncoderConfig,
  precision: GraphPrecision,
  tensors: ReadonlyMap<string, StoredTensor>,
  weightsFile: string,
  version: string,
): Uint8Array {
  const graph = new OnnxGraph(weightsFile)
  const weight = (name: string): string => {
    const tensor = tensors.get(name)
    if (tensor === undefined) throw new Error(`the weights file lacks '${name}'`)
    return graph.weight(tensor)
  }
  const products =
    precision === 'int8' ? integerProducts(graph, config, weight) : floatProducts(graph, config, weight, precision === 'bf16')
  const epsilon = { axis: -1, epsilon: { float: config.layerNormEpsilon } }
  const normalize = (name: string, input: string, weights: string): string =>
    graph.node(name, 'LayerNormalization', [input, weight(`${weights}.weight`), weight(`${weights}.bias`)], epsilon)

  const ids = graph.input(GRAPH_INPUT, ONNX_TYPE.INT64, [1, 'tokens'])
  const tokens = graph.node('tokens', 'Shape', [ids], { start: 1, end: 2 })
  const zero = int64(graph, 'zero', 0)
  const positions = graph.node('positions', 'Slice', [weight('embeddings.position.weight'), zero, tokens, zero])
  const embedded = graph.node('embedded', 'Add', [products.lookUpWords(ids), positions])
  let state = normalize('embeddings', embedded, 'embeddings.norm')

  for (let index = 0; index < config.layers; index++) {
    const layer = `layers.${String(index)}`
    const heads = products.attention(`${layer}.attention`, state, `${layer}.attention.qkv`)
    const attended = products.linear(`${layer}.attention.output`, heads, `${layer}.attention.output`, true)
    const middle = normalize(
      `${layer}.attention.norm`,
      graph.node(`${layer}.attention.sum`, 'Add', [attended, state]),
      `${layer}.attention.norm`,
    )
    const wide = products.linear(`${layer}.feed_forward.input`, middle, `${layer}.feed_forward.input`, false)
    const bias = weight(`${layer}.feed_forward.input.bias`)
    const active = graph.node(`${layer}.feed_forward.gelu`, 'BiasGelu', [wide, bias], {}, CONTRIB_DOMAIN)
    const back = products.linear(`${layer}.feed_forward.output`, active, `${layer}.feed_forward.output`, true)
    const last = index === config.layers - 1
    state = normalize(
      last ? GRAPH_OUTPUT : `${layer}.feed_forward.norm`,
      graph.node(`${layer}.feed_forward.sum`, 'Add', [back, middle]),
      `${layer}.feed_forward.norm`,
    )
  }
  graph.output(state, ONNX_TYPE.FLOAT, [1, 'tokens', config.hidden])
  return graph.toBytes(`${config.modelType}-${precision}`, version)
}
