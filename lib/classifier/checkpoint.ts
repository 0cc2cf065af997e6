// From the tensors of a checkpoint to what native code packs: names and order of each architecture. Reads headers, no weights.

import { GabionError } from '../errors.js'
import type { StoredTensor } from '../convert/safetensors-header.js'
import type { SafetensorsReader } from '../convert/safetensors-reader.js'
import type { NativeCheckpoint, NativeTensor } from '../native.js'

/** Names of an encoder's tensors below the checkpoint's prefix; those of layers below `layer`. */
export interface TensorNames {
  layer: (index: number) => string
  queryKeyValue: readonly [string, string, string]
  attentionOutput: string
  attentionNorm: string
  feedForwardInput: string
  feedForwardOutput: string
  feedForwardNorm: string
}

const BERT: TensorNames = {
  layer: (index) => `encoder.layer.${String(index)}.`,
  queryKeyValue: ['attention.self.query', 'attention.self.key', 'attention.self.value'],
  attentionOutput: 'attention.output.dense',
  attentionNorm: 'attention.output.LayerNorm',
  feedForwardInput: 'intermediate.dense',
  feedForwardOutput: 'output.dense',
  feedForwardNorm: 'output.LayerNorm',
}

/** Architectures that the kernels compute, by `model_type`. */
export const TENSOR_NAMES = {
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
} as const satisfies Record<string, TensorNames>

/** A `model_type` of {@link TENSOR_NAMES}. */
export type KernelArchitecture = keyof typeof TENSOR_NAMES

/** Sizes of an encoder. */
export type EncoderSizes = Pick<NativeCheckpoint, 'layers' | 'heads' | 'hidden' | 'intermediate' | 'epsilon'>

/** Collects tensors of several files in the order in which native code takes them. */
export class TensorList {
  readonly files: string[] = []
  readonly tensors: NativeTensor[] = []

  /** Appends a tensor of a file. @throws GabionError `MODEL_UNSUPPORTED` for a type that is no float of 16 or 32 bits */
  add(file: string, { name, type, shape, offset }: StoredTensor): void {
    if (type !== 'F32' && type !== 'BF16' && type !== 'F16') {
      throw new GabionError('MODEL_UNSUPPORTED', `${file}: tensor '${name}' is of type ${type}; F32, BF16 and F16 can be read`)
    }
    const known = this.files.indexOf(file)
    const [rows = 1, columns = 1] = shape
    this.tensors.push({ file: known === -1 ? this.files.push(file) - 1 : known, type, rows, columns, offset })
  }

  /** Appends a tensor after checking its name and shape; null for an axis of any size. */
  require(reader: SafetensorsReader, name: string, shape: readonly (number | null)[]): void {
    const found = reader.tensors.get(name)
    if (found === undefined) throw new GabionError('MODEL_UNSUPPORTED', `${reader.file} has no tensor '${name}'`)
    this.add(
      reader.file,
      reader.require(
        name,
        shape.map((size, axis) => size ?? found.shape[axis] ?? 0),
      ),
    )
  }
}

/** Appends the tensors of all layers. */
export function addLayers(list: TensorList, reader: SafetensorsReader, prefix: string, names: TensorNames, sizes: EncoderSizes): void {
  const { hidden, intermediate } = sizes
  for (let index = 0; index < sizes.layers; index++) {
    const of = prefix + names.layer(index)
    const dense = (name: string, output: number, input: number): void => {
      list.require(reader, `${of}${name}.weight`, [output, input])
      list.require(reader, `${of}${name}.bias`, [output])
    }
    const norm = (name: string): void => {
      for (const part of ['weight', 'bias']) list.require(reader, `${of}${name}.${part}`, [hidden])
    }
    for (const name of names.queryKeyValue) dense(name, hidden, hidden)
    dense(names.attentionOutput, hidden, hidden)
    norm(names.attentionNorm)
    dense(names.feedForwardInput, intermediate, hidden)
    dense(names.feedForwardOutput, hidden, intermediate)
    norm(names.feedForwardNorm)
  }
}
