// Checks that what judges runs without Node, in a browser too: the static imports of its files, followed through lib, reach no built-in
// and no native module, and no package. Types do not count; dynamic imports run only where they are reached.

import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { importsOf } from '../check-modules.mjs'
import { root } from '../setup/run.mjs'

const FOLDERS = ['lib/detection', 'lib/detection/erosion', 'lib/detection/policy', 'lib/statistics']

/** Next to it: what reads files and fits policies. */
const LOADERS = [
  'lib/detection/classic-artifact.ts',
  ...['artifact-file', 'lexicon-file', 'load-erosion'].map((name) => `lib/detection/erosion/${name}.ts`),
  ...['load-policies', 'policy-check', 'policy-file', 'policy-log', 'policy-set'].map((name) => `lib/detection/policy/${name}.ts`),
]

/** Plain JavaScript, which browsers run as well. */
const PACKAGES = ['@sinclair/typebox']

/** One line per chain of imports from a file that judges to a module that needs Node. */
export function checkJudgingImports() {
  const files = FOLDERS.flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
  const found = new Map()
  for (const file of files.filter((name) => name.endsWith('.ts') && !LOADERS.includes(name))) follow([file], found, new Set())
  return [...found.values()]
}

function follow(chain, found, seen) {
  const file = chain.at(-1)
  if (seen.has(file)) return
  seen.add(file)
  for (const { path, lazy } of importsOf(readFileSync(join(root, file), 'utf8'))) {
    if (lazy || PACKAGES.includes(path)) continue
    const target = path.startsWith('.') ? normalize(join(dirname(file), path)).replace(/\.js$/, '.ts') : path
    if (path.startsWith('.')) follow([...chain, target], found, seen)
    // One chain per import suffices.
    else if (!found.has(`${file} ${target}`)) found.set(`${file} ${target}`, [...chain, target].join(' → '))
  }
}
