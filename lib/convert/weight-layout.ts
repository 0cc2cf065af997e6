// The weights of an encoder as every graph of gabion wants them, whatever the checkpoint calls them. In the order of the data's way:
//
//   embeddings.word.weight                  [vocabulary, hidden]
//   embeddings.position.weight              [positions, hidden]          token type 0 added in, so no type table is left
//   embeddings.norm.weight, .bias           [hidden]
//   layers.N.attention.qkv.weight, .bias    [hidden, 3·hidden], [3·hidden]   query | key | value side by side
//   layers.N.attention.output.weight, .bias [hidden, hidden], [hidden]
//   layers.N.attention.norm.weight, .bias   [hidden]
//   layers.N.feed_forward.input.weight, .bias   [hidden, intermediate], [intermediate]
//   layers.N.feed_forward.output.weight, .bias  [intermediate, hidden], [hidden]
//   layers.N.feed_forward.norm.weight, .bias    [hidden]
//
// A linear weight is [in, out], row-major: y = x · weight + bias. The word table and the linear weights are stored in the
// file's precision, everything else in float32 (it is small, and its rounding would cost accuracy).
// int8: a linear weight has `<name>_scale` [out] beside it, the word table `<name>_scale` [vocabulary, 1]; real = stored · scale.

import type { EncoderConfig } from './encoder-config.js'
import type { SafetensorsReader } from './safetensors-reader.js'
import type { StoredTensor } from './safetensors-header.js'

/** The version of the names and shapes above; it stands in the weights file and in the manifest. */
export const WEIGHT_LAYOUT_VERSION = 1

/** A tensor of the layout, to be filled from the checkpoint. */
export interface LayoutTensor {
  name: string
  shape: readonly number[]
  /** `table` and `linear` are stored in the file's precision, `small` always in float32. */
  kind: 'table' | 'linear' | 'small'
  /** The values in float32, row-major, in pieces of whole rows. */
  rows: () => AsyncIterable<Float32Array>
}

const ROWS_AT_A_TIME = 4096

/** Turns a row-major [rows, columns] matrix and writes it into columns `at…at + rows` of a [columns, width] one. */
function transposeInto(target: Float32Array, width: number, at: number, source: Float32Array, rows: number, columns: number): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      target[column * width + at + row] = source[row * columns + column] as number
    }
  }
}

/** The checkpoint's name of the encoder: `bert.` in files saved from a model with a head, nothing otherwise. */
function findPrefix(source: SafetensorsReader): string {
  return source.tensors.has('bert.embeddings.word_embeddings.weight') ? 'bert.' : ''
}

/**
 * Lists the layout's tensors of a BERT checkpoint. Shapes are checked here, before anything is read or written.
 *
 * @throws GabionError `MODEL_UNSUPPORTED` if the checkpoint lacks a tensor, `MODEL_INVALID` if one has another shape
 */
export function bertLayout(config: EncoderConfig, source: SafetensorsReader): LayoutTensor[] {
  const prefix = findPrefix(source)
  const find = (name: string, ...shape: number[]): StoredTensor => source.require(prefix + name, shape)
  const { hidden, intermediate } = config

  const small = (name: string, from: StoredTensor[]): LayoutTensor => ({
    name,
    shape: [from.reduce((sum, tensor) => sum + (tensor.shape[0] as number), 0)],
    kind: 'small',
    rows: async function* () {
      for (const tensor of from) yield await source.read(tensor)
    },
  })
  const linear = (name: string, from: StoredTensor[]): LayoutTensor => {
    const [rows, columns] = (from[0] as StoredTensor).shape as [number, number]
    const width = rows * from.length
    return {
      name,
      shape: [columns, width],
      kind: 'linear',
      rows: async function* () {
        const merged = new Float32Array(columns * width)
        for (const [index, tensor] of from.entries()) transposeInto(merged, width, index * rows, await source.read(tensor), rows, columns)
        yield merged
      },
    }
  }
  const norm = (name: string, from: string): LayoutTensor[] =>
    ['weight', 'bias'].map((part) => small(`${name}.${part}`, [find(`${from}.${part}`, hidden)]))
  const dense = (name: string, from: string[], output: number, input: number): LayoutTensor[] => [
    linear(
      `${name}.weight`,
      from.map((each) => find(`${each}.weight`, output, input)),
    ),
    small(
      `${name}.bias`,
      from.map((each) => find(`${each}.bias`, output)),
    ),
  ]

  const word = find('embeddings.word_embeddings.weight', config.vocabulary, hidden)
  const position = find('embeddings.position_embeddings.weight', config.positions, hidden)
  const tokenType = find('embeddings.token_type_embeddings.weight', config.tokenTypes, hidden)
  const result: LayoutTensor[] = [
    {
      name: 'embeddings.word.weight',
      shape: word.shape,
      kind: 'table',
      rows: async function* () {
        for (let first = 0; first < config.vocabulary; first += ROWS_AT_A_TIME) {
          yield await source.read(word, { first, count: Math.min(ROWS_AT_A_TIME, config.vocabulary - first) })
        }
      },
    },
    {
      name: 'embeddings.position.weight',
      shape: position.shape,
      kind: 'small',
      rows: async function* () {
        const [table, type] = [await source.read(position), await source.read(tokenType, { first: 0, count: 1 })]
        yield table.map((value, index) => value + (type[index % hidden] as number))
      },
    },
    ...norm('embeddings.norm', 'embeddings.LayerNorm'),
  ]
  for (let index = 0; index < config.layers; index++) {
    const from = `encoder.layer.${String(index)}`
    const to = `layers.${String(index)}`
    result.push(
      ...dense(
        `${to}.attention.qkv`,
        ['query', 'key', 'value'].map((part) => `${from}.attention.self.${part}`),
        hidden,
        hidden,
      ),
      ...dense(`${to}.attention.output`, [`${from}.attention.output.dense`], hidden, hidden),
      ...norm(`${to}.attention.norm`, `${from}.attention.output.LayerNorm`),
      ...dense(`${to}.feed_forward.input`, [`${from}.intermediate.dense`], intermediate, hidden),
      ...dense(`${to}.feed_forward.output`, [`${from}.output.dense`], hidden, intermediate),
      ...norm(`${to}.feed_forward.norm`, `${from}.output.LayerNorm`),
    )
  }
  return result
}
