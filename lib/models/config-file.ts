// Owns reading of a model folder's JSON files, with an error each for missing, unreadable and invalid ones.

import { join } from 'node:path'
import { GabionError } from '../errors.js'
import { JsonObject } from '../json/json-object.js'
import { readSmallFile } from './folder-entries.js'

/**
 * Reads a file that may be missing.
 *
 * @returns null if there is no such file
 * @throws GabionError `MODEL_INVALID` if it cannot be read or is not a JSON object
 */
export async function readConfigIfPresent(folder: string, name: string): Promise<JsonObject | null> {
  const value = await readJsonIfPresent(join(folder, name))
  return value === undefined ? null : configObject(join(folder, name), value)
}

/**
 * Reads a required file.
 *
 * @throws GabionError `MODEL_NOT_FOUND` if it is missing, `MODEL_INVALID` as above
 */
export async function readConfig(folder: string, name: string): Promise<JsonObject> {
  const found = await readConfigIfPresent(folder, name)
  if (found === null) throw new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no ${name}`)
  return found
}

/** Wraps a value that was already parsed, such as an element of a list in a file. */
export function configObject(source: string, value: unknown): JsonObject {
  return JsonObject.of(value, { source, code: 'MODEL_INVALID' })
}

/**
 * Parses a JSON file of any shape.
 *
 * @returns undefined if there is no such file
 * @throws GabionError `MODEL_INVALID` if it cannot be read or is not JSON
 */
export async function readJsonIfPresent(file: string): Promise<unknown> {
  let text: string
  try {
    text = await readSmallFile(file)
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined
    throw new GabionError('MODEL_INVALID', `cannot read ${file}: ${(cause as Error).message}`, { cause })
  }
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new GabionError('MODEL_INVALID', `${file} is not JSON: ${(cause as Error).message}`, { cause })
  }
}
