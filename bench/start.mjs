#!/usr/bin/env node
// `npm run bench`: sets the checkout up, installs the bench's own packages when they are missing, then measures.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setUp } from '../scripts/setup.mjs'
import { reportFailure, root, run } from '../scripts/setup/run.mjs'

const here = join(root, 'bench')

/** True when every package of the lock file is there in its version; those for other platforms are absent on purpose. */
function isInstalled() {
  const installedFile = join(here, 'node_modules', '.package-lock.json')
  if (!existsSync(installedFile)) return false
  const [locked, installed] = [join(here, 'package-lock.json'), installedFile].map(
    (file) => JSON.parse(readFileSync(file, 'utf8')).packages,
  )
  return Object.entries(locked).every(
    ([path, { version, optional }]) => path === '' || installed[path]?.version === version || (optional === true && !(path in installed)),
  )
}

try {
  process.chdir(root)
  await setUp({ purpose: 'start' })
  if (!isInstalled()) {
    console.log("Installing the bench's packages …")
    // Install scripts stay off: the only one here downloads libraries for graphics cards.
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { log: 'bench-packages', cwd: here })
  }
  await import('./run.mjs')
} catch (error) {
  reportFailure(error)
}
