#!/usr/bin/env node
// Builds dist/: declarations, bundled code, the dashboard.
//
// usage: node scripts/build-ts.mjs

import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isMain, reportFailure, root, run } from './setup/run.mjs'

/** Swaps dist/ as a whole: outputs of deleted sources disappear, and a failed build leaves the last good one. */
export async function buildTypeScript({ echo = false } = {}) {
  const fresh = join(root, 'build', 'dist')
  const node = (script, ...args) => run(process.execPath, [script, ...args], { log: 'typescript', echo })
  rmSync(fresh, { recursive: true, force: true })
  await node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', fresh)
  await node('scripts/bundle.mjs', fresh)
  await node('scripts/build-dashboard.mjs', fresh)
  await node('scripts/name-files.mjs', fresh)
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  renameSync(fresh, join(root, 'dist'))
}

if (isMain(import.meta.url)) await buildTypeScript({ echo: true }).catch(reportFailure)
