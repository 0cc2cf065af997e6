// Owns NumPy's .npy files: float matrices in and out. The format is numpy.lib.format, version 1.0: the magic, a two-byte
// length, a Python dictionary padded to 64 bytes, then the numbers. Own code, since the row count of a stream is known last.

import { readFile } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import { PendingFile } from './pending-file.js'

const MAGIC = Buffer.from('\x93NUMPY', 'latin1')
/** Room for every shape that can come: the header is written again when the rows have been counted. */
const HEADER_BYTES = 128

/** A matrix of 32-bit floats, row-major. */
export interface Matrix {
  rows: number
  dimensions: number
  data: Float32Array
}

function header(rows: number, columns: number): Buffer {
  const dictionary = `{'descr': '<f4', 'fortran_order': False, 'shape': (${String(rows)}, ${String(columns)}), }`
  const bytes = Buffer.alloc(HEADER_BYTES, ' ')
  MAGIC.copy(bytes)
  bytes.writeUInt8(1, 6)
  bytes.writeUInt8(0, 7)
  bytes.writeUInt16LE(HEADER_BYTES - 10, 8)
  bytes.write(dictionary, 10, 'latin1')
  bytes.write('\n', HEADER_BYTES - 1)
  return bytes
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

  /** Starts a file of rows of `columns` numbers. */
  static async create(target: string, columns: number): Promise<NpyWriter> {
    const file = await PendingFile.create(target)
    await file.append(header(0, columns))
    return new NpyWriter(file, columns)
  }

  /** Appends rows, row-major. */
  async append(values: Float32Array): Promise<void> {
    await this.#file.append(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    this.#rows += values.length / this.#columns
  }

  /** Writes the final shape and gives the file its name. */
  async complete(): Promise<void> {
    await this.#file.writeAt(header(this.#rows, this.#columns), 0)
    await this.#file.complete()
  }

  /** Leaves nothing behind; harmless after {@link complete}. */
  discard(): Promise<void> {
    return this.#file.discard()
  }
}

/**
 * Reads a matrix of '<f4' or '<f8' numbers (the latter are rounded to 32 bits); a one-dimensional array is one row.
 * @throws GabionError INVALID_ARGUMENT naming the file and what is wrong with it
 */
export async function readNpy(file: string): Promise<Matrix> {
  const bytes = await readFile(file)
  const fail = (what: string): GabionError => new GabionError('INVALID_ARGUMENT', `${file}: ${what}`)
  if (bytes.length < 12 || !bytes.subarray(0, 6).equals(MAGIC)) throw fail('not a .npy file')
  const wide = bytes.readUInt8(6) >= 2
  const start = wide ? 12 : 10
  const end = start + (wide ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8))
  const dictionary = bytes.toString('latin1', start, end)
  const type = /'descr': *'([^']*)'/.exec(dictionary)?.[1]
  const size = type === '<f4' ? 4 : type === '<f8' ? 8 : null
  if (size === null) throw fail(`numbers must be of type <f4 or <f8, the file has ${type ?? 'another header'}`)
  if (!/'fortran_order': *False/.test(dictionary)) throw fail('rows must lie one after another (fortran_order False)')
  const shape = (/'shape': *\(([^)]*)\)/.exec(dictionary)?.[1] ?? '').split(',').filter((part) => part.trim() !== '')
  const [rows, dimensions] = shape.length === 1 ? [1, Number(shape[0])] : shape.map(Number)
  if (shape.length > 2 || rows === undefined || dimensions === undefined) throw fail(`expected a matrix, the shape is (${shape.join(',')})`)
  const expected = rows * dimensions * size
  if (bytes.length - end !== expected)
    throw fail(`cut short: ${String(expected)} bytes of numbers expected, ${String(bytes.length - end)} found`)
  const body = bytes.buffer.slice(bytes.byteOffset + end, bytes.byteOffset + end + expected)
  return { rows, dimensions, data: size === 4 ? new Float32Array(body) : Float32Array.from(new Float64Array(body)) }
}
