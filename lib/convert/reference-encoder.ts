// Owns the reference implementation of an encoder: plain loops in double precision over the layout's tensors, one layer in memory at a
// time. Slow; converted graphs are compared with its vectors of a few short texts. Knows no graph and no native code.

import type { DenseActivation, GraphPooling } from '../models/pooled-modules.js'
import type { Activation, EncoderConfig } from './encoder-config.js'
import { longestInput } from './encoder-config.js'
import type { PoolingHead } from './pooling-head.js'
import type { LayoutTensor } from './weight-layout.js'

/** The model to compute. */
export interface ReferenceModel {
  config: EncoderConfig
  head: PoolingHead
  normalize: boolean
  layout: readonly LayoutTensor[]
}

/** Rows of equal length, one after another. */
interface Matrix {
  width: number
  values: Float64Array
}

const LAYER_NORM_EPSILON_OF_HEADS = 1e-5

/** The vectors of texts, given as token ids. */
export async function referenceVectors(model: ReferenceModel, texts: readonly Int32Array[]): Promise<Float64Array[]> {
  const { config, head, normalize } = model
  const find = (name: string): LayoutTensor => model.layout.find((tensor) => tensor.name === name) as LayoutTensor
  const read = async (name: string): Promise<Float32Array> => {
    const chunks: Float32Array[] = []
    for await (const chunk of find(name).rows()) chunks.push(chunk)
    if (chunks.length === 1) return chunks[0] as Float32Array
    const whole = new Float32Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
    chunks.reduce((at, chunk) => (whole.set(chunk, at), at + chunk.length), 0)
    return whole
  }
  const linear = async (name: string, inputs: readonly Matrix[], hasBias = true): Promise<Matrix[]> => {
    const [weight, bias] = [await read(`${name}.weight`), hasBias ? await read(`${name}.bias`) : null]
    return inputs.map((input) => product(input, weight, bias))
  }
  const norm = async (name: string, inputs: readonly Matrix[], epsilon: number): Promise<void> => {
    const [scale, shift] = [await read(`${name}.weight`), await read(`${name}.bias`)]
    for (const input of inputs) normalizeRows(input, scale, shift, epsilon)
  }

  const positions = await read('embeddings.position.weight')
  const biases = config.relativeBuckets === 0 ? null : await read('attention.bias.weight')
  const word = find('embeddings.word.weight')
  let states = await Promise.all(texts.map((ids) => embed(config, ids, word, positions)))
  await norm('embeddings.norm', states, config.layerNormEpsilon)
  for (let index = 0; index < config.layers; index++) {
    const layer = `layers.${String(index)}`
    const projected = await linear(`${layer}.attention.qkv`, states)
    const middle = await linear(
      `${layer}.attention.output`,
      projected.map((each) => attend(config, each, biases)),
    )
    for (const [text, each] of middle.entries()) add(each, states[text] as Matrix)
    await norm(`${layer}.attention.norm`, middle, config.layerNormEpsilon)
    const wide = await linear(`${layer}.feed_forward.input`, middle)
    for (const { values } of wide) for (const [at, value] of values.entries()) values[at] = activated(config.activation, value)
    states = await linear(`${layer}.feed_forward.output`, wide)
    for (const [text, each] of states.entries()) add(each, middle[text] as Matrix)
    await norm(`${layer}.feed_forward.norm`, states, config.layerNormEpsilon)
  }

  let vectors = states.map((state): Matrix => {
    const values = head.poolings.flatMap((pooling) => [...pool(pooling, state)])
    return { width: values.length, values: Float64Array.from(values) }
  })
  for (const [index, layer] of head.layers.entries()) {
    const name = `head.${String(index)}`
    if (layer.kind === 'normalize') vectors.forEach(toUnitLength)
    else if (layer.kind === 'layerNorm') await norm(name, vectors, LAYER_NORM_EPSILON_OF_HEADS)
    else {
      vectors = await linear(name, vectors, layer.bias)
      for (const { values } of vectors) for (const [at, value] of values.entries()) values[at] = activated(layer.activation, value)
    }
  }
  if (normalize) vectors.forEach(toUnitLength)
  return vectors.map(({ values }) => values)
}

async function embed(config: EncoderConfig, ids: Int32Array, word: LayoutTensor, positions: Float32Array): Promise<Matrix> {
  const { hidden, paddingId } = config
  const values = new Float64Array(ids.length * hidden)
  let counted = 0
  for (const [token, id] of ids.entries()) {
    let position = token
    if (paddingId !== null) position = id === paddingId ? paddingId : paddingId + ++counted
    const row = await word.row?.(id)
    for (let at = 0; at < hidden; at++) values[token * hidden + at] = (row?.[at] as number) + (positions[position * hidden + at] as number)
  }
  return { width: hidden, values }
}

function product({ width, values }: Matrix, weight: Float32Array, bias: Float32Array | null): Matrix {
  const [rows, columns] = [values.length / width, weight.length / width]
  const result = new Float64Array(rows * columns)
  if (bias !== null) for (let row = 0; row < rows; row++) result.set(bias, row * columns)
  // Four products per step, since loads and stores of sums dominate.
  const values4 = (row: number, inner: number, at: number): number => (inner + at < width ? values[row * width + inner + at]! : 0)
  for (let inner = 0; inner < width; inner += 4) {
    const [w0, w1, w2, w3] = [0, 1, 2, 3].map((at) => {
      const from = Math.min(inner + at, width - 1) * columns
      return weight.subarray(from, from + columns)
    }) as [Float32Array, Float32Array, Float32Array, Float32Array]
    for (let row = 0; row < rows; row++) {
      const [v0, v1, v2, v3] = [values4(row, inner, 0), values4(row, inner, 1), values4(row, inner, 2), values4(row, inner, 3)]
      const sums = result.subarray(row * columns, (row + 1) * columns)
      for (let column = 0; column < columns; column++) {
        sums[column] = sums[column]! + v0 * w0[column]! + v1 * w1[column]! + v2 * w2[column]! + v3 * w3[column]!
      }
    }
  }
  return { width: columns, values: result }
}

function attend(config: EncoderConfig, { width, values }: Matrix, biases: Float32Array | null): Matrix {
  const { hidden, heads } = config
  const [tokens, size, middle] = [values.length / width, hidden / heads, longestInput(config) - 1]
  const result = new Float64Array(tokens * hidden)
  const scores = new Float64Array(tokens)
  for (let head = 0; head < heads; head++) {
    for (let query = 0; query < tokens; query++) {
      let largest = -Infinity
      for (let key = 0; key < tokens; key++) {
        let score = 0
        for (let at = head * size; at < (head + 1) * size; at++) score += values[query * width + at]! * values[key * width + hidden + at]!
        score /= Math.sqrt(size)
        if (biases !== null) score += biases[(key - query + middle) * heads + head]!
        scores[key] = score
        largest = Math.max(largest, score)
      }
      let sum = 0
      for (let key = 0; key < tokens; key++) sum += scores[key] = Math.exp(scores[key]! - largest)
      for (let key = 0; key < tokens; key++) {
        const share = scores[key]! / sum
        for (let at = head * size; at < (head + 1) * size; at++)
          result[query * hidden + at]! += share * values[key * width + 2 * hidden + at]!
      }
    }
  }
  return { width: hidden, values: result }
}

function add(to: Matrix, other: Matrix): void {
  for (const [at, value] of other.values.entries()) to.values[at]! += value
}

function normalizeRows({ width, values }: Matrix, scale: Float32Array, shift: Float32Array, epsilon: number): void {
  for (let from = 0; from < values.length; from += width) {
    const row = values.subarray(from, from + width)
    const mean = row.reduce((sum, value) => sum + value, 0) / width
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width
    for (const [at, value] of row.entries()) row[at] = ((value - mean) / Math.sqrt(variance + epsilon)) * scale[at]! + shift[at]!
  }
}

function toUnitLength({ values }: Matrix): void {
  const length = Math.max(Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)), 1e-12)
  for (const [at, value] of values.entries()) values[at] = value / length
}

function pool(pooling: GraphPooling, { width, values }: Matrix): Float64Array {
  const tokens = values.length / width
  const weighted = (weightOf: (token: number) => number): Float64Array =>
    Float64Array.from({ length: width }, (_, at) => {
      let sum = 0
      for (let token = 0; token < tokens; token++) sum += weightOf(token) * values[token * width + at]!
      return sum
    })
  switch (pooling) {
    case 'mean':
      return weighted(() => 1 / tokens)
    case 'mean_sqrt_len_tokens':
      return weighted(() => 1 / Math.sqrt(tokens))
    case 'weightedmean':
      return weighted((token) => (token + 1) / ((tokens * (tokens + 1)) / 2))
    case 'cls':
      return values.slice(0, width)
    case 'lasttoken':
      return values.slice(-width)
    case 'max':
      return Float64Array.from({ length: width }, (_, at) => {
        let largest = -Infinity
        for (let token = 0; token < tokens; token++) largest = Math.max(largest, values[token * width + at]!)
        return largest
      })
  }
}

function activated(activation: Activation | DenseActivation, x: number): number {
  switch (activation) {
    case 'gelu':
    case 'GELU':
      return (x / 2) * (1 + erf(x / Math.SQRT2))
    case 'gelu_tanh':
      return (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
    case 'quick_gelu':
      return x / (1 + Math.exp(-1.702 * x))
    case 'silu':
    case 'SiLU':
      return x / (1 + Math.exp(-x))
    case 'relu':
    case 'ReLU':
      return Math.max(0, x)
    case 'Sigmoid':
      return 1 / (1 + Math.exp(-x))
    case 'Tanh':
      return Math.tanh(x)
    case 'Identity':
      return x
    case 'ELU':
    case 'CELU':
      return x > 0 ? x : Math.expm1(x)
    case 'SELU':
      return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x))
    case 'LeakyReLU':
      return x > 0 ? x : 0.01 * x
    case 'ReLU6':
      return Math.min(Math.max(0, x), 6)
    case 'Softplus':
      return softplus(x)
    case 'LogSigmoid':
      return -softplus(-x)
    case 'Mish':
      return x * Math.tanh(softplus(x))
    case 'Softsign':
      return x / (1 + Math.abs(x))
    case 'Hardsigmoid':
      return Math.min(Math.max(0, x / 6 + 0.5), 1)
    case 'Hardswish':
      return x * Math.min(Math.max(0, x / 6 + 0.5), 1)
    case 'Hardtanh':
      return Math.min(Math.max(-1, x), 1)
    case 'Tanhshrink':
      return x - Math.tanh(x)
  }
}

function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))
}

/** The Gauss error function: its power series near zero, its continued fraction (Lentz) farther out. */
function erf(x: number): number {
  const distance = Math.abs(x)
  if (distance > 6) return Math.sign(x)
  if (distance < 2.5) {
    let [term, sum] = [x, x]
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= -(x * x) / n
      sum += term / (2 * n + 1)
    }
    return (2 / Math.sqrt(Math.PI)) * sum
  }
  let fraction = distance
  for (let n = 60; n > 0; n--) fraction = distance + n / 2 / fraction
  return Math.sign(x) * (1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction)
}
