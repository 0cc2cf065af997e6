// Owns an open safetensors file: reads tensors one at a time as float32.

import type { FileHandle } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import { checkTensorShape, openForReading, readFloats, readFully } from './float-reading.js'
import { checkHeaderLength, parseHeader, type StoredTensor } from './safetensors-header.js'

/** Names that transformers gave to a norm's weight and bias in its first releases, and reads to this day. */
const OLD_NORMS: readonly [RegExp, string][] = [
  [/(^|\.)LayerNorm\.gamma$/, '$1LayerNorm.weight'],
  [/(^|\.)LayerNorm\.beta$/, '$1LayerNorm.bias'],
]

function withPresentNames(tensors: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> {
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const present = OLD_NORMS.reduce((given, [old, now]) => given.replace(old, now), name)
      return present === name || tensors.has(present) ? [name, tensor] : [present, { ...tensor, name: present }]
    }),
  )
}

/** An open safetensors file. Close it. */
export class SafetensorsReader {
  readonly file: string
  /** Every tensor by its present name, already checked against the file. */
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** The free text fields of the header. */
  readonly metadata: Readonly<Record<string, string>>
  readonly #handle: FileHandle

  private constructor(file: string, handle: FileHandle, header: ReturnType<typeof parseHeader>) {
    this.file = file
    this.#handle = handle
    this.tensors = withPresentNames(header.tensors)
    this.metadata = header.metadata
  }

  /**
   * Opens a file and checks its header.
   *
   * @throws GabionError `MODEL_NOT_FOUND` if it cannot be opened, `MODEL_INVALID` or `MODEL_UNSUPPORTED` for its header
   */
  static async open(file: string): Promise<SafetensorsReader> {
    const handle = await openForReading(file)
    try {
      const { size } = await handle.stat()
      if (size < 8) throw new GabionError('MODEL_INVALID', `${file} is not a readable safetensors file: it has only ${String(size)} bytes`)
      const length = await readFully(file, handle, 8, 0)
      const headerBytes = checkHeaderLength(file, new DataView(length.buffer).getBigUint64(0, true), size)
      return new SafetensorsReader(file, handle, parseHeader(file, await readFully(file, handle, headerBytes, 8), size))
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /**
   * Looks a tensor up and checks its shape.
   *
   * @throws GabionError `MODEL_UNSUPPORTED` if it is missing, `MODEL_INVALID` if its shape is another
   */
  require(name: string, shape: readonly number[]): StoredTensor {
    const tensor = this.tensors.get(name)
    if (tensor === undefined) throw new GabionError('MODEL_UNSUPPORTED', `${this.file} has no tensor '${name}'`)
    checkTensorShape(this.file, name, tensor.shape, shape)
    return tensor
  }

  /**
   * Reads a whole tensor, or some of its rows (slices along the first axis), as float32.
   *
   * @throws GabionError `MODEL_UNSUPPORTED` for an element type other than F32, F16, BF16 and F64; `MODEL_INVALID` if the file
   * has shrunk or a value is not finite
   */
  async read(tensor: StoredTensor, rows?: { first: number; count: number }): Promise<Float32Array> {
    const rowBytes = tensor.byteLength / (tensor.shape[0] ?? 1)
    const offset = tensor.offset + (rows?.first ?? 0) * rowBytes
    const byteLength = rows === undefined ? tensor.byteLength : rows.count * rowBytes
    return readFloats(this.file, this.#handle, tensor, { offset, byteLength })
  }

  /** The header, and the first bytes of each tensor in the order of the file. */
  async samples(bytesOfTensor: number): Promise<Uint8Array[]> {
    const ordered = [...this.tensors.values()].sort((a, b) => a.offset - b.offset)
    const read = (offset: number, bytes: number): Promise<Uint8Array> => readFully(this.file, this.#handle, bytes, offset)
    const header = read(0, ordered[0]?.offset ?? 0)
    return Promise.all([header, ...ordered.map(({ offset, byteLength }) => read(offset, Math.min(byteLength, bytesOfTensor)))])
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}
