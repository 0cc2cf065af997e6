// Installs gabion from the smoke run's registry into empty folders, as a user would, by each package manager.

import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../setup/run.mjs'
import { nodeRelease, packageManager } from './nodes.mjs'

const probes = fileURLToPath(new URL('probes', import.meta.url))

/** Name of a package manager → how it installs gabion in a folder. */
export const managers = {
  npm: async (registry, folder, what) => {
    const options = ['--registry', registry, '--prefer-offline', '--no-audit', '--no-fund', '--no-update-notifier']
    await run('npm', ['install', ...options, ...what], { cwd: folder, env: ownNothing() })
  },
  pnpm: async (registry, folder, what) => {
    const pnpm = await packageManager('pnpm', '10.34.8', 'bin/pnpm.cjs')
    const options = ['--registry', registry, '--store-dir', join(folder, '.store'), '--ignore-workspace']
    await run(process.execPath, [pnpm, 'add', ...options, ...what], { cwd: folder, env: ownNothing() })
  },
  yarn: async (registry, folder, what) => {
    const yarn = await packageManager('yarn', '1.22.22', 'bin/yarn.js')
    // Yarn refuses where others warn: a dependency of Fastify requires Node 22.
    const { path: node } = await nodeRelease('latest')
    const options = ['--registry', registry, '--cache-folder', join(folder, '.cache'), '--non-interactive', '--no-lockfile']
    await run(node, [yarn, 'add', ...options, ...what], { cwd: folder, env: ownNothing() })
  },
}

/** A folder with nothing but a package.json, the probes, and what was installed. */
export async function makeApp(folder, manager, registry, what = ['gabion']) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app', version: '1.0.0', private: true, type: 'module' }))
  cpSync(probes, folder, { recursive: true })
  await managers[manager](registry, folder, what)
  return folder
}

/** Without the variables that `npm run` sets: they describe this checkout. */
export function ownNothing() {
  return Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^npm_(package|lifecycle|config_local|config_prefix|command|execpath)/.test(key)),
  )
}
