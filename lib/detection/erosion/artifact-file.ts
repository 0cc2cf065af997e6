// Owns reading and writing of an erosion detector's file; artifact.ts owns the format.

import { writeWhole } from '../../files/pending-file.js'
import { readJson } from '../../json/json-file.js'
import { artifactOf, formatArtifact, type ErosionArtifact } from './artifact.js'

/** @throws GabionError `ARTIFACT_INVALID` naming the file and the field */
export async function readArtifact(file: string): Promise<ErosionArtifact> {
  return artifactOf(await readJson(file, 'detector'))
}

/** @throws GabionError `INVALID_ARGUMENT` when the file cannot be written, `STORAGE_FAILED` when the disk is full */
export async function writeArtifact(file: string, artifact: ErosionArtifact): Promise<void> {
  await writeWhole(file, formatArtifact(artifact))
}
