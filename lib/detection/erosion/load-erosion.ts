// Owns loading of an erosion detector: the bundled artifact or the caller's own file, checked against the embedder.

import { join } from 'node:path'
import { checkOptions, checkString } from '../../options.js'
import { readArtifact } from './artifact-file.js'
import { ErosionDetector, type ErosionDetectorOptions } from './erosion.js'
import { packagePath } from '../../package-folder.js'

/** Folder of the bundled heads. */
export const EROSION_FOLDER = packagePath('models', 'detectors', 'erosion')

/** The bundled heads: with and without a block for the user's text, and both by the reference recipe. */
export const EROSION_ARTIFACTS = {
  default: join(EROSION_FOLDER, 'default.json'),
  noUser: join(EROSION_FOLDER, 'no-user.json'),
  reference: join(EROSION_FOLDER, 'reference.json'),
  referenceNoUser: join(EROSION_FOLDER, 'reference-no-user.json'),
} as const

/** Options of {@link loadErosionDetector}. */
export interface ErosionOptions extends Omit<ErosionDetectorOptions, 'artifact'> {
  /** File of the artifact; default: the bundled one. */
  artifact?: string
}

/**
 * Creates an erosion detector for the vectors of an embedder.
 *
 * @throws GabionError `INVALID_ARGUMENT`, `ARTIFACT_INVALID`, also when the artifact belongs to another embedder
 */
export async function loadErosionDetector(
  embedder: { readonly info: Parameters<ErosionDetector['checkEmbedder']>[0] },
  options?: ErosionOptions,
): Promise<ErosionDetector> {
  const { artifact = EROSION_ARTIFACTS.default, ...rest } = checkOptions('erosion', options, [
    'artifact',
    'aggregate',
    'thresholds',
    'lexicon',
  ])
  const detector = new ErosionDetector({ artifact: await readArtifact(checkString('erosion.artifact', artifact)), ...rest })
  detector.checkEmbedder(embedder.info)
  return detector
}
