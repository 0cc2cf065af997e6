// From the tensors of a checkpoint to what native code packs: names and order of each architecture. Reads headers, no weights.

import { GabionError } from '../errors.js'
import type { NativeCheckpoint, NativeTensor } from '../native.js'
import type { CheckpointFiles } from './checkpoint-files.js'

/** Names of a layer's tensors. */
interface LayerNames {
  layer: (index: number) => string
  queryKeyValue: readonly [string, string, string]
  attentionOutput: string
  attentionNorm: string
  feedForwardInput: string
  feedForwardOutput: string
  feedForwardNorm: string
}

const BERT: LayerNames = {
  layer: (index) => `encoder.layer.${String(index)}.`,
  queryKeyValue: ['attention.self.query', 'attention.self.key', 'attention.self.value'],
  attentionOutput: 'attention.output.dense',
  attentionNorm: 'attention.output.LayerNorm',
  feedForwardInput: 'intermediate.dense',
  feedForwardOutput: 'output.dense',
  feedForwardNorm: 'output.LayerNorm',
}

/** Architectures that the kernels compute, by `model_type`. */
const LAYER_NAMES = {
  bert: BERT,
  roberta: BERT,
  'xlm-roberta': BERT,
  mpnet: {
    ...BERT,
    queryKeyValue: ['attention.attn.q', 'attention.attn.k', 'attention.attn.v'],
    attentionOutput: 'attention.attn.o',
    attentionNorm: 'attention.LayerNorm',
  },
  distilbert: {
    layer: (index) => `transformer.layer.${String(index)}.`,
    queryKeyValue: ['attention.q_lin', 'attention.k_lin', 'attention.v_lin'],
    attentionOutput: 'attention.out_lin',
    attentionNorm: 'sa_layer_norm',
    feedForwardInput: 'ffn.lin1',
    feedForwardOutput: 'ffn.lin2',
    feedForwardNorm: 'output_layer_norm',
  },
} as const satisfies Record<string, LayerNames>

/** A `model_type` that the kernels compute. */
export type KernelArchitecture = keyof typeof LAYER_NAMES

/** All of them. */
export const KERNEL_ARCHITECTURES = Object.keys(LAYER_NAMES) as readonly KernelArchitecture[]

/** Sizes of an encoder. */
export type EncoderSizes = Pick<NativeCheckpoint, 'layers' | 'heads' | 'hidden' | 'intermediate' | 'epsilon'>

/** Collects tensors of several files in the order in which native code takes them. */
export class TensorList {
  readonly files: string[] = []
  readonly tensors: (NativeTensor | null)[] = []

  /**
   * Appends a tensor, or some of its rows; null is an axis of any size.
   *
   * @throws GabionError as {@link CheckpointFiles.require}
   */
  add(from: CheckpointFiles, name: string, shape: readonly (number | null)[], part?: { first: number; count: number }): void {
    const { tensor, reader } = from.require(name, shape)
    const { type, offset } = tensor
    if (type !== 'F32' && type !== 'BF16' && type !== 'F16' && type !== 'F64') {
      throw new GabionError('MODEL_UNSUPPORTED', `${reader.file}: tensor '${name}' is of type ${type}; F32, BF16, F16 and F64 can be read`)
    }
    const known = this.files.indexOf(reader.file)
    const file = known === -1 ? this.files.push(reader.file) - 1 : known
    const [rows = 1, columns = 1] = tensor.shape
    const { first, count } = part ?? { first: 0, count: rows }
    this.tensors.push({ file, type, rows: count, columns, offset: offset + first * (tensor.byteLength / rows) })
  }

  /** Appends a tensor if there is one, as of biases that an architecture may have. */
  addIfPresent(from: CheckpointFiles, name: string, shape: readonly number[]): void {
    if (from.has(name)) this.add(from, name, shape)
    else this.addNone()
  }

  /** Appends the places of tensors that the architecture does not have. */
  addNone(count = 1): void {
    for (let place = 0; place < count; place++) this.tensors.push(null)
  }

  /** Appends weight and bias of a norm. */
  addNorm(from: CheckpointFiles, name: string, hidden: number): void {
    for (const part of ['weight', 'bias']) this.add(from, `${name}.${part}`, [hidden])
  }

  /** Appends the tensors of all layers, whose names start with `prefix`. */
  addLayers(from: CheckpointFiles, prefix: string, architecture: KernelArchitecture, sizes: EncoderSizes): void {
    const { hidden, intermediate } = sizes
    const names: LayerNames = LAYER_NAMES[architecture]
    for (let index = 0; index < sizes.layers; index++) {
      const of = prefix + names.layer(index)
      const dense = (name: string, output: number, input: number): void => {
        this.add(from, `${of}${name}.weight`, [output, input])
        this.add(from, `${of}${name}.bias`, [output])
      }
      for (const name of names.queryKeyValue) dense(name, hidden, hidden)
      dense(names.attentionOutput, hidden, hidden)
      this.addNorm(from, of + names.attentionNorm, hidden)
      dense(names.feedForwardInput, intermediate, hidden)
      dense(names.feedForwardOutput, hidden, intermediate)
      this.addNorm(from, of + names.feedForwardNorm, hidden)
    }
  }
}
