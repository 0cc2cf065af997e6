// Owns NumPy arrays as data: element types, bytes to numbers and back. Knows no file format.

import { isFloat64Array } from '../typed-arrays.js'
import { damaged } from './damage.js'

/** A NumPy array: numbers as doubles, or texts. */
export interface NumpyArray {
  readonly shape: readonly number[]
  /** In row-major order. */
  readonly values: Float64Array | readonly string[]
}

/** The dtype of an array's elements. */
export interface ElementType {
  /** As in NumPy's array interface: `f`, `i`, `u`, `b` (boolean), `U` (text). */
  readonly kind: 'f' | 'i' | 'u' | 'b' | 'U'
  /** Bytes per element. */
  readonly size: number
  readonly littleEndian: boolean
}

const SIZES: Readonly<Record<ElementType['kind'], readonly number[] | null>> = {
  f: [2, 4, 8],
  i: [1, 2, 4, 8],
  u: [1, 2, 4, 8],
  b: [1],
  U: null,
}

/**
 * Parses a NumPy dtype: `<f8`, `f4`, `|b1`, `<U12`.
 *
 * @throws GabionError `ARTIFACT_INVALID` for a dtype other than of numbers or texts
 */
export function parseElementType(descriptor: string): ElementType {
  const [, order, letter, digits] = /^([<>|=]?)([fiubU])(\d{1,7})$/.exec(descriptor) ?? []
  if (letter === undefined)
    throw damaged(`arrays of type ${JSON.stringify(descriptor.slice(0, 40))} are not read, only of numbers and texts`)
  const kind = letter as ElementType['kind']
  const size = Number(digits) * (kind === 'U' ? 4 : 1)
  if (SIZES[kind]?.includes(size) === false) throw damaged(`numbers of type ${descriptor} are not read`)
  return { kind, size, littleEndian: order !== '>' }
}

/** Number of elements of a shape. */
export function elementCount(shape: readonly number[]): number {
  if (shape.length > 32) throw damaged(`an array has ${String(shape.length)} axes`)
  let count = 1
  for (const extent of shape) {
    if (!Number.isSafeInteger(extent) || extent < 0) throw damaged(`an array's shape is not made of whole numbers`)
    count *= extent
  }
  if (!Number.isSafeInteger(count)) throw damaged(`an array's shape is too large`)
  return count
}

/** An array whose values are decoded on first access, since files may contain many unused arrays. */
class BytesArray implements NumpyArray {
  readonly shape: readonly number[]
  readonly #decode: () => Float64Array | readonly string[]
  #values: Float64Array | readonly string[] | null = null

  constructor(shape: readonly number[], decode: () => Float64Array | readonly string[]) {
    this.shape = shape
    this.#decode = decode
  }

  get values(): Float64Array | readonly string[] {
    this.#values ??= this.#decode()
    return this.#values
  }
}

/**
 * An array that decodes its bytes on first access.
 *
 * @param fortranOrder the first index runs fastest; only matrices and below
 * @throws GabionError `ARTIFACT_INVALID` when the number of bytes does not match the shape
 */
export function decodeArray(bytes: Uint8Array, type: ElementType, shape: readonly number[], fortranOrder: boolean): NumpyArray {
  const count = elementCount(shape)
  if (bytes.length !== count * type.size)
    throw damaged(`an array of shape (${shape.join(', ')}) needs ${String(count * type.size)} bytes, got ${String(bytes.length)}`)
  return new BytesArray(shape, () => decodeValues(bytes, type, shape, fortranOrder))
}

function decodeValues(
  bytes: Uint8Array,
  type: ElementType,
  shape: readonly number[],
  fortranOrder: boolean,
): Float64Array | readonly string[] {
  const count = elementCount(shape)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const values =
    type.kind === 'U'
      ? Array.from({ length: count }, (_, at) => textAt(view, at * type.size, type))
      : Float64Array.from({ length: count }, (_, at) => numberAt(view, at * type.size, type))
  if (!fortranOrder || shape.length < 2) return values
  const [rows = 0, columns = 0] = shape
  if (shape.length > 2 || !isFloat64Array(values)) throw damaged('an array in Fortran order has more than two axes')
  return values.map((_, at) => values[(at % columns) * rows + Math.floor(at / columns)]!)
}

/** The number of an element other than a text, at a byte of its array. */
export function numberAt(view: DataView, at: number, { kind, size, littleEndian }: ElementType): number {
  if (kind === 'f') {
    if (size === 2) return halfOf(view.getUint16(at, littleEndian))
    return size === 4 ? view.getFloat32(at, littleEndian) : view.getFloat64(at, littleEndian)
  }
  switch (size) {
    case 1:
      return kind === 'i' ? view.getInt8(at) : view.getUint8(at)
    case 2:
      return kind === 'i' ? view.getInt16(at, littleEndian) : view.getUint16(at, littleEndian)
    case 4:
      return kind === 'i' ? view.getInt32(at, littleEndian) : view.getUint32(at, littleEndian)
    default:
      return Number(kind === 'i' ? view.getBigInt64(at, littleEndian) : view.getBigUint64(at, littleEndian))
  }
}

/** The value of a half-precision number (IEEE 754 binary16). */
function halfOf(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 0x1f, bits & 0x3ff]
  const sign = bits >= 0x8000 ? -1 : 1
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15))
}

function textAt(view: DataView, at: number, { size, littleEndian }: ElementType): string {
  let text = ''
  for (let from = at; from < at + size; from += 4) {
    const code = view.getUint32(from, littleEndian)
    if (code > 0x10ffff) throw damaged('a text holds what is no character')
    text += String.fromCodePoint(code)
  }
  return text.replace(/\0+$/, '')
}

/** The numbers of an array, which must have `axes` axes. */
export function numbersOf(array: NumpyArray, axes: number, what: string): Float64Array {
  if (!isFloat64Array(array.values) || array.shape.length !== axes)
    throw damaged(
      `${what} must be an array of numbers with ${String(axes)} ${axes === 1 ? 'axis' : 'axes'}, its shape is (${array.shape.join(', ')})`,
    )
  if (!array.values.every(Number.isFinite)) throw damaged(`${what} must hold finite numbers`)
  return array.values
}
