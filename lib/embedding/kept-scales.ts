// The scales that int8 computes from a checkpoint and a few texts, kept in gabion's own cache for later loads.

import { mkdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { conversionCache } from '../convert/prepared-model.js'
import { writeWhole } from '../files/pending-file.js'
import { nodeCrypto } from '../lazy.js'
import { nativeAddon } from '../native.js'
import type { PackedModel } from './packed-model.js'

/** Another computation of the scales has another number here. */
const VERSION = 1

/** The file of a model's scales: of its weights, its tokenizer and the processor's instruction set. */
export async function scalesFile({ encoder, identity }: PackedModel, tokenizerFile: string): Promise<string> {
  const hash = nodeCrypto()
    .createHash('sha256')
    .update(`${String(VERSION)} ${identity} ${nativeAddon().machine().encoderInstructionSet}\n`)
  // Weights that were changed in place may have the same identity.
  for (const file of [...encoder.files, tokenizerFile]) {
    const { size, mtimeMs } = await stat(file)
    hash.update(`${String(size)} ${String(mtimeMs)}\n`)
  }
  return join(conversionCache(), 'int8', `${hash.digest('hex').slice(0, 32)}.f32`)
}

/** The scales of an earlier load; undefined where there are none. */
export async function readScales(file: string, { encoder }: PackedModel): Promise<Float32Array | undefined> {
  const bytes = await readFile(file).catch(() => null)
  const expected = encoder.layers * (3 * encoder.hidden + encoder.intermediate)
  if (bytes?.length !== expected * Float32Array.BYTES_PER_ELEMENT) return undefined
  const scales = new Float32Array(Uint8Array.from(bytes).buffer)
  return scales.every((scale) => Number.isFinite(scale) && scale > 0) ? scales : undefined
}

/** Keeps scales. Without room or permission, the next load computes them again. */
export async function keepScales(file: string, scales: Float32Array): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeWhole(file, new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength))
  } catch {
    // A cache that cannot be written costs time, not a vector.
  }
}
