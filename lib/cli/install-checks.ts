// Owns what `gabion doctor` finds out about the installation before anything native is loaded: whether the binaries are there, whole,
// readable, for this processor and of this version, and which command mends it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BINARIES, HOST_TARGET, PLATFORM_PACKAGE, binariesLocation, problemOfBinaries } from '../native-binaries.js'
import { verifyBinaries } from '../binary-checksums.js'
import { packagePath } from '../package-folder.js'
import { check, type Check } from './host-checks.js'

function versionOf(file: string): string {
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

/** One check; later ones make no sense when it fails. */
export function checkInstallation(): Check {
  const version = versionOf(packagePath('package.json'))
  const failed = (detail: string, advice: string): Check => check('binaries', 'fail', detail, advice)
  const reinstall = `npm install --force ${PLATFORM_PACKAGE}@${version}`
  const location = binariesLocation()
  if (location === null) {
    return failed(
      `neither this package nor a package ${PLATFORM_PACKAGE} has binaries for ${HOST_TARGET}`,
      `optional dependencies were left out, or node_modules came from another platform: ${reinstall} (from a checkout: npm run setup)`,
    )
  }
  const mend = { local: 'npm run setup', own: `npm install --force gabion@${version}`, platform: reinstall }[location.kind]
  const problem = problemOfBinaries(location.folder)
  if (problem !== null) return failed(problem.what, problem.unreadable ? `chmod -R a+rX '${location.packageFolder}'` : mend)
  if (location.kind === 'platform') {
    const found = versionOf(join(location.packageFolder, 'package.json'))
    if (found !== version)
      return failed(`${PLATFORM_PACKAGE} is version ${found}, gabion is ${version}: they go together only if equal`, mend)
  }
  const wrong = (verifyBinaries(location.folder) ?? []).filter(({ state }) => state !== 'ok')
  if (wrong.length > 0)
    return failed(
      `not as they were released: ${wrong.map(({ file, state }) => (state === 'missing' ? `${file} is missing` : `${file} differs`)).join(', ')}`,
      mend,
    )
  return check('binaries', 'ok', `${BINARIES.join(' and ')} for ${process.arch} in ${location.folder}`)
}
