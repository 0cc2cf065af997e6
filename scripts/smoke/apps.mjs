// Installs gabion from the smoke run's registry into empty folders, as a user would.

import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { managers } from './managers.mjs'

const probes = fileURLToPath(new URL('probes', import.meta.url))

/** A folder with nothing but a package.json, the probes, and what was installed. */
export async function makeApp(folder, manager, registry, what = ['gabion']) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app', version: '1.0.0', private: true, type: 'module' }))
  cpSync(probes, folder, { recursive: true })
  await managers[manager].install(registry, folder, what)
  return folder
}
