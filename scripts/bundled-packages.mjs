// Packages that are bundled into gabion's own files: most of their size on disk is other builds, source maps and declarations.
// They stand in package.json, for its lock, audit and list of parts, and are left out of the published one.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './setup/run.mjs'

export const bundledPackages = ['@sinclair/typebox', '@zip.js/zip.js', 'lru-cache']

/** Writes their licenses into a file next to the code, as all of them require. */
export function writeBundledLicenses(file) {
  const texts = bundledPackages.map((name) => {
    const folder = join(root, 'node_modules', name)
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const text = readdirSync(folder).find((entry) => /^licen[cs]e(\.md|\.txt)?$/i.test(entry))
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, text), 'utf8').trim()}\n`
  })
  writeFileSync(file, `Parts of these packages are in the JavaScript code of this folder.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`)
}
