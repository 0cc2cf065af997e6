// Owns the check of the installation for `gabion doctor`, before native code is loaded: whether the binaries exist, are complete,
// readable, for this architecture and of this version, and the command to fix it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BINARIES, HOST_TARGET, PLATFORM_PACKAGE, binariesLocation, problemOfBinaries } from '../native-binaries.js'
import { verifyBinaries } from '../binary-checksums.js'
import { packagePath } from '../package-folder.js'
import { check, type Check } from './host-checks.js'

function versionOf(file: string): string {
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

/** Checks the binaries; later checks depend on it. */
export function checkInstallation(): Check {
  const version = versionOf(packagePath('package.json'))
  const failed = (detail: string, advice: string): Check => check('binaries', 'fail', detail, advice)
  const reinstall = `npm install --force ${PLATFORM_PACKAGE}@${version}`
  const location = binariesLocation()
  if (location === null) {
    return failed(
      `neither this package nor a package ${PLATFORM_PACKAGE} has binaries for ${HOST_TARGET}`,
      `optional dependencies were not installed, or node_modules is from another platform: ${reinstall} (from a checkout: npm run setup)`,
    )
  }
  const fix = { local: 'npm run setup', own: `npm install --force gabion@${version}`, platform: reinstall }[location.kind]
  const problem = problemOfBinaries(location.folder)
  if (problem !== null) return failed(problem.what, problem.unreadable ? `chmod -R a+rX '${location.packageFolder}'` : fix)
  if (location.kind === 'platform') {
    const found = versionOf(join(location.packageFolder, 'package.json'))
    if (found !== version) return failed(`${PLATFORM_PACKAGE} is version ${found}, gabion is ${version}: the versions must be equal`, fix)
  }
  const wrong = (verifyBinaries(location.folder) ?? []).filter(({ state }) => state !== 'ok')
  if (wrong.length > 0)
    return failed(
      `modified since their release: ${wrong.map(({ file, state }) => (state === 'missing' ? `${file} is missing` : `${file} differs`)).join(', ')}`,
      fix,
    )
  return check('binaries', 'ok', `${BINARIES.join(' and ')} for ${process.arch} in ${location.folder}`)
}
