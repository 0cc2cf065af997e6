// Owns the manifest and the self-test of a bundled model's folder: publisher, files, one reference vector.

import { join } from 'node:path'
import { readConfigIfPresent } from './config-file.js'
import { GRAPH_FOLDER, readFileRecord, type FileRecord } from './graph-manifest.js'

/** Name of the manifest inside a model folder. */
export const MODEL_MANIFEST = 'manifest.json'
/** Value of its `format` field. */
export const MODEL_MANIFEST_FORMAT = 'gabion-model-1'
/** Name of the self-test inside a model folder. */
export const SELF_TEST = 'selftest.json'

/** Minimum cosines of converted graphs' vectors with the checkpoint's; rounding alone does not go below them. */
export const SELF_TEST_MINIMUM = { fp32: 0.99999, bf16: 0.999, fp16: 0.9995, int8: 0.95 } as const

/** A model's source and files. */
export interface ModelManifest {
  name: string
  /** The publisher's version of the weights, if known. */
  revision: string | null
  /** SPDX identifier. */
  license: string
  /** Every other file of the folder. */
  files: FileRecord[]
}

/** A text with its reference vector. */
export interface SelfTest {
  text: string
  /** Of unit length. */
  vector: Float32Array
  /** Minimum cosine with `vector` per precision; a lower one indicates wrong results. */
  minimumCosine: Readonly<Record<string, number>>
}

/**
 * Reads a folder's manifest.
 *
 * @returns null if it has none
 * @throws GabionError `MODEL_INVALID`
 */
export async function readModelManifest(folder: string): Promise<ModelManifest | null> {
  const manifest = await readConfigIfPresent(folder, MODEL_MANIFEST)
  if (manifest === null) return null
  if (manifest.fields.format !== MODEL_MANIFEST_FORMAT) throw manifest.wrong('format', `'${MODEL_MANIFEST_FORMAT}'`)
  return {
    name: manifest.string('name'),
    revision: manifest.stringOr('revision', null),
    // Earlier folders have the British spelling.
    license: manifest.string('license' in manifest.fields ? 'license' : 'licence'),
    files: manifest.objects('files').map(readFileRecord),
  }
}

/**
 * Reads a folder's self-test: the publisher's, else the converter's in the folder of graphs.
 *
 * @param dimensions length that its vector must have
 * @returns null if it has none
 * @throws GabionError `MODEL_INVALID`
 */
export async function readSelfTest(folder: string, dimensions: number): Promise<SelfTest | null> {
  const file = (await readConfigIfPresent(folder, SELF_TEST)) ?? (await readConfigIfPresent(folder, join(GRAPH_FOLDER, SELF_TEST)))
  if (file === null) return null
  const vector = file.encoded('vector', Float32Array, dimensions)
  const bounds = file.object('minimumCosine')
  const minimumCosine: Record<string, number> = {}
  for (const precision of Object.keys(bounds.fields)) minimumCosine[precision] = bounds.positiveNumber(precision)
  return { text: file.string('text'), vector, minimumCosine }
}
