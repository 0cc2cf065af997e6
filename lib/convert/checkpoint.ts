// The weights of a folder, whichever files they lie in: one safetensors file, several with an index, or an ONNX export. Finds
// tensors by name; knows no architecture.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { GabionError } from '../errors.js'
import { findExport, findWeightFiles, WEIGHTS_INDEX } from '../models/weight-files.js'
import { OnnxCheckpoint } from './onnx-checkpoint.js'
import type { StoredTensor } from './safetensors-header.js'
import { SafetensorsReader } from './safetensors-reader.js'

/** Named tensors that are read one at a time, as float32. */
export interface TensorSource {
  /** What messages call it. */
  readonly file: string
  has(name: string): boolean
  /**
   * Looks a tensor up and checks its shape.
   *
   * @throws GabionError `MODEL_UNSUPPORTED` if it is missing, `MODEL_INVALID` if its shape is another
   */
  require(name: string, shape: readonly number[]): StoredTensor
  /**
   * Reads a whole tensor, or some of its rows (slices along the first axis).
   *
   * @throws GabionError `MODEL_UNSUPPORTED` for an element type that is no float, `MODEL_INVALID` for values that are not finite
   */
  read(tensor: StoredTensor, rows?: { first: number; count: number }): Promise<Float32Array>
}

/** The open files of weights. Close it. */
export interface WeightSource extends TensorSource {
  /** The files that hold the weights, absolute, in a fixed order. */
  readonly files: readonly string[]
  /** The size of all files, in bytes. */
  size(): Promise<number>
  close(): Promise<void>
}

/**
 * Opens the weights of an encoder: safetensors where the folder has them, an ONNX export otherwise.
 *
 * @param folder that config.json lies in
 * @throws GabionError as {@link findWeightFiles}, {@link Checkpoint.open} and {@link OnnxCheckpoint.open}
 */
export async function openWeights(folder: string): Promise<WeightSource> {
  const exported = await findExport(folder)
  return exported === null ? Checkpoint.open(folder) : OnnxCheckpoint.open(exported)
}

/** An open checkpoint in safetensors form. Close it. */
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
        if (this.#owners.has(name)) throw new GabionError('MODEL_INVALID', `${file}: tensor '${name}' lies in two files`)
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

  async size(): Promise<number> {
    const sizes = await Promise.all(this.files.map(async (file) => (await stat(file)).size))
    return sizes.reduce((sum, size) => sum + size, 0)
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()))
  }
}
