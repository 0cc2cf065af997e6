// Owns JSON files: reads objects, writes atomically; and small text files with a coded error. Knows no format.

import { readFile } from 'node:fs/promises'
import { GabionError, type GabionErrorCode } from '../errors.js'
import { writeWhole } from '../files/pending-file.js'
import { JsonObject } from './json-object.js'

/**
 * Reads a text file.
 *
 * @param what what it must be, such as `the projection`
 * @throws GabionError of `code` naming the file
 */
export async function readText(file: string, what: string, code: GabionErrorCode = 'ARTIFACT_INVALID'): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new GabionError(code, `cannot read ${what} ${file}: ${(cause as Error).message}`, { cause })
  }
}

/**
 * Reads a file that holds a JSON object.
 *
 * @param what kind of file for messages, such as `projection`
 * @throws GabionError of `code` naming the file
 */
export async function readJson(file: string, what: string, code: GabionErrorCode = 'ARTIFACT_INVALID'): Promise<JsonObject> {
  return JsonObject.parse(await readText(file, `the ${what}`, code), { source: file, code, what: `a ${what}` })
}

/**
 * Writes a value as JSON; the file appears whole or not at all.
 *
 * @throws GabionError as {@link writeWhole}
 */
export async function writeJson(file: string, value: object): Promise<void> {
  await writeWhole(file, `${JSON.stringify(value, null, 2)}\n`)
}
