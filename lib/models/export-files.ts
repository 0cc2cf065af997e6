// Owns which ONNX file of a folder is run: the names that exporters give to them, in the order in which they are tried.

import { readdirSync } from 'node:fs'
import { isAbsolute, join, normalize } from 'node:path'
import { GabionError, wrongRange } from '../errors.js'
import { sizeOfFile } from './folder-entries.js'
import { GRAPH_FOLDER } from './graph-manifest.js'

/** What the name of a file promises; its content decides. */
export type ExportClass = 'fp32' | 'int8' | 'fp16' | 'q4'

/** By class; the first that is there is taken. What stands for `*` is an instruction set. */
const NAMES: Readonly<Record<ExportClass, readonly string[]>> = {
  fp32: ['model', 'model_O3', 'model_O2', 'model_O1'],
  int8: ['model_quantized', 'model_int8', 'model_qint8_*', 'model_uint8', 'model_quint8_*'],
  fp16: ['model_fp16', 'model_O4'],
  q4: ['model_q4', 'model_q4f16', 'model_bnb4'],
}

/** Exact weights first, then what processors are fast at. */
export const EXPORT_ORDER: readonly ExportClass[] = ['fp32', 'int8', 'fp16', 'q4']

/** Instruction sets in names, the fastest first. */
const SETS = ['avx512_vnni', 'avx512', 'avx2', 'arm64']
/** Those that a processor has, by the widest. */
const SETS_OF: Readonly<Record<string, readonly string[]>> = {
  'avx512-vnni': ['avx512_vnni', 'avx512', 'avx2'],
  avx512: ['avx512', 'avx2'],
  avx2: ['avx2'],
  neon: ['arm64'],
}

/** Choice of an export. */
export interface ExportChoice {
  /** Relative to the model's folder; decides alone. */
  onnxFile?: string | undefined
  /** Classes in the order of preference. */
  order?: readonly ExportClass[]
  /** Of this processor, as `machine()` names it. */
  instructionSet?: string
}

/**
 * Finds the export to run.
 *
 * @returns a path relative to the folder; null if there is none
 * @throws GabionError `MODEL_NOT_FOUND` for an `onnxFile` that is not there, `INVALID_ARGUMENT` for one outside the folder
 */
export function findExportFile(folder: string, { onnxFile, ...choice }: ExportChoice = {}): string | null {
  const found = listExports(folder)
  if (onnxFile !== undefined) {
    const inside = normalize(onnxFile)
    if (isAbsolute(inside) || inside.startsWith('..') || !inside.endsWith('.onnx'))
      throw wrongRange(`onnxFile must name a .onnx file inside the model folder, got ${JSON.stringify(onnxFile)}`)
    if (sizeOfFile(join(folder, inside)) === null) {
      const others = found.length === 0 ? 'it has no ONNX file' : `it has ${found.join(', ')}`
      throw new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no ${inside}; ${others}`)
    }
    return inside
  }
  return chooseExport(found, choice)
}

/** The best of a folder's ONNX files by their names; null if none has a usual name. */
export function chooseExport(found: readonly string[], { order = EXPORT_ORDER, instructionSet = '' }: ExportChoice = {}): string | null {
  for (const kind of order) {
    for (const name of NAMES[kind]) {
      const candidates = name.endsWith('*') ? ofInstructionSet(found, name.slice(0, -1), instructionSet) : [`${name}.onnx`]
      for (const place of [GRAPH_FOLDER, '']) {
        const file = candidates.map((candidate) => join(place, candidate)).find((candidate) => found.includes(candidate))
        if (file !== undefined) return file
      }
    }
  }
  return null
}

/** The folder's ONNX files that may be a model's, relative to it. */
export function listExports(folder: string): string[] {
  return [GRAPH_FOLDER, ''].flatMap((place) => {
    try {
      return readdirSync(join(folder, place))
        .filter((name) => name.endsWith('.onnx'))
        .sort()
        .map((name) => join(place, name))
    } catch {
      return []
    }
  })
}

/** Files for an instruction set, this processor's first; all run everywhere, only slower. */
function ofInstructionSet(files: readonly string[], start: string, own: string): string[] {
  const names = SETS.map((set) => `${start}${set}.onnx`).filter((name) => files.some((file) => file.endsWith(name)))
  const fits = (name: string): boolean => (SETS_OF[own] ?? []).includes(name.slice(start.length, -'.onnx'.length))
  return [...names.filter(fits), ...names.filter((name) => !fits(name)).reverse()]
}
