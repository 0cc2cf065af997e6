// Owns NumPy's .npy format (numpy.lib.format, versions 1 to 3): the magic, a length, a Python dictionary, then the numbers.
// Knows no file: bytes in, bytes out.

import { decodeArray, parseElementType, type ElementType, type NumpyArray } from './numpy-array.js'
import { damaged } from './damage.js'

const MAGIC = Buffer.from('\x93NUMPY', 'latin1')
const ALIGNMENT = 64
/** More than any header of ours or NumPy's. */
const MAX_HEADER_BYTES = 1 << 16

/** The header of a .npy file. */
export interface NpyHeader {
  /** The dtype in the file's notation, such as `<f4`. */
  readonly descriptor: string
  readonly type: ElementType
  readonly shape: readonly number[]
  readonly fortranOrder: boolean
  /** Offset of the numbers. */
  readonly start: number
}

/**
 * Reads the header of a .npy file from its first bytes (64 KiB are always enough).
 *
 * @throws GabionError `ARTIFACT_INVALID`
 */
export function parseNpyHeader(bytes: Uint8Array): NpyHeader {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.length < 12 || !buffer.subarray(0, 6).equals(MAGIC)) throw damaged('not a .npy file')
  const wide = buffer.readUInt8(6) >= 2
  const from = wide ? 12 : 10
  const length = wide ? buffer.readUInt32LE(8) : buffer.readUInt16LE(8)
  if (length > MAX_HEADER_BYTES || from + length > buffer.length) throw damaged('cut short in its header')
  const dictionary = buffer.toString('latin1', from, from + length)
  const descriptor = /'descr': *'([^']{1,40})'/.exec(dictionary)?.[1]
  if (descriptor === undefined) throw damaged('its header names no plain type of numbers')
  const order = /'fortran_order': *(True|False)/.exec(dictionary)?.[1]
  const extents = /'shape': *\(([\d, ]*)\)/.exec(dictionary)?.[1]
  if (order === undefined || extents === undefined) throw damaged('its header has no shape and order')
  const shape = extents
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number)
  return { descriptor, type: parseElementType(descriptor), shape, fortranOrder: order === 'True', start: from + length }
}

/**
 * A whole .npy file.
 *
 * @throws GabionError `ARTIFACT_INVALID`
 */
export function decodeNpy(bytes: Uint8Array): NumpyArray {
  const { type, shape, fortranOrder, start } = parseNpyHeader(bytes)
  return decodeArray(bytes.subarray(start), type, shape, fortranOrder)
}

/**
 * The header of a .npy file of version 1.
 *
 * @param room length to pad to; default: the next multiple of 64
 */
export function npyHeader(descriptor: string, shape: readonly number[], room?: number): Buffer {
  const tuple = shape.length === 1 ? `${String(shape[0])},` : shape.join(', ')
  const dictionary = `{'descr': '${descriptor}', 'fortran_order': False, 'shape': (${tuple}), }`
  const length = room ?? Math.ceil((10 + dictionary.length + 1) / ALIGNMENT) * ALIGNMENT
  const bytes = Buffer.alloc(length, ' ')
  MAGIC.copy(bytes)
  bytes.writeUInt8(1, 6)
  bytes.writeUInt8(0, 7)
  bytes.writeUInt16LE(length - 10, 8)
  bytes.write(dictionary, 10, 'latin1')
  bytes.write('\n', length - 1)
  return bytes
}

/** A .npy file of doubles, or of one text. */
export function encodeNpy(values: Float64Array | string, shape: readonly number[]): Uint8Array {
  if (typeof values === 'string') {
    const characters = Array.from(values)
    const body = Buffer.alloc(Math.max(1, characters.length) * 4)
    characters.forEach((character, at) => body.writeUInt32LE(character.codePointAt(0) ?? 0, at * 4))
    return Buffer.concat([npyHeader(`<U${String(Math.max(1, characters.length))}`, shape), body])
  }
  const body = Buffer.alloc(values.length * 8)
  values.forEach((value, at) => body.writeDoubleLE(value, at * 8))
  return Buffer.concat([npyHeader('<f8', shape), body])
}
