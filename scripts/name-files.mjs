#!/usr/bin/env node
// Names the package's other files in its code. Next.js's standalone output, Vercel and tools for functions copy the files that they find named
// in code, and nothing else. They have one form in common: `new URL` of a file beside `import.meta.url`. Every entry imports the main
// one, so the list is there, in a function that nobody calls.
//
// usage: node scripts/name-files.mjs [FOLDER]     FOLDER is the built package's code, default dist

import { appendFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './setup/run.mjs'

const folder = process.argv[2] ?? join(root, 'dist')

/** A file, or all files of a folder, relative to where it is. */
function filesIn(place, name) {
  if (!statSync(join(place, name)).isDirectory()) return [name]
  return readdirSync(join(place, name))
    .sort()
    .flatMap((entry) => filesIn(place, `${name}/${entry}`))
}

const paths = [
  ...['models', 'protocol', 'package.json', 'NOTICE'].flatMap((name) => filesIn(root, name)).map((path) => `../${path}`),
  ...['parts/proto', 'dashboard', 'NOTICES.bundled.txt'].flatMap((name) => filesIn(folder, name)).map((path) => `./${path}`),
]
const urls = paths.map((path) => `new URL(${JSON.stringify(path)},import.meta.url)`)
appendFileSync(join(folder, 'index.js'), `()=>[\n${urls.join(',\n')}\n];\n`)
