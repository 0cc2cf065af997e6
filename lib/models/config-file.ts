// Reads one JSON file of a model folder field by field; every error names the file, the field, what was expected and what came.

import { join } from 'node:path'
import { GabionError } from '../errors.js'
import { invalidArgument } from '../options.js'
import { readSmallFile } from './folder-entries.js'

/** A JSON object of a model folder. */
export class ConfigFile {
  /** The file's path, for messages. */
  readonly file: string
  readonly fields: Readonly<Record<string, unknown>>

  private constructor(file: string, fields: Record<string, unknown>) {
    this.file = file
    this.fields = fields
  }

  /**
   * Reads a file that may be missing.
   *
   * @returns null if there is no such file
   * @throws GabionError `MODEL_INVALID` if it is there but cannot be read or is not a JSON object
   */
  static async readIfPresent(folder: string, name: string): Promise<ConfigFile | null> {
    const value = await readJsonIfPresent(join(folder, name))
    return value === undefined ? null : ConfigFile.of(join(folder, name), value)
  }

  /**
   * Reads a file that must be there.
   *
   * @throws GabionError `MODEL_NOT_FOUND` if it is missing, `MODEL_INVALID` as above
   */
  static async read(folder: string, name: string): Promise<ConfigFile> {
    const found = await ConfigFile.readIfPresent(folder, name)
    if (found === null) throw new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no ${name}`)
    return found
  }

  /** Wraps a value that was already parsed, such as an element of a list in `file`. */
  static of(file: string, value: unknown): ConfigFile {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new GabionError('MODEL_INVALID', `${file} must hold a JSON object`)
    }
    return new ConfigFile(file, value as Record<string, unknown>)
  }

  /** True if the field is there and not null. */
  has(key: string): boolean {
    return this.fields[key] !== undefined && this.fields[key] !== null
  }

  integer(key: string, minimum: number): number {
    const value = this.fields[key]
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < minimum) {
      throw this.wrong(key, `an integer of ${String(minimum)} or more`)
    }
    return value
  }

  positiveNumber(key: string): number {
    const value = this.fields[key]
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) throw this.wrong(key, 'a number above 0')
    return value
  }

  string(key: string): string {
    const value = this.fields[key]
    if (typeof value !== 'string') throw this.wrong(key, 'a string')
    return value
  }

  /** A field that the format lets be left out. */
  stringOr<T>(key: string, fallback: T): string | T {
    return this.has(key) ? this.string(key) : fallback
  }

  booleanOr(key: string, fallback: boolean): boolean {
    if (!this.has(key)) return fallback
    const value = this.fields[key]
    if (typeof value !== 'boolean') throw this.wrong(key, 'true or false')
    return value
  }

  object(key: string): ConfigFile {
    const value = this.fields[key]
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.wrong(key, 'an object')
    return new ConfigFile(`${this.file} › ${key}`, value as Record<string, unknown>)
  }

  list(key: string): unknown[] {
    const value = this.fields[key]
    if (!Array.isArray(value)) throw this.wrong(key, 'a list')
    return value
  }

  /** The error for a field that is not what it should be. */
  wrong(key: string, expected: string): GabionError {
    return new GabionError('MODEL_INVALID', `${this.file}: ${invalidArgument(`field '${key}'`, expected, this.fields[key]).message}`)
  }
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
