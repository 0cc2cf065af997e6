// Targets of `targets.ts` that read binary files and saved projections.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readOnnxFile } from '../../lib/convert/onnx-file.js'
import { ELEMENT_BYTES } from '../../lib/convert/safetensors-header.js'
import { SafetensorsReader } from '../../lib/convert/safetensors-reader.js'
import { importProjection } from '../../lib/projection/import.js'
import { JsonObject } from '../../lib/json/json-object.js'
import { decodeNpy } from '../../lib/files/npy.js'
import { parseProjection } from '../../lib/projection/projection-file.js'
import { Projection } from '../../lib/projection/projection.js'

function written(input: Buffer, folder: string, name: string): string {
  const file = join(folder, name)
  writeFileSync(file, input)
  return file
}

/** The header, and every tensor that is of floats: none may lie outside the file. */
export async function readSafetensors(input: Buffer, folder: string): Promise<void> {
  const reader = await SafetensorsReader.open(written(input, folder, 'model.safetensors'))
  try {
    for (const tensor of reader.tensors.values()) {
      const values = tensor.shape.reduce((product, size) => product * size, 1)
      if (values * ELEMENT_BYTES[tensor.type] !== tensor.byteLength) throw new Error(`${tensor.name} has a size that is not its shape's`)
      if (tensor.byteLength > input.length) throw new Error(`${tensor.name} is larger than its file`)
      if (tensor.type === 'F32' || tensor.type === 'BF16' || tensor.type === 'F16') await reader.read(tensor)
    }
  } finally {
    await reader.close()
  }
}

/** Nodes and constants; one in the file itself must lie in it. */
export async function readOnnx(input: Buffer, folder: string): Promise<void> {
  const model = await readOnnxFile(written(input, folder, 'model.onnx'))
  for (const { file, offset, byteLength, name } of model.tensors.values()) {
    if (!file.startsWith(folder)) throw new Error(`${name} lies outside of the folder: ${file}`)
    if (file === model.file && offset + byteLength > input.length) throw new Error(`${name} lies beyond the end of its file`)
  }
}

/** A projection that gabion saved: what loads must project. */
export function readProjection(input: Buffer): void {
  let fields: unknown
  try {
    fields = JSON.parse(input.toString('utf8'))
  } catch {
    return
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return
  const { parts } = parseProjection(JsonObject.of(fields, { source: 'fuzzed', code: 'ARTIFACT_INVALID', what: 'a projection' }))
  useProjection(Projection.fromParts(parts))
}

/** Any form of a projection: pickle, joblib, skops, NumPy archive, gabion's own. */
export async function importBytes(input: Buffer, folder: string): Promise<void> {
  useProjection(await importProjection(written(input, folder, 'projection')))
}

function useProjection(projection: Projection): void {
  const point = projection.apply(new Float64Array(projection.dimensions).fill(0.5))
  if (point.length !== projection.components) throw new Error(`${point.length} values of ${projection.components}`)
}

/** A NumPy array; its values must be as many as its shape says. */
export function readNumpy(input: Buffer): void {
  const { shape, values } = decodeNpy(input)
  const expected = shape.reduce((product, size) => product * size, 1)
  if (values.length !== expected) throw new Error(`${values.length} values of ${expected}`)
}
