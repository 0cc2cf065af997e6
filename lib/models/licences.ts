// The licences and notices of what gabion ships or uses as a model: texts read from the model folders themselves.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KNOWN_MODELS } from './known-models.js'
import { inspectModelFolder } from './model-folder.js'
import { bundledFolder } from './resolve.js'
import { packagePath } from '../package-folder.js'

/** Under which terms a model may be used, and whom to name. */
export interface ModelLicence {
  name: string
  folder: string
  /** SPDX identifier, or `unknown`. */
  licence: string
  /** The folder's NOTICE, or null. */
  notice: string | null
  /** The licence text: the folder's, else that of a licence by this name; null if neither is known. */
  text: string | null
}

async function readFirst(folder: string, names: readonly string[]): Promise<string | null> {
  for (const name of names) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => null)
    if (text !== null) return text
  }
  return null
}

/**
 * Reads a model folder's licence and notice.
 *
 * @throws as {@link inspectModelFolder}
 */
export async function readModelLicence(folder: string): Promise<ModelLicence> {
  const { description } = await inspectModelFolder(folder)
  const { name, folder: path, licence } = description
  // Publishers name the licence and often leave its text out; this one asks for a copy, and we have it.
  const known = /^apache-2\.0$/i.test(licence) ? await readFirst(packagePath(), ['LICENSE']) : null
  return {
    name,
    folder: path,
    licence,
    notice: await readFirst(path, ['NOTICE', 'NOTICE.txt', 'NOTICE.md']),
    text: (await readFirst(path, ['LICENSE', 'LICENSE.txt', 'LICENSE.md', 'LICENCE'])) ?? known,
  }
}

/** The licences of all models that come with the package. */
export async function bundledModelLicences(): Promise<ModelLicence[]> {
  return Promise.all(KNOWN_MODELS.filter((model) => model.bundled).map((model) => readModelLicence(bundledFolder(model))))
}
