// Owns .npy files of 32-bit floats: matrices read and written, whole or row by row; npy.ts owns the format.

import { open, type FileHandle } from 'node:fs/promises'
import { GabionError, isGabionError } from '../errors.js'
import { npyHeader, parseNpyHeader, type NpyHeader } from './npy.js'
import { PendingFile } from './pending-file.js'

/** Header size, with room for any shape: the header is rewritten once the rows are counted. */
const HEADER_BYTES = 128
/** Larger than NumPy's longest header. */
const HEAD_BYTES = 1 << 16
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
 * Reads a matrix of '<f4' or '<f8' numbers (the latter are rounded to 32 bits); a one-dimensional array is one row.
 * @throws GabionError INVALID_ARGUMENT naming the file and what is wrong with it
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
  const { rows, dimensions, size, start } = await readHead(file, handle)
  const chunkRows = Math.max(1, Math.floor(CHUNK_BYTES / (dimensions * size)))
  const bytes = new Uint8Array(Math.min(rows, chunkRows) * dimensions * size)
  for (let first = 0; first < rows; first += chunkRows) {
    const count = Math.min(chunkRows, rows - first)
    const length = count * dimensions * size
    const { bytesRead } = await handle.read(bytes, 0, length, start + first * dimensions * size)
    if (bytesRead < length) throw new GabionError('INVALID_ARGUMENT', `${file}: cut short while it was read`)
    const data = new Float32Array(count * dimensions)
    data.set(size === 4 ? new Float32Array(bytes.buffer, 0, data.length) : new Float64Array(bytes.buffer, 0, data.length))
    yield { rows: count, dimensions, data }
  }
}

async function readHead(file: string, handle: FileHandle): Promise<{ rows: number; dimensions: number; size: number; start: number }> {
  const fail = (what: string): GabionError => new GabionError('INVALID_ARGUMENT', `${file}: ${what}`)
  const head = new Uint8Array(HEAD_BYTES)
  const { bytesRead } = await handle.read(head, 0, HEAD_BYTES, 0)
  let header: NpyHeader
  try {
    header = parseNpyHeader(head.subarray(0, bytesRead))
  } catch (error) {
    throw isGabionError(error) ? fail(error.message) : error
  }
  const { descriptor, type, shape, fortranOrder, start } = header
  if (type.kind !== 'f' || !type.littleEndian) throw fail(`numbers must be of type <f4 or <f8, the file has ${descriptor}`)
  if (fortranOrder) throw fail('rows must lie one after another (fortran_order False)')
  const [rows, dimensions]: readonly (number | undefined)[] = shape.length === 1 ? [1, shape[0]] : shape
  if (shape.length > 2 || rows === undefined || dimensions === undefined)
    throw fail(`expected a matrix, the shape is (${shape.join(', ')})`)
  const expected = rows * dimensions * type.size
  const found = (await handle.stat()).size - start
  if (found !== expected) throw fail(`cut short: ${String(expected)} bytes of numbers expected, ${String(found)} found`)
  return { rows, dimensions, size: type.size, start }
}
