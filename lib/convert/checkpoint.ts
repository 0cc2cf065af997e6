// Owns access to the weights of a folder: one safetensors file, several with an index, or an ONNX export. Finds tensors by name;
// knows no architecture.

import { join } from 'node:path'
import { GabionError } from '../errors.js'
import { findExport, findWeightFiles, WEIGHTS_INDEX } from '../models/weight-files.js'
import { OnnxCheckpoint } from './onnx-checkpoint.js'
import type { StoredTensor } from './safetensors-header.js'
import { SafetensorsReader } from './safetensors-reader.js'
import type { WeightSource } from './weight-source.js'

/**
 * Opens the weights of an encoder: safetensors where the folder has them, an ONNX export otherwise.
 *
 * @param folder with config.json
 * @throws GabionError as {@link findWeightFiles}, {@link Checkpoint.open} and {@link OnnxCheckpoint.open}
 */
export async function openWeights(folder: string): Promise<WeightSource> {
  const exported = await findExport(folder)
  return exported === null ? Checkpoint.open(folder) : OnnxCheckpoint.open(exported)
}

/** An open checkpoint in safetensors form. */
export class Checkpoint implements WeightSource {
  readonly file: string
  readonly files: readonly string[]
  readonly #readers: readonly SafetensorsReader[]
  readonly #owners = new Map<string, SafetensorsReader>()

  private constructor(file: string, readers: readonly SafetensorsReader[]) {
    this.file = file
    this.#readers = readers
    this.files = readers.map((reader) => reader.file)
    for (const reader of readers) {
      for (const name of reader.tensors.keys()) {
        if (this.#owners.has(name)) throw new GabionError('MODEL_INVALID', `${file}: tensor '${name}' is in two files`)
        this.#owners.set(name, reader)
      }
    }
  }

  /**
   * Opens the safetensors files of a folder and checks their headers.
   *
   * @throws GabionError as {@link findWeightFiles}, and `MODEL_INVALID` for a broken header
   */
  static async open(folder: string): Promise<Checkpoint> {
    const files = await findWeightFiles(folder)
    const readers: SafetensorsReader[] = []
    try {
      for (const file of files) readers.push(await SafetensorsReader.open(file))
      return new Checkpoint(files.length === 1 ? (files[0] as string) : join(folder, WEIGHTS_INDEX), readers)
    } catch (error) {
      await Promise.all(readers.map((reader) => reader.close()))
      throw error
    }
  }

  has(name: string): boolean {
    return this.#owners.has(name)
  }

  require(name: string, shape: readonly number[]): StoredTensor {
    const owner = this.#owners.get(name)
    if (owner === undefined) throw new GabionError('MODEL_UNSUPPORTED', `${this.file} has no tensor '${name}'`)
    return owner.require(name, shape)
  }

  read(tensor: StoredTensor, rows?: { first: number; count: number }): Promise<Float32Array> {
    return (this.#owners.get(tensor.name) as SafetensorsReader).read(tensor, rows)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()))
  }
}
