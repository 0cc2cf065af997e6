// Packages that are bundled into gabion's own files: most of their size on disk is other builds, source maps and declarations, and what
// gRPC's rest on has an install script. They stand in package.json, for its lock, audit and list of parts, and are left out of the published one.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './setup/run.mjs'

export const bundledPackages = [
  '@grpc/grpc-js',
  '@grpc/proto-loader',
  '@grpc/reflection',
  '@sinclair/typebox',
  '@zip.js/zip.js',
  'grpc-health-check',
  'lru-cache',
]

/** Folders of the packages whose code esbuild put into a bundle, relative to the checkout. */
export function packagesOf(metafile) {
  const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/
  return new Set(Object.keys(metafile.inputs).flatMap((file) => folder.exec(file)?.[0] ?? []))
}

/** Writes the licenses of packages into a file next to the code, as all of them require. */
export function writeBundledLicenses(folders, file) {
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
    const text = readdirSync(join(root, folder)).find((entry) => /^licen[cs]e(\.md|\.txt)?$/i.test(entry))
    return `${name} ${version} (${license})\n\n${readFileSync(join(root, folder, text), 'utf8').trim()}\n`
  })
  writeFileSync(file, `Parts of these packages are in the JavaScript code of this folder.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`)
}
