// Owns the package's root folder: models, protocol and notices next to the code are found from here.

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Sources, bundles and their chunks are at different depths, so the root is where package.json is. */
function findPackage(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  return folder
}

const PACKAGE_FOLDER = findPackage()

/** Absolute path of a file or folder in the package. */
export function packagePath(...parts: string[]): string {
  return join(PACKAGE_FOLDER, ...parts)
}

/** This package's version. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as { version: string }).version
}
