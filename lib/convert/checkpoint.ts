// The weights of a folder, whichever files they lie in: one safetensors file or several with an index. Finds tensors by name;
// knows no architecture.

import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { GabionError } from '../errors.js'
import { ConfigFile } from '../models/config-file.js'
import type { StoredTensor } from './safetensors-header.js'
import { SafetensorsReader } from './safetensors-reader.js'

const WEIGHTS = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

/** Other files that weights are published in, with why they are not read. */
const REFUSED: readonly { file: string; reason: string }[] = [
  {
    file: 'pytorch_model.bin',
    reason:
      'a pickle, which can run any code while it is read. Take a revision with model.safetensors, or save it again in Python with ' +
      'SentenceTransformer(folder).save(new_folder), on a machine where you trust the file',
  },
  {
    file: 'pytorch_model.bin.index.json',
    reason: 'several pickles, which can run any code while they are read; save the model as safetensors',
  },
  { file: 'tf_model.h5', reason: 'TensorFlow weights; save the model as safetensors' },
  { file: 'flax_model.msgpack', reason: 'Flax weights; save the model as safetensors' },
]

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

/** An open checkpoint. Close it. */
export class Checkpoint implements TensorSource {
  readonly file: string
  /** The files that hold the weights, absolute, in a fixed order. */
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
   * @throws GabionError `MODEL_NOT_FOUND` if there are no weights or a file of the index is missing, `MODEL_UNSUPPORTED` for
   * weights in another form (the message says why, and what to do), `MODEL_INVALID` for a broken header or index
   */
  static async open(folder: string): Promise<Checkpoint> {
    const index = await ConfigFile.readIfPresent(folder, INDEX)
    const single = await isThere(join(folder, WEIGHTS))
    if (!single && index === null) throw await noWeights(folder)
    const names = single || index === null ? [WEIGHTS] : shardsOf(index)
    const readers: SafetensorsReader[] = []
    try {
      for (const name of names) readers.push(await SafetensorsReader.open(join(folder, name)))
      return new Checkpoint(join(folder, names.length === 1 ? (names[0] as string) : INDEX), readers)
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

  /** The size of all files, in bytes. */
  async size(): Promise<number> {
    const sizes = await Promise.all(this.files.map(async (file) => (await stat(file)).size))
    return sizes.reduce((sum, size) => sum + size, 0)
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()))
  }
}

/** The files that an index names, each once, sorted. They lie beside the index and nowhere else. */
function shardsOf(index: ConfigFile): string[] {
  const map = index.object('weight_map')
  const names = new Set<string>()
  for (const tensor of Object.keys(map.fields)) {
    const name = map.string(tensor)
    if (name !== basename(name) || !name.endsWith('.safetensors'))
      throw map.wrong(tensor, 'the name of a safetensors file beside the index')
    names.add(name)
  }
  if (names.size === 0) throw index.wrong('weight_map', 'an object that names at least one file')
  return [...names].sort()
}

function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}

async function noWeights(folder: string): Promise<GabionError> {
  for (const { file, reason } of REFUSED) {
    if (await isThere(join(folder, file))) {
      return new GabionError('MODEL_UNSUPPORTED', `the model folder ${folder} has its weights only in ${file}: ${reason}`)
    }
  }
  return new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no ${WEIGHTS}`)
}
