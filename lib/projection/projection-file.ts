// Owns the file format of a saved projection: one JSON file, its big arrays as base64 of little-endian doubles.
// Knows the parts of a projection, not what is done with them.

import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { nodeCrypto } from '../lazy.js'
import { GabionError } from '../errors.js'
import { writeFailure } from '../models/storage.js'
import type { ProjectionParts } from './projection.js'

const FORMAT = 'gabion-projection'
const VERSION = 1

/** A projection as an object for JSON. */
export function projectionFields(parts: ProjectionParts, id: string): object {
  return {
    format: FORMAT,
    version: VERSION,
    id,
    model: parts.model,
    fit: parts.fit,
    dimensions: parts.dimensions,
    components: parts.components,
    explainedVariance: Array.from(parts.explainedVariance),
    explainedVarianceRatio: Array.from(parts.explainedVarianceRatio),
    mean: toBase64(parts.mean),
    axes: toBase64(parts.axes),
    ...(parts.offset?.some((value) => value !== 0) === true && { offset: toBase64(parts.offset) }),
  }
}

/** Writes beside and renames, so that a reader never sees half a file. */
export async function writeArtifact(file: string, content: object, what: string): Promise<void> {
  const beside = `${file}.${nodeCrypto().randomUUID()}.part`
  try {
    await writeFile(beside, `${JSON.stringify(content, null, 2)}\n`)
    await rename(beside, file)
  } catch (cause) {
    await rm(beside, { force: true })
    throw writeFailure(cause, file, `the ${what}`)
  }
}

/**
 * Reads a file of JSON that holds an object.
 *
 * @throws GabionError `ARTIFACT_INVALID`
 */
export async function readArtifact(file: string, what: string): Promise<Record<string, unknown>> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw new GabionError('ARTIFACT_INVALID', `cannot read the ${what} ${file}: ${(cause as Error).message}`, { cause })
  }
  let root: unknown
  try {
    root = JSON.parse(text)
  } catch (cause) {
    throw new GabionError('ARTIFACT_INVALID', `${file} is not a ${what}: ${(cause as Error).message}`, { cause })
  }
  if (!isRecord(root)) throw new GabionError('ARTIFACT_INVALID', `${file} is not a ${what}: expected a JSON object`)
  return root
}

/** Reads and checks a file; the identifier in it is compared by the caller, who can compute it. */
export async function readProjectionFile(file: string): Promise<{ parts: ProjectionParts; id: string }> {
  return parseProjection(await readArtifact(file, 'projection'), file)
}

/**
 * Checks what {@link projectionFields} made.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming file and field
 */
export function parseProjection(fields: Record<string, unknown>, file: string): { parts: ProjectionParts; id: string } {
  const wrong = (field: string, expected: string): GabionError =>
    new GabionError('ARTIFACT_INVALID', `${file}: field '${field}' of the projection must be ${expected}`)

  const count = (field: string, from: Record<string, unknown> = fields): number => {
    const value = from[field]
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) throw wrong(field, 'an integer of 1 or more')
    return value
  }
  const string = (field: string, from: Record<string, unknown> = fields): string => {
    const value = from[field]
    if (typeof value !== 'string') throw wrong(field, 'a string')
    return value
  }
  const numbers = (field: string, length: number): Float64Array => {
    const value = fields[field]
    const expected = `an array of ${String(length)} finite numbers`
    if (Array.isArray(value) && value.length === 0) return new Float64Array(0)
    if (!Array.isArray(value) || value.length !== length) throw wrong(field, expected)
    if (!value.every((item) => typeof item === 'number' && Number.isFinite(item))) throw wrong(field, expected)
    return Float64Array.from(value as number[])
  }
  const doubles = (field: string, length: number): Float64Array => {
    const bytes = Buffer.from(string(field), 'base64')
    if (bytes.length !== length * 8) throw wrong(field, `${String(length)} doubles in base64, got ${String(bytes.length)} bytes`)
    const values = fromBytes(bytes)
    if (!values.every(Number.isFinite)) throw wrong(field, 'finite numbers')
    return values
  }

  if (fields.format !== FORMAT) throw wrong('format', `'${FORMAT}'`)
  if (fields.version !== VERSION) throw wrong('version', `${String(VERSION)}, the version that this release reads`)
  const components = count('components')
  const dimensions = count('dimensions')
  let model: ProjectionParts['model'] = null
  if (fields.model !== null) {
    if (!isRecord(fields.model)) throw wrong('model', 'null or an object with name, hash and precision')
    model = { name: string('name', fields.model), hash: string('hash', fields.model), precision: string('precision', fields.model) }
  }
  let fit: ProjectionParts['fit'] = null
  if (fields.fit !== null) {
    if (!isRecord(fields.fit) || typeof fields.fit.standardized !== 'boolean') {
      throw wrong('fit', 'null or an object with rows and standardized')
    }
    const { standardized, whitened } = fields.fit
    if (whitened !== undefined && typeof whitened !== 'boolean') throw wrong('whitened', 'true or false')
    fit = { rows: count('rows', fields.fit), standardized, ...(whitened !== undefined && { whitened }) }
  }
  const parts: ProjectionParts = {
    components,
    dimensions,
    model,
    fit,
    mean: doubles('mean', dimensions),
    axes: doubles('axes', components * dimensions),
    ...(fields.offset !== undefined && { offset: doubles('offset', components) }),
    explainedVariance: numbers('explainedVariance', components),
    explainedVarianceRatio: numbers('explainedVarianceRatio', components),
  }
  return { parts, id: string('id') }
}

/** Whether a value is an object with fields. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function toBase64(values: Float64Array): string {
  const bytes = Buffer.alloc(values.length * 8)
  values.forEach((value, index) => bytes.writeDoubleLE(value, index * 8))
  return bytes.toString('base64')
}

function fromBytes(bytes: Buffer): Float64Array {
  return Float64Array.from({ length: bytes.length / 8 }, (_, index) => bytes.readDoubleLE(index * 8))
}
