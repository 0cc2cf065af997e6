// Owns the choice of a folder's weights files, and the reasons for refusing others. Opens none of them.

import { existsSync, readdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { GabionError } from '../errors.js'
import type { JsonObject } from '../json/json-object.js'
import { readConfigIfPresent } from './config-file.js'
import { listExports } from './export-files.js'

/** The usual name of a model's weights. */
export const WEIGHTS = 'model.safetensors'
/** Name of the index of sharded weights. */
export const WEIGHTS_INDEX = 'model.safetensors.index.json'

const PICKLE =
  'a pickle, which can run any code while it is read. Take a revision that has model.safetensors, or, on a machine where you ' +
  'trust the file, load it in Python with SentenceTransformer and save it again, which writes safetensors'

/** Locations of ONNX exports, relative to the folder of config.json. */
export const EXPORTS = [join('onnx', 'model.onnx'), 'model.onnx']

/** Other formats of weights, with the reason why they are not read. */
export const REFUSED_WEIGHTS: readonly { file: string; reason: string }[] = [
  { file: 'pytorch_model.bin', reason: PICKLE },
  { file: 'pytorch_model.bin.index.json', reason: PICKLE },
  { file: 'tf_model.h5', reason: 'TensorFlow weights; save the model as safetensors' },
  { file: 'flax_model.msgpack', reason: 'Flax weights; save the model as safetensors' },
  { file: 'rust_model.ot', reason: 'weights for rust-bert; take the revision that has model.safetensors' },
]

/** Reason for refusing files of llama.cpp. */
export const GGUF_REASON =
  'GGUF files are for llama.cpp and are not read. Take the original model, with model.safetensors or an ONNX export (onnx/model.onnx); ' +
  'most GGUF repositories name it as their base_model'

function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  )
}

/**
 * Finds the safetensors files of a folder: a single one, or those of its index, sorted.
 *
 * @returns absolute paths of existing files
 * @throws GabionError `MODEL_NOT_FOUND` if there are no weights or a file of the index is missing, `MODEL_UNSUPPORTED` for
 * weights in another form (the message says why, and what to do), `MODEL_INVALID` for a broken index
 */
export async function findWeightFiles(folder: string): Promise<string[]> {
  if (await isFile(join(folder, WEIGHTS))) return [join(folder, WEIGHTS)]
  const index = await readConfigIfPresent(folder, WEIGHTS_INDEX)
  if (index !== null) {
    const files = shardsOf(index).map((name) => join(folder, name))
    for (const file of files)
      if (!(await isFile(file))) throw new GabionError('MODEL_NOT_FOUND', `${index.source} lists ${file}, which does not exist`)
    return files
  }
  for (const { file, reason } of REFUSED_WEIGHTS) {
    if (await isFile(join(folder, file)))
      throw new GabionError('MODEL_UNSUPPORTED', `the model folder ${folder} has its weights only in ${file}: ${reason}`)
  }
  refuseGguf(folder)
  throw new GabionError('MODEL_NOT_FOUND', `the model folder ${folder} has no ${WEIGHTS}${ofOtherNames(folder)}`)
}

/** What a message adds where a folder has ONNX files that no usual name tells from parts of a model. */
function ofOtherNames(folder: string): string {
  const found = listExports(folder)
  const names = 'and no ONNX file of a usual name (onnx/model.onnx)'
  return found.length === 0
    ? ` ${names}`
    : ` ${names}; it has ${found.join(', ')}: name the one to run with the option onnxFile (--onnx-file)`
}

/**
 * Refuses a folder whose only weights are GGUF files.
 *
 * @throws GabionError `MODEL_UNSUPPORTED`
 */
export function refuseGguf(folder: string): void {
  const names = existsSync(folder) ? readdirSync(folder) : []
  const found = names.find((name) => name.endsWith('.gguf'))
  if (found !== undefined && !names.some((name) => name.endsWith('.safetensors') || name.endsWith('.onnx') || name === 'onnx'))
    throw new GabionError('MODEL_UNSUPPORTED', `the model folder ${folder} has its weights only in ${found}: ${GGUF_REASON}`)
}

/** The ONNX export of a folder that has no safetensors; null where it has them, or has neither. */
export async function findExport(folder: string): Promise<string | null> {
  for (const name of [WEIGHTS, WEIGHTS_INDEX]) if (await isFile(join(folder, name))) return null
  for (const name of EXPORTS) if (await isFile(join(folder, name))) return join(folder, name)
  return null
}

/** The files that an index names, each once, sorted. They lie next to the index and nowhere else. */
function shardsOf(index: JsonObject): string[] {
  const map = index.object('weight_map')
  const names = new Set<string>()
  for (const tensor of Object.keys(map.fields)) {
    const name = map.string(tensor)
    if (name !== basename(name) || !name.endsWith('.safetensors'))
      throw map.wrong(tensor, 'the name of a safetensors file in the folder of the index')
    names.add(name)
  }
  if (names.size === 0) throw index.wrong('weight_map', 'an object that names at least one file')
  return [...names].sort()
}
