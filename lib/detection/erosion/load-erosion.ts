// Owns the way to a ready erosion detector: the bundled artefact or a file of the caller's own, checked against the embedder.

import { join } from 'node:path'
import { checkOptions, checkString } from '../../options.js'
import { readArtefact } from './artefact.js'
import { ErosionDetector, type ErosionDetectorOptions } from './erosion.js'
import { packagePath } from '../../package-folder.js'

/** The folder with the heads that come with the package. */
export const EROSION_FOLDER = packagePath('models', 'detectors', 'erosion')

/** The bundled heads: with a block for the user's text and without one, and the same two by the recipe that they are measured against. */
export const EROSION_ARTEFACTS = {
  default: join(EROSION_FOLDER, 'default.json'),
  noUser: join(EROSION_FOLDER, 'no-user.json'),
  reference: join(EROSION_FOLDER, 'reference.json'),
  referenceNoUser: join(EROSION_FOLDER, 'reference-no-user.json'),
} as const

/** Options of {@link loadErosionDetector}. */
export interface ErosionOptions extends Omit<ErosionDetectorOptions, 'artefact'> {
  /** File of the artefact; default: the bundled one. */
  artefact?: string
}

/**
 * Makes an erosion detector for the vectors of an embedder.
 *
 * @throws GabionError `INVALID_ARGUMENT`, `ARTEFACT_INVALID`, also when the artefact belongs to another embedder
 */
export async function loadErosionDetector(
  embedder: { readonly info: Parameters<ErosionDetector['checkEmbedder']>[0] },
  options?: ErosionOptions,
): Promise<ErosionDetector> {
  const { artefact = EROSION_ARTEFACTS.default, ...rest } = checkOptions('erosion', options, [
    'artefact',
    'aggregate',
    'thresholds',
    'lexicon',
  ])
  const detector = new ErosionDetector({ artefact: await readArtefact(checkString('erosion.artefact', artefact)), ...rest })
  detector.checkEmbedder(embedder.info)
  return detector
}
