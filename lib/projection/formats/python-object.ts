// Owns what Python values become here: plain data, with no way to run anything.

import type { NumpyArray } from '../../files/numpy-array.js'

/** An instance of a class that is read: the class by its full name and the instance's attributes. */
export class PythonObject {
  readonly className: string
  attributes = new Map<PythonKey, PythonValue>()

  /** @param className module and name, such as `sklearn.pipeline.Pipeline` */
  constructor(className: string) {
    this.className = className
  }
}

/** Keys that dictionaries may have here. */
export type PythonKey = string | number | boolean | null

/** Values that files may hold: tuples are arrays. */
export type PythonValue =
  PythonKey | Uint8Array | NumpyArray | PythonObject | readonly PythonValue[] | ReadonlyMap<PythonKey, PythonValue> | PickleInternal

/** Things that only the reading of pickles knows, such as a named function; they never mean anything to anybody else. */
export abstract class PickleInternal {
  /** Only to tell this class from others. */
  readonly internal = true
}
