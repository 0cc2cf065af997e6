// Owns the weight layout: names and shapes of an encoder's weights in all graphs of gabion, in the order of their use:
//
//   embeddings.word.weight                  [vocabulary, hidden]
//   embeddings.position.weight              [positions, hidden]          token type 0 is added, so there is no type table
//   attention.bias.weight                   [2·longest − 1, heads]       only with relative positions, shared by all layers:
//                                                                        row d + longest − 1 is for a key d tokens after the query
//   embeddings.norm.weight, .bias           [hidden]
//   layers.N.attention.qkv.weight, .bias    [hidden, 3·hidden], [3·hidden]   query | key | value concatenated
//   layers.N.attention.output.weight, .bias [hidden, hidden], [hidden]
//   layers.N.attention.norm.weight, .bias   [hidden]
//   layers.N.feed_forward.input.weight, .bias   [hidden, intermediate], [intermediate]
//   layers.N.feed_forward.output.weight, .bias  [intermediate, hidden], [hidden]
//   layers.N.feed_forward.norm.weight, .bias    [hidden]
//   head.N.weight, .bias                    [in, out], [out]             of a dense layer after pooling; [width] twice of a norm
//
// A linear weight is [in, out], row-major: y = x · weight + bias. The word table and the linear weights are stored in the
// file's precision, everything else in float32 (it is small, and its rounding would cost accuracy), but for fp16, where only
// the head is float32: its graph computes in float16 throughout.
// int8: a linear weight has scales `<name>_scale` [out], the word table `<name>_scale` [vocabulary, 1]; real = stored · scale.

import type { TensorSource } from './weight-source.js'
import { longestInput, type EncoderConfig, type ModelType } from './encoder-config.js'
import type { StoredTensor } from './safetensors-header.js'

/** The version of the names and shapes above, written to the weights file and the manifest. */
export const WEIGHT_LAYOUT_VERSION = 2

/** A tensor of the layout, filled from the checkpoint. */
export interface LayoutTensor {
  name: string
  shape: readonly number[]
  /** `table` and `linear` are stored in the file's precision, `small` in float32 unless that is fp16, `head` always in float32. */
  kind: 'table' | 'linear' | 'small' | 'head'
  /** The values in float32, row-major, in pieces of whole rows. */
  rows: () => AsyncIterable<Float32Array>
  /** One row, of a table that is too large to be read for a few. */
  row?: (index: number) => Promise<Float32Array>
}

const ROWS_AT_A_TIME = 4096

/** Transposes a row-major [rows, columns] matrix and writes it into columns `at…at + rows` of a [columns, width] one. */
export function transposeInto(target: Float32Array, width: number, at: number, source: Float32Array, rows: number, columns: number): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      target[column * width + at + row] = source[row * columns + column] as number
    }
  }
}

/** Names of a layer's parts in an architecture's checkpoints, below `encoder.layer.N`. */
interface PartNames {
  queryKeyValue: readonly [string, string, string]
  attentionOutput: string
  attentionNorm: string
}

const BERT_PARTS: PartNames = {
  queryKeyValue: ['attention.self.query', 'attention.self.key', 'attention.self.value'],
  attentionOutput: 'attention.output.dense',
  attentionNorm: 'attention.output.LayerNorm',
}

const PARTS: Readonly<Record<ModelType, PartNames>> = {
  bert: BERT_PARTS,
  roberta: BERT_PARTS,
  'xlm-roberta': BERT_PARTS,
  mpnet: {
    queryKeyValue: ['attention.attn.q', 'attention.attn.k', 'attention.attn.v'],
    attentionOutput: 'attention.attn.o',
    attentionNorm: 'attention.LayerNorm',
  },
}

/** The checkpoint's prefix of the encoder: `bert.` or the like in files saved from a model with a head, else empty. */
function findPrefix(config: EncoderConfig, source: TensorSource): string {
  const prefix = config.modelType === 'xlm-roberta' ? 'roberta.' : `${config.modelType}.`
  return source.has(`${prefix}embeddings.word_embeddings.weight`) ? prefix : ''
}

/**
 * Lists the layout's tensors of an encoder's checkpoint. Checks shapes before anything is read or written.
 *
 * @throws GabionError `MODEL_UNSUPPORTED` if the checkpoint lacks a tensor, `MODEL_INVALID` if one has another shape
 */
export function encoderLayout(config: EncoderConfig, source: TensorSource): LayoutTensor[] {
  const prefix = findPrefix(config, source)
  const parts = PARTS[config.modelType]
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
  const tokenType = config.tokenTypes === 0 ? null : find('embeddings.token_type_embeddings.weight', config.tokenTypes, hidden)
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
      row: (index) => source.read(word, { first: index, count: 1 }),
    },
    {
      name: 'embeddings.position.weight',
      shape: position.shape,
      kind: 'small',
      rows: async function* () {
        const table = await source.read(position)
        const type = tokenType === null ? null : await source.read(tokenType, { first: 0, count: 1 })
        yield type === null ? table : table.map((value, index) => value + (type[index % hidden] as number))
      },
    },
    ...norm('embeddings.norm', 'embeddings.LayerNorm'),
  ]
  if (config.relativeBuckets > 0)
    result.push(biasByDistance(config, source, find('encoder.relative_attention_bias.weight', config.relativeBuckets, config.heads)))
  for (let index = 0; index < config.layers; index++) {
    const from = `encoder.layer.${String(index)}`
    const to = `layers.${String(index)}`
    result.push(
      ...dense(
        `${to}.attention.qkv`,
        parts.queryKeyValue.map((part) => `${from}.${part}`),
        hidden,
        hidden,
      ),
      ...dense(`${to}.attention.output`, [`${from}.${parts.attentionOutput}`], hidden, hidden),
      ...norm(`${to}.attention.norm`, `${from}.${parts.attentionNorm}`),
      ...dense(`${to}.feed_forward.input`, [`${from}.intermediate.dense`], intermediate, hidden),
      ...dense(`${to}.feed_forward.output`, [`${from}.output.dense`], hidden, intermediate),
      ...norm(`${to}.feed_forward.norm`, `${from}.output.LayerNorm`),
    )
  }
  return result
}

/** One row of biases for every distance between two tokens, taken from the row of its bucket. */
function biasByDistance(config: EncoderConfig, source: TensorSource, table: StoredTensor): LayoutTensor {
  const { heads } = config
  const buckets = relativeBuckets(longestInput(config), config.relativeBuckets)
  return {
    name: 'attention.bias.weight',
    shape: [buckets.length, heads],
    kind: 'small',
    rows: async function* () {
      const biases = await source.read(table)
      const rows = new Float32Array(buckets.length * heads)
      for (const [row, bucket] of buckets.entries()) rows.set(biases.subarray(bucket * heads, (bucket + 1) * heads), row * heads)
      yield rows
    },
  }
}

/** Larger distances share the last bucket of their side. */
const FARTHEST = 128

/**
 * The bucket of every distance key − query, from −(longest − 1) to longest − 1.
 *
 * Half of the buckets are for keys after the query. Of each half, the first half holds one distance a bucket and the second
 * half ranges that grow by a constant factor (Raffel et al. 2020, section 2.1). Rounded to float32 at each step, as the
 * reference computes: at powers of two the last digit decides.
 */
export function relativeBuckets(longest: number, buckets: number): Int32Array {
  const half = Math.floor(buckets / 2)
  const exact = Math.floor(half / 2)
  const scale = Math.fround(Math.log(FARTHEST / exact))
  const bucketOf = (distance: number): number => {
    const steps = Math.abs(distance)
    if (steps < exact) return steps
    const ratio = Math.fround(Math.fround(Math.log(Math.fround(steps / exact))) / scale)
    return Math.min(half - 1, exact + Math.trunc(Math.fround(ratio * (half - exact))))
  }
  return Int32Array.from({ length: 2 * longest - 1 }, (_, row) => {
    const distance = row - longest + 1
    return bucketOf(distance) + (distance > 0 ? half : 0)
  })
}
