// Owns the safetensors header: eight bytes of length, JSON of names, types, shapes and offsets. Parses and validates; reads no tensor.
// The header is untrusted, so everything in it is checked before use.

import { GabionError } from '../errors.js'

/** Bytes per element of every type of the format. */
export const ELEMENT_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const

/** Element type as written in a safetensors header. */
export type ElementType = keyof typeof ELEMENT_BYTES

/** A tensor's location, type and shape. */
export interface StoredTensor {
  name: string
  type: ElementType
  shape: readonly number[]
  /** First byte, counted from the beginning of the file. */
  offset: number
  byteLength: number
}

/** Limit of the header's size, as in the format's reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000

function invalid(file: string, reason: string): GabionError {
  return new GabionError('MODEL_INVALID', `${file} is not a readable safetensors file: ${reason}`)
}

/**
 * Checks the length field of a file.
 *
 * @returns the bytes of JSON that follow the eight bytes of length
 * @throws GabionError `MODEL_INVALID` if the file is too short or the length does not fit into it
 */
export function checkHeaderLength(file: string, length: bigint, fileBytes: number): number {
  if (length > BigInt(MAX_HEADER_BYTES))
    throw invalid(file, `its header claims ${String(length)} bytes, more than ${String(MAX_HEADER_BYTES)}`)
  if (length > BigInt(fileBytes - 8)) {
    throw invalid(file, `its header claims ${String(length)} bytes, the file has ${String(fileBytes)}`)
  }
  return Number(length)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function parseTensor(file: string, name: string, entry: unknown, dataStart: number, dataBytes: number): StoredTensor {
  const where = `tensor '${name}'`
  if (typeof entry !== 'object' || entry === null) throw invalid(file, `${where} is not described by an object`)
  const { dtype, shape, data_offsets: offsets } = entry as Record<string, unknown>
  if (typeof dtype !== 'string') throw invalid(file, `${where} has no dtype`)
  if (!Object.hasOwn(ELEMENT_BYTES, dtype)) throw new GabionError('MODEL_UNSUPPORTED', `${file}: ${where} has the unknown dtype '${dtype}'`)
  if (!Array.isArray(shape) || !shape.every(isCount)) throw invalid(file, `${where} has a shape that is not a list of sizes`)
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw invalid(file, `${where} has no pair of data_offsets`)
  const [begin, end] = offsets as [number, number]
  if (begin > end || end > dataBytes) {
    throw invalid(file, `${where} is at ${String(begin)}…${String(end)} of ${String(dataBytes)} bytes of weights`)
  }
  const byteLength = shape.reduce((product: number, size: number) => product * size, ELEMENT_BYTES[dtype as ElementType])
  if (byteLength !== end - begin) {
    throw invalid(
      file,
      `${where} of shape [${shape.join(', ')}] and type ${dtype} needs ${String(byteLength)} bytes, has ${String(end - begin)}`,
    )
  }
  return { name, type: dtype as ElementType, shape, offset: dataStart + begin, byteLength }
}

/**
 * Parses the JSON part of a header and checks it against the file: types, shapes, sizes, and that the tensors cover the
 * rest of the file without overlap or hole (the format's own rule; a file cut short breaks it too).
 *
 * @param file      name for error messages
 * @param json      the header's bytes
 * @param fileBytes size of the whole file
 * @throws GabionError `MODEL_INVALID`, or `MODEL_UNSUPPORTED` for an unknown element type
 */
export function parseHeader(
  file: string,
  json: Uint8Array,
  fileBytes: number,
): { tensors: Map<string, StoredTensor>; metadata: Record<string, string> } {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json))
  } catch (cause) {
    throw new GabionError('MODEL_INVALID', `${file} is not a readable safetensors file: its header is not JSON`, { cause })
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw invalid(file, 'its header is not a JSON object')

  const dataStart = 8 + json.byteLength
  const dataBytes = fileBytes - dataStart
  const tensors = new Map<string, StoredTensor>()
  const metadata: Record<string, string> = {}
  for (const [name, entry] of Object.entries(header)) {
    if (name !== '__metadata__') {
      tensors.set(name, parseTensor(file, name, entry, dataStart, dataBytes))
      continue
    }
    if (typeof entry !== 'object' || entry === null) throw invalid(file, '__metadata__ is not an object')
    for (const [key, value] of Object.entries(entry as Record<string, unknown>)) {
      if (typeof value !== 'string') throw invalid(file, `__metadata__ field '${key}' is not a string`)
      metadata[key] = value
    }
  }

  let covered = dataStart
  for (const tensor of [...tensors.values()].sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)) {
    if (tensor.offset < covered) throw invalid(file, `tensor '${tensor.name}' overlaps the previous one`)
    if (tensor.offset > covered)
      throw invalid(file, `${String(tensor.offset - covered)} bytes before tensor '${tensor.name}' belong to no tensor`)
    covered += tensor.byteLength
  }
  if (covered !== fileBytes) throw invalid(file, `${String(fileBytes - covered)} bytes at its end belong to no tensor`)
  return { tensors, metadata }
}
