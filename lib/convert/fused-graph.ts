// Owns the encoder as an ONNX graph of one node, gabion's own operator (native/engine/encoder_graph.hpp): ids in, the last hidden
// state out. It refers to the same weights file as the standard graph, so it takes only a few kilobytes.

import { GRAPH_INPUT, GRAPH_OUTPUT } from './encoder-graph.js'
import type { EncoderConfig } from './encoder-config.js'
import { GABION_DOMAIN, ONNX_TYPE, OnnxGraph } from './onnx-graph.js'
import type { StoredTensor } from './safetensors-header.js'

/** Input of {@link fusedGraph}. */
export interface FusedGraphParts {
  config: EncoderConfig
  /** Locations of the weights, by name in the weight layout. */
  tensors: ReadonlyMap<string, StoredTensor>
  /** Name of the file of weights, in the graph's folder. */
  weightsFile: string
  /** Version of the converter, written as the producer's. */
  version: string
}

// Multiples that native/kernels/encoder.cpp requires for every instruction set.
const WIDEST = 1024
const PANEL = 32

/** The parts of a layer in the order of the operator's inputs, a weight and a bias each. */
const LAYER_PARTS = [
  'attention.qkv',
  'attention.output',
  'attention.norm',
  'feed_forward.input',
  'feed_forward.output',
  'feed_forward.norm',
] as const

/** Whether the operator supports an encoder; the standard graph supports all. */
export function canFuse(config: EncoderConfig): boolean {
  return (
    config.activation === 'gelu' &&
    config.hidden <= WIDEST &&
    (config.hidden / config.heads) % PANEL === 0 &&
    config.intermediate % PANEL === 0
  )
}

/** Builds the bytes of an `.onnx` file over a weights file in float32 or bf16. The config must satisfy {@link canFuse}. */
export function fusedGraph({ config, tensors, weightsFile, version }: FusedGraphParts): Uint8Array {
  const graph = new OnnxGraph(weightsFile, GABION_DOMAIN)
  const weight = (name: string): string => {
    const tensor = tensors.get(name)
    if (tensor === undefined) throw new Error(`the weights file lacks '${name}'`)
    return graph.weight(tensor)
  }
  const pair = (name: string): string[] => [weight(`${name}.weight`), weight(`${name}.bias`)]

  const ids = graph.input(GRAPH_INPUT, ONNX_TYPE.INT64, [1, 'tokens'])
  const inputs = [ids, weight('embeddings.word.weight'), weight('embeddings.position.weight'), ...pair('embeddings.norm')]
  for (let index = 0; index < config.layers; index++) {
    const layer = `layers.${String(index)}`
    for (const part of LAYER_PARTS) inputs.push(...pair(`${layer}.${part}`))
  }
  if (config.relativeBuckets > 0) inputs.push(weight('attention.bias.weight'))
  const attributes = {
    architecture: config.modelType,
    activation: config.activation,
    layers: config.layers,
    heads: config.heads,
    hidden: config.hidden,
    intermediate: config.intermediate,
    epsilon: { float: config.layerNormEpsilon },
    ...(config.paddingId === null ? {} : { padding_id: config.paddingId }),
  }
  graph.output(graph.node(GRAPH_OUTPUT, 'Encoder', inputs, attributes, GABION_DOMAIN), ONNX_TYPE.FLOAT, [1, 'tokens', config.hidden])
  return graph.toBytes(`${config.modelType}-fused`, version)
}
