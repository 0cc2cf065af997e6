// Owns reading of weight files: opening, byte ranges as float32 converted from any float type, shapes. Knows no file format.

import { open, type FileHandle } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import { float32FromBfloat16, float32FromFloat16 } from './number-formats.js'
import type { ElementType } from './safetensors-header.js'

/**
 * Opens a file of weights.
 *
 * @throws GabionError `MODEL_NOT_FOUND`
 */
export async function openForReading(file: string): Promise<FileHandle> {
  return open(file, 'r').catch((cause: unknown) => {
    throw new GabionError('MODEL_NOT_FOUND', `cannot open the weights file ${file}: ${(cause as Error).message}`, { cause })
  })
}

/** @throws GabionError `MODEL_INVALID` if a tensor has another shape than expected */
export function checkTensorShape(file: string, name: string, actual: readonly number[], expected: readonly number[]): void {
  if (actual.length === expected.length && actual.every((size, axis) => size === expected[axis])) return
  throw new GabionError(
    'MODEL_INVALID',
    `${file}: tensor '${name}' must have the shape [${expected.join(', ')}], has [${actual.join(', ')}]`,
  )
}

/** Reads exactly that many bytes into a new buffer, so that typed arrays over it are aligned. */
export async function readFully(file: string, handle: FileHandle, byteLength: number, offset: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(byteLength)
  let filled = 0
  while (filled < byteLength) {
    const { bytesRead } = await handle.read(bytes, filled, byteLength - filled, offset + filled)
    if (bytesRead === 0) throw new GabionError('MODEL_INVALID', `${file} ended at byte ${String(offset + filled)} while it was read`)
    filled += bytesRead
  }
  return bytes
}

/**
 * Reads a byte range of a tensor.
 *
 * @throws GabionError `MODEL_UNSUPPORTED` for an element type other than F32, F16, BF16 and F64; `MODEL_INVALID` if the file has shrunk
 * or a value is not finite
 */
export async function readFloats(
  file: string,
  handle: FileHandle,
  tensor: { name: string; type: ElementType },
  { offset, byteLength }: { offset: number; byteLength: number },
): Promise<Float32Array> {
  const where = `${file}: tensor '${tensor.name}'`
  if (!['F32', 'F16', 'BF16', 'F64'].includes(tensor.type)) {
    throw new GabionError('MODEL_UNSUPPORTED', `${where} has the type ${tensor.type}; F32, F16, BF16 and F64 are read`)
  }
  const { buffer } = await readFully(file, handle, byteLength, offset)
  let values: Float32Array
  if (tensor.type === 'F32') values = new Float32Array(buffer)
  else if (tensor.type === 'F64') values = Float32Array.from(new Float64Array(buffer))
  else if (tensor.type === 'BF16') values = float32FromBfloat16(new Uint16Array(buffer))
  else values = float32FromFloat16(new Uint16Array(buffer))
  for (const value of values) {
    if (!Number.isFinite(value)) throw new GabionError('MODEL_INVALID', `${where} holds a value that is not finite`)
  }
  return values
}
