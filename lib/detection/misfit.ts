// Owns the failure of a detector that is made for the vectors of another embedder, apart from failures of its files.

import { GabionError } from '../errors.js'

/** The detector is whole, and not one for this embedder. */
export class DetectorMisfit extends GabionError {
  constructor(message: string) {
    super('ARTIFACT_INVALID', message)
  }
}
