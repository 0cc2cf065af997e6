// Owns the matrix products of an encoder's graph per precision; all other nodes are the same in every precision.

import type { GraphPrecision } from '../models/graph-manifest.js'
import type { EncoderConfig } from './encoder-config.js'
import { CONTRIB_DOMAIN, ONNX_TYPE, type OnnxGraph } from './onnx-graph.js'

/** Adds a tensor of the weights file to the graph and returns its name. */
export type WeightOf = (name: string) => string

/** Inputs of attention in addition to its own; empty for none. */
export interface AttentionInputs {
  /** [1, heads, tokens, tokens], added to the scores. */
  scoreBias: string
  /** Token counts per row of a batch; see BATCH_INPUTS. */
  keyLengths: string
}

/** Adds nodes for one kind of product. */
export interface Products {
  /** Rows of the word table for the ids. */
  lookUpWords(ids: string): string
  /** Multi-head self-attention up to the concatenated heads, projection of Q, K and V included. */
  attention(name: string, input: string, weights: string, extras: AttentionInputs): string
  /** `input · weights + bias`, the bias left out if the caller adds it. */
  linear(name: string, input: string, weights: string, withBias: boolean): string
}

/** The products of a precision. */
export function productsOf(graph: OnnxGraph, config: EncoderConfig, precision: GraphPrecision, weight: WeightOf): Products {
  return precision === 'int8' ? integerProducts(graph, config, weight) : floatProducts(graph, config, weight, precision === 'bf16')
}

function floatProducts(graph: OnnxGraph, config: EncoderConfig, weight: WeightOf, narrow: boolean): Products {
  // ONNX Runtime folds a Cast of a constant when it creates the session. The word table is cast after the look-up instead, so that
  // it stays in 16 bits in memory.
  const widen = (name: string, input: string): string =>
    narrow ? graph.node(`${name}.float`, 'Cast', [input], { to: ONNX_TYPE.FLOAT }) : input
  const matrix = (name: string): string => widen(name, weight(name))
  return {
    lookUpWords: (ids) => widen('words', graph.node('words', 'Gather', [weight('embeddings.word.weight'), ids], { axis: 0 })),
    attention: (name, input, weights, { scoreBias, keyLengths }) => {
      const inputs = [input, matrix(`${weights}.weight`), weight(`${weights}.bias`)]
      if (keyLengths !== '' || scoreBias !== '') inputs.push(keyLengths)
      if (scoreBias !== '') inputs.push('', scoreBias)
      return graph.node(name, 'Attention', inputs, { num_heads: config.heads }, CONTRIB_DOMAIN)
    },
    linear: (name, input, weights, withBias) => {
      const product = graph.node(withBias ? `${name}.product` : name, 'MatMul', [input, matrix(`${weights}.weight`)])
      return withBias ? graph.node(name, 'Add', [product, weight(`${weights}.bias`)]) : product
    },
  }
}

function integerProducts(graph: OnnxGraph, config: EncoderConfig, weight: WeightOf): Products {
  const zero = graph.constant('weight_zero_point', ONNX_TYPE.INT8, [], Uint8Array.of(0))
  const linear: Products['linear'] = (name, input, weights, withBias) => {
    const inputs = [input, weight(`${weights}.weight`), weight(`${weights}.weight_scale`)]
    if (withBias) inputs.push('', weight(`${weights}.bias`))
    return graph.node(name, 'DynamicQuantizeMatMul', inputs, {}, CONTRIB_DOMAIN)
  }
  return {
    lookUpWords: (ids) => {
      const rows = graph.node('words.int8', 'Gather', [weight('embeddings.word.weight'), ids], { axis: 0 })
      const scales = graph.node('words.scale', 'Gather', [weight('embeddings.word.weight_scale'), ids], { axis: 0 })
      return graph.node('words', 'Mul', [graph.node('words.float', 'Cast', [rows], { to: ONNX_TYPE.FLOAT }), scales])
    },
    attention: (name, input, weights, { scoreBias }) => {
      if (scoreBias !== '') {
        // QAttention takes no bias of the scores, so projection and attention are nodes of their own.
        const parts = ['query', 'key', 'value'].map((part) => `${name}.${part}`)
        graph.nodeOf(parts, 'Split', [linear(`${name}.projected`, input, weights, true)], { axis: -1 })
        return graph.node(name, 'MultiHeadAttention', [...parts, '', '', scoreBias], { num_heads: config.heads }, CONTRIB_DOMAIN)
      }
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
    linear,
  }
}
