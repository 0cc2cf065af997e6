// The manifest and the self-test at the top of a folder that gabion ships: who made the model, its files, one known vector.

import { join } from 'node:path'
import { readConfigIfPresent } from './config-file.js'
import { GRAPH_FOLDER, readFileRecord, type FileRecord } from './graph-manifest.js'

/** Name of the manifest inside a model folder. */
export const MODEL_MANIFEST = 'manifest.json'
/** Value of its `format` field. */
export const MODEL_MANIFEST_FORMAT = 'gabion-model-1'
/** Name of the self-test inside a model folder. */
export const SELF_TEST = 'selftest.json'

/** The cosines that a vector of converted graphs must reach to the checkpoint's: below them lies no rounding, but a fault. */
export const SELF_TEST_MINIMUM = { fp32: 0.99999, bf16: 0.999, fp16: 0.9995, int8: 0.95 } as const

/** Where a model came from and what belongs to it. */
export interface ModelManifest {
  name: string
  /** The maker's version of the weights, where known. */
  revision: string | null
  /** SPDX identifier. */
  license: string
  /** Every other file of the folder. */
  files: FileRecord[]
}

/** A text and the vector that the reference makes of it. */
export interface SelfTest {
  text: string
  /** Of unit length. */
  vector: Float32Array
  /** The cosine to `vector` that each precision must reach; a lower one means that something computes wrong. */
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
    // Earlier folders spell the field in the British way.
    license: manifest.string('license' in manifest.fields ? 'license' : 'licence'),
    files: manifest.objects('files').map(readFileRecord),
  }
}

/**
 * Reads a folder's self-test: the one that its maker put there, else the one that the converter left beside its graphs.
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
