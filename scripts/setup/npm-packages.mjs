// Checks whether node_modules contains exactly what package-lock.json requires on this platform. Knows npm's two lock files and nothing else.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './run.mjs'

/** Null when the installed packages are those of the lock file, else a line that names the first difference. */
export function installedDifference() {
  const wanted = packagesOf(join(root, 'package-lock.json'))
  const installed = packagesOf(join(root, 'node_modules', '.package-lock.json'))
  if (wanted === null) return 'package-lock.json is missing'
  if (installed === null) return 'nothing is installed yet'
  for (const [path, { version, optional, devOptional, link }] of Object.entries(wanted)) {
    if (path === '' || link === true) continue
    const found = installed[path]
    // Optional packages of other platforms are in the lock file and deliberately not installed.
    if (found === undefined && (optional === true || devOptional === true)) continue
    if (found?.version !== version) return `${path} is ${found?.version ?? 'missing'}, expected ${version}`
    if (!existsSync(join(root, path))) return `${path} is missing`
  }
  const extra = Object.keys(installed).find((path) => wanted[path] === undefined)
  return extra === undefined ? null : `${extra} is not in package-lock.json`
}

function packagesOf(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).packages : null
}
