// Checks that what judges runs without Node, in a browser too: the static imports of its files, followed through lib, reach no built-in
// and no native module, and no package. Types do not count; dynamic imports run only where they are reached.

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { importsOf } from '../check-modules.mjs'
import { root } from '../setup/run.mjs'

const FOLDERS = ['detection', 'detection/erosion', 'detection/guard', 'detection/policy', 'statistics'].map((name) => `lib/${name}`)

/** Next to it: what reads files and fits policies. */
const LOADERS = /\/(load-[\w-]+|[\w-]+-file|classic-artifact|policy-(check|log|set))\.ts$/

/** Plain JavaScript, or with a build for browsers. */
const PACKAGES = ['@sinclair/typebox', 'lru-cache']

/** One line per import that needs Node, with the chain of imports from a file that judges. */
export function checkJudgingImports() {
  const files = FOLDERS.filter((folder) => existsSync(join(root, folder))).flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => `${folder}/${name}`),
  )
  const found = new Map()
  for (const file of files.filter((name) => name.endsWith('.ts') && !LOADERS.test(name))) {
    for (const [key, chain] of nodeImports(file)) if (!found.has(key)) found.set(key, chain)
  }
  return [...found.values()]
}

/** The imports below a file that need Node: importing file and module → chain of imports. */
export function nodeImports(file, chain = [file], found = new Map(), seen = new Set()) {
  seen.add(file)
  for (const { path, lazy } of importsOf(readFileSync(join(root, file), 'utf8'))) {
    if (lazy || PACKAGES.includes(path)) continue
    const target = path.startsWith('.') ? normalize(join(dirname(file), path)).replace(/\.js$/, '.ts') : path
    if (target === path) found.set(`${file} ${path}`, [...chain, path].join(' → '))
    else if (!seen.has(target)) nodeImports(target, [...chain, target], found, seen)
  }
  return found
}
