// Owns .npy files of floats: matrices read and written, whole or row by row; npy.ts owns the format.

import { open, type FileHandle } from 'node:fs/promises'
import { GabionError, isGabionError } from '../errors.js'
import { npyHeader, parseNpyHeader, type NpyHeader } from './npy.js'
import { numberAt, type ElementType } from './numpy-array.js'
import { PendingFile } from './pending-file.js'

/** Header size, with room for any shape: the header is rewritten once the rows are counted. */
const HEADER_BYTES = 128
/** Larger than NumPy's longest header. */
const HEAD_BYTES = 1 << 16
/** What to do about a type that is not read. */
const CURE = "; save it with np.save(file, array.astype('float32'))"
/** Bytes per read. */
const CHUNK_BYTES = 16 * 1024 * 1024

/** A matrix of 32-bit floats, row-major. */
export interface Matrix {
  rows: number
  dimensions: number
  data: Float32Array
}

/** Writes a matrix of little-endian 32-bit floats row by row; the file appears when it is complete. */
export class NpyWriter {
  readonly #file: PendingFile
  readonly #columns: number
  #rows = 0

  private constructor(file: PendingFile, columns: number) {
    this.#file = file
    this.#columns = columns
  }

  /** Creates a file of rows of `columns` numbers. */
  static async create(target: string, columns: number): Promise<NpyWriter> {
    const file = await PendingFile.create(target)
    await file.append(npyHeader('<f4', [0, columns], HEADER_BYTES))
    return new NpyWriter(file, columns)
  }

  /** Appends rows, row-major. */
  async append(values: Float32Array): Promise<void> {
    await this.#file.append(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    this.#rows += values.length / this.#columns
  }

  /** Writes the final shape and renames the file to its target. */
  async complete(): Promise<void> {
    await this.#file.writeAt(npyHeader('<f4', [this.#rows, this.#columns], HEADER_BYTES), 0)
    await this.#file.complete()
  }

  /** Removes the unfinished file; no effect after {@link complete}. */
  discard(): Promise<void> {
    return this.#file.discard()
  }
}

/**
 * Reads a matrix of floats: of 16, 32 or 64 bits (rounded to 32), in either byte order, rows or columns first. A one-dimensional array is
 * one row. Bytes after the last number are ignored, as in NumPy.
 * @throws GabionError INVALID_ARGUMENT naming the file, what is wrong with it, and NumPy's function that mends it
 */
export async function readNpy(file: string): Promise<Matrix> {
  const { rows, dimensions } = await npyShape(file)
  const data = new Float32Array(rows * dimensions)
  let at = 0
  for await (const part of readNpyRows(file)) {
    data.set(part.data, at)
    at += part.data.length
  }
  return { rows, dimensions, data }
}

/**
 * The shape of a matrix in a file.
 * @throws GabionError INVALID_ARGUMENT as {@link readNpy}
 */
export async function npyShape(file: string): Promise<{ rows: number; dimensions: number }> {
  await using handle = await open(file)
  const { rows, dimensions } = await readHead(file, handle)
  return { rows, dimensions }
}

/**
 * Reads a matrix as {@link readNpy}, in chunks of rows, so that it may be larger than memory.
 * @throws GabionError INVALID_ARGUMENT naming the file and what is wrong with it
 */
export async function* readNpyRows(file: string): AsyncGenerator<Matrix> {
  await using handle = await open(file)
  const head = await readHead(file, handle)
  const { rows, dimensions, type, start } = head
  const chunkRows = Math.max(1, Math.floor(CHUNK_BYTES / (dimensions * type.size)))
  const bytes = new Uint8Array(Math.min(rows, chunkRows) * dimensions * type.size)
  for (let first = 0; first < rows; first += chunkRows) {
    const count = Math.min(chunkRows, rows - first)
    const read = async (into: number, values: number, from: number): Promise<void> => {
      const { bytesRead } = await handle.read(bytes, into * type.size, values * type.size, start + from * type.size)
      if (bytesRead < values * type.size) throw new GabionError('INVALID_ARGUMENT', `${file}: cut short while it was read`)
    }
    if (!head.columnsFirst) await read(0, count * dimensions, first * dimensions)
    else for (let column = 0; column < dimensions; column++) await read(column * count, count, column * rows + first)
    yield { rows: count, dimensions, data: floatsOf(bytes, head, count) }
  }
}

/** The numbers of a chunk of rows, row-major. */
function floatsOf({ buffer }: Uint8Array<ArrayBuffer>, { type, dimensions, columnsFirst }: Head, rows: number): Float32Array {
  const length = rows * dimensions
  if (!columnsFirst && type.littleEndian && type.size > 2)
    return Float32Array.from(type.size === 4 ? new Float32Array(buffer, 0, length) : new Float64Array(buffer, 0, length))
  const view = new DataView(buffer)
  const place = (index: number): number => (columnsFirst ? (index % dimensions) * rows + Math.floor(index / dimensions) : index)
  return Float32Array.from({ length }, (_, index) => numberAt(view, place(index) * type.size, type))
}

interface Head {
  rows: number
  dimensions: number
  type: ElementType
  columnsFirst: boolean
  start: number
}

async function readHead(file: string, handle: FileHandle): Promise<Head> {
  const fail = (what: string): GabionError => new GabionError('INVALID_ARGUMENT', `${file}: ${what}`)
  const head = new Uint8Array(HEAD_BYTES)
  const { bytesRead } = await handle.read(head, 0, HEAD_BYTES, 0)
  let header: NpyHeader
  try {
    header = parseNpyHeader(head.subarray(0, bytesRead))
  } catch (error) {
    throw isGabionError(error) ? fail(`${error.message}${error.message.includes('type') ? CURE : ''}`) : error
  }
  const { descriptor, type, shape, fortranOrder, start } = header
  if (type.kind !== 'f') throw fail(`numbers must be floats, the file has ${descriptor}${CURE}`)
  const [rows, dimensions]: readonly (number | undefined)[] = shape.length === 1 ? [1, shape[0]] : shape
  if (shape.length > 2 || rows === undefined || dimensions === undefined)
    throw fail(`expected a matrix, the shape is (${shape.join(', ')}); save array.reshape(len(array), -1)`)
  const expected = rows * dimensions * type.size
  const found = (await handle.stat()).size - start
  if (found < expected) throw fail(`cut short: ${String(expected)} bytes of numbers expected, ${String(found)} found`)
  return { rows, dimensions, type, columnsFirst: fortranOrder && shape.length === 2, start }
}
