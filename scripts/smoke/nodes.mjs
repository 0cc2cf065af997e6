// Releases of Node and package managers from the registry's packages, in build/smoke.

import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from '../setup/run.mjs'
import { compareVersions } from '../setup/toolchain.mjs'

const folder = join(root, 'build', 'smoke')
const log = 'smoke-nodes'

/** Node of a version range (`22`, `latest`) as { version, path }; `arch` may be another than this machine's, for an emulator. */
export async function nodeRelease(range, arch = process.arch) {
  const name = `node-linux-${arch}`
  const version = await versionOf(name, range)
  const home = join(folder, 'nodes', `${name}-${version}`)
  const path = join(home, 'package', 'bin', 'node')
  if (!existsSync(path)) {
    const fresh = `${home}.new`
    rmSync(fresh, { recursive: true, force: true })
    mkdirSync(fresh, { recursive: true })
    const [{ filename }] = JSON.parse(await run('npm', ['pack', `${name}@${version}`, '--json', '--pack-destination', fresh], { log }))
    await run('tar', ['-xzf', join(fresh, filename), '-C', fresh, 'package/bin/node'], { log })
    rmSync(join(fresh, filename))
    rmSync(home, { recursive: true, force: true })
    renameSync(fresh, home)
  }
  return { version, path }
}

async function versionOf(name, range) {
  const answer = JSON.parse(await run('npm', ['view', `${name}@${range}`, 'version', '--json'], { log }))
  return Array.isArray(answer) ? answer.sort(compareVersions).at(-1) : answer
}

/** A package manager's command file: it runs with any new enough Node. */
export async function packageManager(name, version, file) {
  const home = join(folder, 'managers', `${name}-${version}`)
  const path = join(home, 'node_modules', name, file)
  if (!existsSync(path)) {
    mkdirSync(home, { recursive: true })
    await run('npm', ['install', '--prefix', home, '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${version}`], { log })
  }
  return path
}
