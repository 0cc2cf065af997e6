// What counts as a proper answer to bad input.

import { isGabionError } from '../../lib/errors.js'

/** True for a GabionError that blames the input: `INTERNAL` is a fault of gabion itself. */
export function isRefusal(error: unknown): boolean {
  return isGabionError(error) && error.code !== 'INTERNAL'
}

/** Runs `work` and lets pass what {@link isRefusal} says is one. */
export function expectRefusal(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    if (!isRefusal(error)) throw error
  }
}
