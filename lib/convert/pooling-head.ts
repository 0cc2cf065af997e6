// Owns pooling and the layers after it as graph nodes, with their weights, for models whose modules native code does not support.
// Computes in float32 in every precision.

import { join } from 'node:path'
import type { DenseActivation, GraphPooling, HeadLayer, PooledModules } from '../models/pooled-modules.js'
import { Checkpoint } from './checkpoint.js'
import type { WeightOf } from './encoder-products.js'
import { CONTRIB_DOMAIN, ONNX_TYPE, type AttributeValue, type OnnxGraph } from './onnx-graph.js'
import type { LayoutTensor } from './weight-layout.js'

/** The graph's operations after the encoder. */
export type PoolingHead = Pick<PooledModules, 'poolings' | 'layers' | 'dimensions'>

/** PyTorch's default for LayerNorm, which sentence-transformers does not change. */
const LAYER_NORM_EPSILON = 1e-5
/** PyTorch's default for normalize. */
const MIN_LENGTH = 1e-12

/**
 * Reads the weights of the layers after pooling, which are small.
 *
 * @param folder of the model
 * @throws GabionError as {@link Checkpoint.open} and {@link Checkpoint.require}
 */
export async function headLayout(folder: string, head: PoolingHead): Promise<LayoutTensor[]> {
  const result: LayoutTensor[] = []
  for (const [index, layer] of head.layers.entries()) {
    if (layer.kind === 'normalize') continue
    await using source = await Checkpoint.open(join(folder, layer.path))
    const add = (part: string, shape: readonly number[], values: Float32Array): void => {
      result.push({
        name: `head.${String(index)}.${part}`,
        shape,
        kind: 'head',
        rows: async function* () {
          yield await Promise.resolve(values)
        },
      })
    }
    if (layer.kind === 'dense') {
      const { input, output } = layer
      const stored = await source.read(source.require('linear.weight', [output, input]))
      const weight = Float32Array.from(stored, (_, at) => stored[(at % output) * input + Math.floor(at / output)] as number)
      add('weight', [input, output], weight)
      if (layer.bias) add('bias', [output], await source.read(source.require('linear.bias', [output])))
    } else {
      for (const part of ['weight', 'bias']) add(part, [layer.size], await source.read(source.require(`norm.${part}`, [layer.size])))
    }
  }
  return result
}

/**
 * Adds the nodes.
 *
 * @param hidden float [1, tokens, width]
 * @param tokens int64 [1], their number
 * @returns float [1, dimensions]
 */
export function addPoolingHead(graph: OnnxGraph, head: PoolingHead, hidden: string, tokens: string, weight: WeightOf): string {
  const pooled = head.poolings.map((pooling, index) => pool(graph, `pooled.${String(index)}`, pooling, hidden, tokens))
  let state = pooled.length === 1 ? (pooled[0] as string) : graph.node('pooled', 'Concat', pooled, { axis: -1 })
  for (const [index, layer] of head.layers.entries()) state = addLayer(graph, `head.${String(index)}`, layer, state, weight)
  return state
}

function pool(graph: OnnxGraph, name: string, pooling: GraphPooling, hidden: string, tokens: string): string {
  const overTokens = { axes: { integers: [1] }, keepdims: 0 }
  switch (pooling) {
    case 'mean':
      return graph.node(name, 'ReduceMean', [hidden], overTokens)
    case 'max':
      return graph.node(name, 'ReduceMax', [hidden], overTokens)
    case 'cls':
      return graph.node(name, 'Gather', [hidden, graph.integers(`${name}.at`, [], [0])], { axis: 1 })
    case 'lasttoken':
      return graph.node(name, 'Gather', [hidden, graph.integers(`${name}.at`, [], [-1])], { axis: 1 })
    case 'mean_sqrt_len_tokens': {
      const count = graph.node(`${name}.count`, 'Cast', [tokens], { to: ONNX_TYPE.FLOAT })
      const mean = graph.node(`${name}.mean`, 'ReduceMean', [hidden], overTokens)
      return graph.node(name, 'Mul', [mean, graph.node(`${name}.root`, 'Sqrt', [count])])
    }
    case 'weightedmean': {
      // The weight of the n-th token is n: a running sum of ones, divided by its own sum.
      const ones = graph.node(`${name}.ones`, 'Expand', [graph.constant(`${name}.one`, ONNX_TYPE.FLOAT, [1], floats(1)), tokens])
      const ranks = graph.node(`${name}.ranks`, 'CumSum', [ones, graph.integers(`${name}.axis`, [], [0])])
      const shares = graph.node(`${name}.shares`, 'Div', [ranks, graph.node(`${name}.sum`, 'ReduceSum', [ranks], { keepdims: 1 })])
      return graph.node(name, 'MatMul', [shares, hidden])
    }
  }
}

function addLayer(graph: OnnxGraph, name: string, layer: HeadLayer, input: string, weight: WeightOf): string {
  switch (layer.kind) {
    case 'dense': {
      const product = graph.node(`${name}.product`, 'MatMul', [input, weight(`${name}.weight`)])
      const sum = layer.bias ? graph.node(`${name}.sum`, 'Add', [product, weight(`${name}.bias`)]) : product
      return activate(graph, layer.activation, name, sum)
    }
    case 'layerNorm':
      return graph.node(name, 'LayerNormalization', [input, weight(`${name}.weight`), weight(`${name}.bias`)], {
        axis: -1,
        epsilon: { float: LAYER_NORM_EPSILON },
      })
    case 'normalize': {
      const length = graph.node(`${name}.length`, 'ReduceL2', [input], { axes: { integers: [-1] }, keepdims: 1 })
      const floor = graph.constant(`${name}.floor`, ONNX_TYPE.FLOAT, [], floats(MIN_LENGTH))
      return graph.node(name, 'Div', [input, graph.node(`${name}.divisor`, 'Max', [length, floor])])
    }
  }
}

function activate(graph: OnnxGraph, activation: DenseActivation, name: string, input: string): string {
  const node = (operator: string, inputs = [input], attributes: Record<string, AttributeValue> = {}, part = ''): string =>
    graph.node(name + part, operator, inputs, attributes)
  const softplus = (of: string): string => node('Softplus', [of], {}, '.softplus')
  switch (activation) {
    case 'Identity':
      return input
    case 'Tanh':
    case 'Sigmoid':
    case 'Softplus':
    case 'Softsign':
      return node(activation)
    case 'ReLU':
      return node('Relu')
    case 'ELU':
    case 'CELU':
      return node('Elu')
    case 'SELU':
      return node('Selu')
    case 'LeakyReLU':
      return node('LeakyRelu')
    case 'ReLU6':
      return node('Clip', [input, ...bounds(graph, name, 0, 6)])
    case 'Hardtanh':
      return node('Clip', [input, ...bounds(graph, name, -1, 1)])
    case 'Hardsigmoid':
      return node('HardSigmoid', [input], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } })
    case 'Hardswish':
      return node('HardSwish')
    case 'LogSigmoid':
      return node('Neg', [softplus(node('Neg', [input], {}, '.negated'))])
    case 'Mish':
      return node('Mul', [input, node('Tanh', [softplus(input)], {}, '.tanh')])
    case 'Tanhshrink':
      return node('Sub', [input, node('Tanh', [input], {}, '.tanh')])
    case 'GELU':
      return graph.node(name, 'Gelu', [input], {}, CONTRIB_DOMAIN)
    case 'SiLU':
      return graph.node(name, 'QuickGelu', [input], { alpha: { float: 1 } }, CONTRIB_DOMAIN)
  }
}

function bounds(graph: OnnxGraph, name: string, ...values: [number, number]): string[] {
  return values.map((value, index) => graph.constant(`${name}.bound${String(index)}`, ONNX_TYPE.FLOAT, [], floats(value)))
}

function floats(...values: number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer)
}
