// Stores the layout's float32 tensors in a precision: float32, bfloat16 or 8-bit integers with scales.

import { bfloat16FromFloat32 } from './number-formats.js'
import type { GraphPrecision } from '../models/graph-manifest.js'
import type { TensorToWrite } from './safetensors-writer.js'
import type { LayoutTensor } from './weight-layout.js'

const INT8_MAXIMUM = 127

function bytesOf(array: Float32Array | Uint16Array | Int8Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** The scale that maps a largest magnitude to 127; a column or row of zeros gets 1, so that nothing divides by zero. */
function scaleFor(maximum: number): number {
  return maximum === 0 ? 1 : Math.fround(maximum / INT8_MAXIMUM)
}

/** Rounds to nearest, ties to even, as ONNX's own quantizing operators do. */
function quantize(value: number, scale: number): number {
  const scaled = value / scale
  const floor = Math.floor(scaled)
  const fraction = scaled - floor
  const rounded = fraction > 0.5 || (fraction === 0.5 && floor % 2 !== 0) ? floor + 1 : floor
  return Math.max(-INT8_MAXIMUM, Math.min(INT8_MAXIMUM, rounded))
}

/** Symmetric 8-bit weights with one scale for each column (`columns`) or for each row (`rows`) of a row-major matrix. */
export function quantizeMatrix(
  values: Float32Array,
  width: number,
  along: 'columns' | 'rows',
): { quantized: Int8Array; scales: Float32Array } {
  const groupOf = along === 'columns' ? (index: number) => index % width : (index: number) => Math.floor(index / width)
  const maxima = new Float32Array(along === 'columns' ? width : values.length / width)
  for (let index = 0; index < values.length; index++) {
    const group = groupOf(index)
    maxima[group] = Math.max(maxima[group] as number, Math.abs(values[index] as number))
  }
  const scales = maxima.map(scaleFor)
  const quantized = new Int8Array(values.length)
  for (let index = 0; index < values.length; index++) quantized[index] = quantize(values[index] as number, scales[groupOf(index)] as number)
  return { quantized, scales }
}

function asInt8(tensor: LayoutTensor): TensorToWrite[] {
  const [rows, width] = tensor.shape as [number, number]
  const along = tensor.kind === 'table' ? 'rows' : 'columns'
  const part = (pick: 'quantized' | 'scales') =>
    async function* () {
      for await (const values of tensor.rows()) yield bytesOf(quantizeMatrix(values, width, along)[pick])
    }
  return [
    { name: tensor.name, type: 'I8', shape: tensor.shape, chunks: part('quantized') },
    { name: `${tensor.name}_scale`, type: 'F32', shape: along === 'rows' ? [rows, 1] : [width], chunks: part('scales') },
  ]
}

/** The tensors of a weights file in the given precision. */
export function inPrecision(layout: readonly LayoutTensor[], precision: GraphPrecision): TensorToWrite[] {
  return layout.flatMap((tensor): TensorToWrite[] => {
    if (precision === 'int8' && tensor.kind !== 'small') return asInt8(tensor)
    const narrow = precision === 'bf16' && tensor.kind !== 'small'
    return [
      {
        name: tensor.name,
        type: narrow ? 'BF16' : 'F32',
        shape: tensor.shape,
        chunks: async function* () {
          for await (const values of tensor.rows()) yield bytesOf(narrow ? bfloat16FromFloat32(values) : values)
        },
      },
    ]
  })
}
