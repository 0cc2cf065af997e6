// The safetensors files of a checkpoint: tensors by name, whichever file holds them, and the identity of its weights. Knows no architecture.

import { GabionError } from '../errors.js'
import { nodeCrypto } from '../lazy.js'
import type { StoredTensor } from '../convert/safetensors-header.js'
import { SafetensorsReader } from '../convert/safetensors-reader.js'

/** Bytes of each tensor that its checkpoint's identity includes. */
const SAMPLE_BYTES = 4096

/** The safetensors files of a checkpoint, open for reading. Close it, or hold it with `await using`. */
export class CheckpointFiles {
  readonly #readers: readonly SafetensorsReader[]

  private constructor(readers: readonly SafetensorsReader[]) {
    this.#readers = readers
  }

  /** @throws GabionError as {@link SafetensorsReader.open} */
  static async open(files: readonly string[]): Promise<CheckpointFiles> {
    const opened = await Promise.allSettled(files.map((file) => SafetensorsReader.open(file)))
    const checkpoint = new CheckpointFiles(opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])))
    const failed = opened.find((each) => each.status === 'rejected')
    if (failed === undefined) return checkpoint
    await checkpoint.close()
    throw failed.reason
  }

  get files(): string[] {
    return this.#readers.map(({ file }) => file)
  }

  /** Names of all tensors. */
  get names(): string[] {
    return this.#readers.flatMap((reader) => [...reader.tensors.keys()])
  }

  has(name: string): boolean {
    return this.#readers.some((reader) => reader.tensors.has(name))
  }

  /** The tensor and its file, after a check of its shape; null is an axis of any size. @throws GabionError `MODEL_UNSUPPORTED`, `MODEL_INVALID` */
  require(name: string, shape: readonly (number | null)[]): { tensor: StoredTensor; reader: SafetensorsReader } {
    const reader = this.#readers.find((each) => each.tensors.has(name))
    const found = reader?.tensors.get(name)
    if (reader === undefined || found === undefined) {
      throw new GabionError('MODEL_UNSUPPORTED', `${this.#readers.map(({ file }) => file).join(', ')} has no tensor '${name}'`)
    }
    const sizes = shape.map((size, axis) => size ?? found.shape[axis] ?? 0)
    return { tensor: reader.require(name, sizes), reader }
  }

  /** A tensor's values. @throws GabionError as {@link require}; `MODEL_INVALID` for values that are not finite */
  async read(name: string, shape: readonly number[]): Promise<Float32Array> {
    const { tensor, reader } = this.require(name, shape)
    return reader.read(tensor)
  }

  /**
   * Hex SHA-256 over the headers, which have all names, types and shapes, and over the first bytes of each tensor. Weights that differ have
   * another identity, whatever their files are called; the rest of the files is not read.
   */
  async identity(): Promise<string> {
    const hash = nodeCrypto().createHash('sha256').update('gabion checkpoint 1\n')
    for (const reader of this.#readers) for (const part of await reader.samples(SAMPLE_BYTES)) hash.update(part)
    return hash.digest('hex')
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
