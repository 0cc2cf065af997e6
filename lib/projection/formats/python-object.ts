// Owns the representation of Python values: plain data that executes nothing.

import type { NumpyArray } from '../../files/numpy-array.js'

/** An instance of an allowed class: its full name and the instance's attributes. */
export class PythonObject {
  readonly className: string
  attributes = new Map<PythonKey, PythonValue>()

  /** @param className module and name, such as `sklearn.pipeline.Pipeline` */
  constructor(className: string) {
    this.className = className
  }
}

/** Allowed keys of dictionaries. */
export type PythonKey = string | number | boolean | null

/** Values that files may hold: tuples are arrays. */
export type PythonValue =
  PythonKey | Uint8Array | NumpyArray | PythonObject | readonly PythonValue[] | ReadonlyMap<PythonKey, PythonValue> | PickleInternal

/** Values internal to the pickle reader, such as a named function. */
export abstract class PickleInternal {
  /** Makes the class nominal. */
  readonly internal = true
}
