// Owns the resolution of a known name or a path to a model folder.

import { stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { GabionError } from '../errors.js'
import { checkString, outOfRange } from '../options.js'
import { DEFAULT_MODEL, KNOWN_MODELS, findKnownModel, type KnownModel } from './known-models.js'
import { readModelFolder, type ModelDescription } from './model-folder.js'
import { GGUF_REASON } from './weight-files.js'
import { packagePath } from '../package-folder.js'

/** The package's folder of models; sources and compiled files lie equally deep below the package. */
const MODELS_FOLDER = packagePath('models')

/** Absolute path of a bundled model's folder. */
export function bundledFolder(model: KnownModel): string {
  return join(MODELS_FOLDER, model.name)
}

/**
 * Resolves a name or path to a folder without reading it. A known name takes precedence over a folder of the same name in the
 * working directory; `./name` is the folder.
 *
 * @param nameOrFolder a known model's name or identifier, or a path; undefined means the bundled model
 * @throws GabionError `MODEL_NOT_FOUND` for a name that is neither, or a known model that is not on this machine
 */
export async function resolveModelFolder(nameOrFolder: string | undefined): Promise<string> {
  const wanted = nameOrFolder === undefined ? DEFAULT_MODEL : checkString('model', nameOrFolder)
  if (wanted === '') throw outOfRange('model', 'a model name or a folder', wanted)
  const known = findKnownModel(wanted)
  if (known?.bundled === true) return bundledFolder(known)
  if (known !== undefined) {
    throw new GabionError('MODEL_NOT_FOUND', `${known.name} does not come with gabion; bring it here with: gabion model pull ${known.name}`)
  }
  const folder = resolve(wanted)
  const found = await stat(folder).catch(() => null)
  if (found?.isFile() === true) throw notAFolder(folder)
  if (found?.isDirectory() !== true) {
    const names = KNOWN_MODELS.map((model) => model.name).join(', ')
    throw new GabionError('MODEL_NOT_FOUND', `there is no model folder ${folder}, and '${wanted}' is no known model (${names})`)
  }
  return folder
}

function notAFolder(file: string): GabionError {
  if (file.endsWith('.gguf')) return new GabionError('MODEL_UNSUPPORTED', `${file}: ${GGUF_REASON}`)
  const [folder, name] = [dirname(file), basename(file)]
  const how = name.endsWith('.onnx') ? `; give the folder and the option onnxFile (--onnx-file ${name})` : '; give the folder that it is in'
  return new GabionError(
    'MODEL_NOT_FOUND',
    `${file} is a file, a model is a folder with its settings and tokenizer, such as ${folder}${how}`,
  )
}

/**
 * Finds and reads a model; see {@link resolveModelFolder} and {@link readModelFolder}.
 *
 * @param nameOrFolder a known model's name, or a path; undefined means the bundled model
 */
export async function resolveModel(nameOrFolder: string | undefined): Promise<ModelDescription> {
  return readModelFolder(await resolveModelFolder(nameOrFolder))
}
