// Owns reading of untrusted JSON field by field. Every error names the source, the field's path, and the expected and the actual value.
// Knows no file and no format.

import { GabionError, type GabionErrorCode } from '../errors.js'
import { invalidArgument } from '../options.js'

type Fields = Readonly<Record<string, unknown>>

/** The source of an object, for errors. */
export interface JsonOrigin {
  /** A file or the like; empty where the caller names it. */
  readonly source: string
  readonly code: GabionErrorCode
  /** The expected object in messages, such as `a projection`. */
  readonly what?: string
}

/** Whether a value is an object with fields. */
export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** One JSON object. */
export class JsonObject {
  readonly fields: Fields
  readonly #origin: JsonOrigin
  readonly #path: string

  private constructor(fields: Fields, origin: JsonOrigin, path: string) {
    this.fields = fields
    this.#origin = origin
    this.#path = path
  }

  /** @throws GabionError of the origin's code for a value that is no object */
  static of(value: unknown, origin: JsonOrigin): JsonObject {
    if (isFields(value)) return new JsonObject(value, origin, '')
    const { source, code, what } = origin
    const name = source === '' ? 'the value' : source
    throw new GabionError(code, what === undefined ? `${name} must hold a JSON object` : `${name} is not ${what}: expected a JSON object`)
  }

  /** @throws GabionError of the origin's code for a text that is no JSON object */
  static parse(text: string, origin: JsonOrigin): JsonObject {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (cause) {
      throw new GabionError(origin.code, `${origin.source} is not ${origin.what ?? 'JSON'}: ${(cause as Error).message}`, { cause })
    }
    return JsonObject.of(value, origin)
  }

  /** {@link JsonOrigin.source} */
  get source(): string {
    return this.#origin.source
  }

  /** The error for an invalid field, or an invalid part of one. */
  wrong(key: string, expected: string, actual = this.fields[key]): GabionError {
    const { source, code, what } = this.#origin
    const name = `field '${this.#path}${key}'${what === undefined ? '' : ` of ${what}`}`
    return new GabionError(code, `${source === '' ? '' : `${source}: `}${invalidArgument(name, expected, actual).message}`)
  }

  /** Checks the fields `format` and `version` of a file: the current version, or an older one that is still read. */
  checkFormat(format: string, version: number, older = version): void {
    if (this.fields.format !== format) throw this.wrong('format', `'${format}'`)
    if (this.fields.version !== version && this.fields.version !== older)
      throw this.wrong('version', `${String(version)}, the version that this release reads`)
  }

  /** Refuses unknown fields, since a misspelled one would silently have no effect. */
  only(known: readonly string[]): void {
    const foreign = Object.keys(this.fields).find((key) => !known.includes(key))
    const { source, code } = this.#origin
    if (foreign !== undefined) throw new GabionError(code, `${source}: field '${this.#path}${foreign}' must be one of ${known.join(', ')}`)
  }

  /** Whether the field exists and is not null. */
  has(key: string): boolean {
    return this.fields[key] !== undefined && this.fields[key] !== null
  }

  boolean(key: string): boolean {
    const value = this.fields[key]
    if (typeof value !== 'boolean') throw this.wrong(key, 'true or false')
    return value
  }

  /** An optional field. */
  booleanOr(key: string, fallback: boolean): boolean {
    return this.has(key) ? this.boolean(key) : fallback
  }

  string(key: string): string {
    const value = this.fields[key]
    if (typeof value !== 'string') throw this.wrong(key, 'a string')
    return value
  }

  /** A non-blank string, trimmed. */
  text(key: string): string {
    const text = this.string(key).trim()
    if (text === '') throw this.wrong(key, 'a string that is not blank')
    return text
  }

  /** A field that the format lets be left out. */
  stringOr<T>(key: string, fallback: T): string | T {
    return this.has(key) ? this.string(key) : fallback
  }

  oneOf<const T extends string>(key: string, allowed: readonly T[]): T {
    const found = allowed.find((name) => name === this.fields[key])
    if (found === undefined) throw this.wrong(key, `one of ${allowed.join(', ')}`)
    return found
  }

  number(key: string): number {
    const value = this.fields[key]
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.wrong(key, 'a finite number')
    return value
  }

  positiveNumber(key: string): number {
    const value = this.fields[key]
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) throw this.wrong(key, 'a number above 0')
    return value
  }

  integer(key: string, minimum: number): number {
    const value = this.fields[key]
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < minimum)
      throw this.wrong(key, `an integer of ${String(minimum)} or more`)
    return value
  }

  /** A list of finite numbers, of the given length or any. */
  numbers(key: string, length?: number): number[] {
    const value = this.fields[key]
    const fits = Array.isArray(value) && (length === undefined || value.length === length) && value.every(Number.isFinite)
    if (!fits) throw this.wrong(key, `a list of ${length === undefined ? '' : `${String(length)} `}finite numbers`)
    return value as number[]
  }

  strings(key: string): string[] {
    const value = this.list(key)
    if (!value.every((item) => typeof item === 'string')) throw this.wrong(key, 'a list of strings')
    return value
  }

  list(key: string): unknown[] {
    const value = this.fields[key]
    if (!Array.isArray(value)) throw this.wrong(key, 'a list')
    return value as unknown[]
  }

  object(key: string): JsonObject {
    const value = this.fields[key]
    if (!isFields(value)) throw this.wrong(key, 'an object')
    return new JsonObject(value, this.#origin, `${this.#path}${key}.`)
  }

  objects(key: string): JsonObject[] {
    return this.list(key).map((value, index) => {
      if (!isFields(value)) throw this.wrong(key, 'a list of objects')
      return new JsonObject(value, this.#origin, `${this.#path}${key}[${String(index)}].`)
    })
  }

  /** An object of numbers, strings and booleans. */
  scalars(key: string): Record<string, number | string | boolean> {
    const value = this.fields[key]
    const fits = isFields(value) && Object.values(value).every((item) => ['number', 'string', 'boolean'].includes(typeof item))
    if (!fits) throw this.wrong(key, 'an object of numbers, strings and booleans')
    return value as Record<string, number | string | boolean>
  }

  /** Numbers stored as base64 of little-endian 32-bit floats or doubles; see {@link encodeNumbers}. */
  encoded<Values extends Float32Array | Float64Array>(key: string, kind: NumberArray<Values>, length: number): Values {
    const bytes = decodeBase64(this.string(key))
    const width = kind.BYTES_PER_ELEMENT
    if (bytes?.byteLength !== length * width) throw this.wrong(key, `${String(length)} float${String(8 * width)} numbers in base64`)
    const view = new DataView(bytes.buffer)
    const values = kind.from({ length }, (_, at) => (width === 4 ? view.getFloat32(at * 4, true) : view.getFloat64(at * 8, true)))
    if (!values.every(Number.isFinite)) throw this.wrong(key, 'finite numbers')
    return values
  }
}

interface NumberArray<Values> {
  readonly BYTES_PER_ELEMENT: number
  from(shape: { length: number }, value: (_: unknown, at: number) => number): Values
}

/** Base64 of numbers in little-endian byte order. */
export function encodeNumbers(values: Float32Array | Float64Array): string {
  const width = values.BYTES_PER_ELEMENT
  const view = new DataView(new ArrayBuffer(values.length * width))
  for (const [at, value] of values.entries()) {
    if (width === 4) view.setFloat32(at * 4, value, true)
    else view.setFloat64(at * 8, value, true)
  }
  return encodeBase64(new Uint8Array(view.buffer))
}

/** Bytes per call of `String.fromCharCode`, within the limit on arguments; a multiple of 3, so that parts need no padding. */
const PART = 0x6000

/** Base64 of bytes, in browsers as in Node. */
export function encodeBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += PART) text += btoa(String.fromCharCode(...bytes.subarray(at, at + PART)))
  return text
}

/** The inverse; null for a text that is not base64. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return null
  }
}
