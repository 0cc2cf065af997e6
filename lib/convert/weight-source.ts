// Owns the interface of named weights, whatever format stores them. Types only.

import type { StoredTensor } from './safetensors-header.js'

/** Named tensors that are read one at a time, as float32. */
export interface TensorSource {
  /** Its name in messages. */
  readonly file: string
  has(name: string): boolean
  /**
   * Looks a tensor up and checks its shape.
   *
   * @throws GabionError `MODEL_UNSUPPORTED` if it is missing, `MODEL_INVALID` if its shape differs
   */
  require(name: string, shape: readonly number[]): StoredTensor
  /**
   * Reads a whole tensor, or some of its rows (slices along the first axis).
   *
   * @throws GabionError `MODEL_UNSUPPORTED` for an element type that is no float, `MODEL_INVALID` for values that are not finite
   */
  read(tensor: StoredTensor, rows?: { first: number; count: number }): Promise<Float32Array>
}

/** The open files of weights; hold them with `await using`. */
export interface WeightSource extends TensorSource, AsyncDisposable {
  /** The files that hold the weights, absolute, in a fixed order. */
  readonly files: readonly string[]
}
