// Owns the lookup of models on this machine, the converted ones of gabion's own cache included.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { GabionError } from '../errors.js'
import { findLocalModel, parseHubModel } from '../models/hub/pull.js'
import { readModelFolder, type ModelDescription } from '../models/model-folder.js'
import { resolveModelFolder } from '../models/resolve.js'
import { conversionCache, displayName } from './prepared-model.js'

/** Every readable model of the cache, by name; unreadable folders are skipped. */
export async function listKeptModels(): Promise<ModelDescription[]> {
  const folder = join(conversionCache(), 'models')
  const names = await readdir(folder).catch(() => [])
  const read = names
    .filter((name) => !name.startsWith('.') && !name.endsWith('.lock'))
    .map((name) => readModelFolder(join(folder, name)).catch(() => null))
  const models = (await Promise.all(read)).filter((model) => model !== null)
  return models.sort((a, b) => a.name.localeCompare(b.name) || a.folder.localeCompare(b.folder))
}

/**
 * Finds the folder of a model that is on this machine: bundled, given by path, converted, or pulled. Downloads and converts nothing.
 *
 * @throws GabionError `MODEL_NOT_FOUND` if it is not here
 */
export async function locateModel(nameOrFolder: string | undefined): Promise<string> {
  try {
    return await resolveModelFolder(nameOrFolder)
  } catch (error) {
    const model = nameOrFolder === undefined ? null : parseHubModel(nameOrFolder)
    if (model === null || !(error instanceof GabionError) || error.code !== 'MODEL_NOT_FOUND') throw error
    const pulled = await findLocalModel(model)
    const kept = (await listKeptModels()).find(
      (each) => each.name === displayName(model.id) && (pulled === null || each.revision === pulled.commit),
    )
    const folder = kept?.folder ?? pulled?.folder
    if (folder === undefined) throw error
    return folder
  }
}
