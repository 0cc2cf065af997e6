// Owns atomic creation of folders: filled under a temporary name next to the target, then renamed.

import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { nodeCrypto } from '../lazy.js'
import { GabionError } from '../errors.js'

/**
 * Fills a new folder and renames it to its target.
 *
 * @param folder    absolute path of the new folder
 * @param overwrite whether an existing folder is replaced
 * @param fill      writes into the folder that is passed; if it throws, the folder is removed
 * @throws GabionError `INVALID_ARGUMENT` if the folder exists and may not be replaced; whatever `fill` throws
 */
export async function makeFolder(folder: string, overwrite: boolean, fill: (folder: string) => Promise<void>): Promise<void> {
  const exists = await stat(folder).then(
    () => true,
    () => false,
  )
  if (exists && !overwrite)
    throw new GabionError('INVALID_ARGUMENT', `${folder} exists already; choose another folder or allow overwriting`)
  await mkdir(dirname(folder), { recursive: true })
  const staging = (role: string): string =>
    join(dirname(folder), `.${basename(folder)}.${role}-${nodeCrypto().randomBytes(6).toString('hex')}`)
  const partial = staging('partial')
  try {
    await mkdir(partial)
    await fill(partial)
    if (!exists) {
      await rename(partial, folder)
      return
    }
    const old = staging('old')
    await rename(folder, old)
    try {
      await rename(partial, folder)
    } catch (error) {
      await rename(old, folder)
      throw error
    }
    await rm(old, { recursive: true })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}
