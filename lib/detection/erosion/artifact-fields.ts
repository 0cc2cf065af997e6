// Reads the JSON of a detector artifact field by field; every error names the source, the field's path and what was expected.

import { GabionError } from '../../errors.js'

type Fields = Readonly<Record<string, unknown>>

/** One JSON object of an artifact. */
export class ArtifactReader {
  readonly #source: string
  readonly #path: string
  readonly #fields: Fields

  private constructor(source: string, path: string, fields: Fields) {
    this.#source = source
    this.#path = path
    this.#fields = fields
  }

  /** @throws GabionError `ARTIFACT_INVALID` when the text is no JSON object */
  static parse(text: string, source: string): ArtifactReader {
    let root: unknown
    try {
      root = JSON.parse(text)
    } catch (cause) {
      throw new GabionError('ARTIFACT_INVALID', `${source} is not a detector artifact: ${(cause as Error).message}`, { cause })
    }
    if (!isFields(root)) throw new GabionError('ARTIFACT_INVALID', `${source} is not a detector artifact: expected a JSON object`)
    return new ArtifactReader(source, '', root)
  }

  /** The error for a field that is not what it must be. */
  wrong(key: string, expected: string): GabionError {
    return new GabionError('ARTIFACT_INVALID', `${this.#source}: field '${this.#path}${key}' of the detector must be ${expected}`)
  }

  /** Whether there is such a field, other than null. */
  has(key: string): boolean {
    const { [key]: value } = this.#fields
    return value !== undefined && value !== null
  }

  boolean(key: string): boolean {
    const { [key]: value } = this.#fields
    if (typeof value !== 'boolean') throw this.wrong(key, 'true or false')
    return value
  }

  string(key: string): string {
    const value = this.#fields[key]
    if (typeof value !== 'string') throw this.wrong(key, 'a string')
    return value
  }

  oneOf<const T extends string>(key: string, allowed: readonly T[]): T {
    const value = this.string(key)
    if (!(allowed as readonly string[]).includes(value)) throw this.wrong(key, `one of ${allowed.join(', ')}`)
    return value as T
  }

  number(key: string): number {
    const value = this.#fields[key]
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.wrong(key, 'a finite number')
    return value
  }

  integer(key: string, minimum: number): number {
    const value = this.number(key)
    if (!Number.isSafeInteger(value) || value < minimum) throw this.wrong(key, `an integer of ${String(minimum)} or more`)
    return value
  }

  numbers(key: string, length: number): number[] {
    const value = this.#array(key)
    if (value.length !== length || !value.every(Number.isFinite)) throw this.wrong(key, `an array of ${String(length)} finite numbers`)
    return value as number[]
  }

  /** An array of finite numbers of any length. */
  list(key: string): number[] {
    return this.numbers(key, this.#array(key).length)
  }

  strings(key: string): string[] {
    const value = this.#array(key)
    if (!value.every((item) => typeof item === 'string')) throw this.wrong(key, 'an array of strings')
    return value
  }

  object(key: string): ArtifactReader {
    const value = this.#fields[key]
    if (!isFields(value)) throw this.wrong(key, 'an object')
    return new ArtifactReader(this.#source, `${this.#path}${key}.`, value)
  }

  objects(key: string): ArtifactReader[] {
    return this.#array(key).map((value, index) => {
      if (!isFields(value)) throw this.wrong(key, 'an array of objects')
      return new ArtifactReader(this.#source, `${this.#path}${key}[${String(index)}].`, value)
    })
  }

  /** An object of numbers, strings and booleans. */
  scalars(key: string): Record<string, number | string | boolean> {
    const { [key]: value } = this.#fields
    const fits = isFields(value) && Object.values(value).every((item) => ['number', 'string', 'boolean'].includes(typeof item))
    if (!fits) throw this.wrong(key, 'an object of numbers, strings and booleans')
    return value as Record<string, number | string | boolean>
  }

  #array(key: string): unknown[] {
    const value = this.#fields[key]
    if (!Array.isArray(value)) throw this.wrong(key, 'an array')
    return value
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Base64 of the values as little-endian 32-bit floats. */
export function encodeFloats(values: ArrayLike<number>): string {
  const bytes = Buffer.alloc(values.length * 4)
  for (let i = 0; i < values.length; i++) bytes.writeFloatLE(values[i] as number, i * 4)
  return bytes.toString('base64')
}

/** The other way round; `length` values that must be finite. */
export function decodeFloats(reader: ArtifactReader, key: string, length: number): Float32Array {
  const bytes = Buffer.from(reader.string(key), 'base64')
  if (bytes.length !== length * 4) throw reader.wrong(key, `${String(length)} floats in base64`)
  const values = Float32Array.from({ length }, (_, index) => bytes.readFloatLE(index * 4))
  if (!values.every(Number.isFinite)) throw reader.wrong(key, 'finite numbers')
  return values
}
