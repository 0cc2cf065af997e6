// Owns licenses and notices of models, read from the model folders.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KNOWN_MODELS } from './known-models.js'
import { inspectModelFolder } from './model-folder.js'
import { bundledFolder } from './resolve.js'
import { packagePath } from '../package-folder.js'

/** A model's license and notice. */
export interface ModelLicense {
  name: string
  folder: string
  /** SPDX identifier, or `unknown`. */
  license: string
  /** The folder's NOTICE, or null. */
  notice: string | null
  /** The license text: the folder's, else that of a license by this name; null if neither is known. */
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
 * Reads a model folder's license and notice.
 *
 * @throws as {@link inspectModelFolder}
 */
export async function readModelLicense(folder: string): Promise<ModelLicense> {
  const { description } = await inspectModelFolder(folder)
  const { name, folder: path, license } = description
  // Publishers often name a license without its text; this license requires a copy, and the bundled model has one.
  const known = /^apache-2\.0$/i.test(license) ? await readFirst(packagePath(), ['LICENSE']) : null
  return {
    name,
    folder: path,
    license,
    notice: await readFirst(path, ['NOTICE', 'NOTICE.txt', 'NOTICE.md']),
    text: (await readFirst(path, ['LICENSE', 'LICENSE.txt', 'LICENSE.md', 'LICENSE'])) ?? known,
  }
}

/** The licenses of all bundled models. */
export async function bundledModelLicenses(): Promise<ModelLicense[]> {
  return Promise.all(KNOWN_MODELS.filter((model) => model.bundled).map((model) => readModelLicense(bundledFolder(model))))
}
