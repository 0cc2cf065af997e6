// Owns the conversion of the layout's float32 tensors to a precision: float32, float16, bfloat16 or 8-bit integers with scales.

import { GabionError } from '../errors.js'
import { bfloat16FromFloat32, float16FromFloat32 } from './number-formats.js'
import type { GraphPrecision } from '../models/graph-manifest.js'
import type { TensorToWrite } from './safetensors-writer.js'
import type { LayoutTensor } from './weight-layout.js'

// Processors without VNNI add two products of an unsigned 8-bit activation and a weight in 16 signed bits with saturation. Weights up
// to 63 never saturate: 2 · 255 · 63 < 32,768. All processors then compute the same; the lost seventh bit is hidden by the
// quantization of activations (measured: mean cosine 0.992 with either). The word table is only looked up and uses the whole range.
const LINEAR_MAXIMUM = 63
const TABLE_MAXIMUM = 127

function bytesOf(array: Float32Array | Uint16Array | Int8Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** Rounds to nearest, ties to even, as ONNX's own quantizing operators do. */
function roundToEven(value: number): number {
  const floor = Math.floor(value)
  const fraction = value - floor
  return fraction > 0.5 || (fraction === 0.5 && floor % 2 !== 0) ? floor + 1 : floor
}

/**
 * Symmetric integer weights with one scale for each column or for each row of a row-major matrix.
 *
 * @param maximum the integer for a group's absmax, at most 127
 */
export function quantizeMatrix(
  values: Float32Array,
  width: number,
  along: 'columns' | 'rows',
  maximum: number,
): { quantized: Int8Array; scales: Float32Array } {
  const groupOf = along === 'columns' ? (index: number) => index % width : (index: number) => Math.floor(index / width)
  const largest = new Float32Array(along === 'columns' ? width : values.length / width)
  for (let index = 0; index < values.length; index++) {
    const group = groupOf(index)
    largest[group] = Math.max(largest[group] as number, Math.abs(values[index] as number))
  }
  // A group of zeros has the scale 1 to avoid a division by zero.
  const scales = largest.map((magnitude) => (magnitude === 0 ? 1 : magnitude / maximum))
  const quantized = new Int8Array(values.length)
  for (let index = 0; index < values.length; index++) {
    const rounded = roundToEven((values[index] as number) / (scales[groupOf(index)] as number))
    quantized[index] = Math.max(-maximum, Math.min(maximum, rounded))
  }
  return { quantized, scales }
}

function asInt8(tensor: LayoutTensor): TensorToWrite[] {
  const [rows, width] = tensor.shape as [number, number]
  const [along, maximum] = tensor.kind === 'table' ? (['rows', TABLE_MAXIMUM] as const) : (['columns', LINEAR_MAXIMUM] as const)
  const part = (pick: 'quantized' | 'scales') =>
    async function* () {
      for await (const values of tensor.rows()) yield bytesOf(quantizeMatrix(values, width, along, maximum)[pick])
    }
  return [
    { name: tensor.name, type: 'I8', shape: tensor.shape, chunks: part('quantized') },
    { name: `${tensor.name}_scale`, type: 'F32', shape: along === 'rows' ? [rows, 1] : [width], chunks: part('scales') },
  ]
}

/** Stores values in 16 bits; a value beyond the format's range is an error that names the tensor. */
function asFloat16(name: string, values: Float32Array): Uint16Array {
  const patterns = float16FromFloat32(values)
  if (patterns.some((pattern) => (pattern & 0x7c00) === 0x7c00)) {
    throw new GabionError('MODEL_UNSUPPORTED', `'${name}' holds a value beyond 65,504, which fp16 cannot store; use fp32 or bf16`)
  }
  return patterns
}

/** The tensors of a weights file in the given precision. */
export function inPrecision(layout: readonly LayoutTensor[], precision: GraphPrecision): TensorToWrite[] {
  return layout.flatMap((tensor): TensorToWrite[] => {
    const isMatrix = tensor.kind === 'table' || tensor.kind === 'linear'
    if (precision === 'int8' && isMatrix) return asInt8(tensor)
    let type: 'F32' | 'F16' | 'BF16' = 'F32'
    if (precision === 'bf16' && isMatrix) type = 'BF16'
    if (precision === 'fp16' && tensor.kind !== 'head') type = 'F16'
    const store = {
      F32: (values: Float32Array) => values,
      F16: (values: Float32Array) => asFloat16(tensor.name, values),
      BF16: bfloat16FromFloat32,
    }[type]
    return [
      {
        name: tensor.name,
        type,
        shape: tensor.shape,
        chunks: async function* () {
          for await (const values of tensor.rows()) yield bytesOf(store(values))
        },
      },
    ]
  })
}
