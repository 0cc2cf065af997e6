// gabion and its baselines, each installed alone in an empty folder as a user would, counting the bytes downloaded. Kept in
// build/installations; rebuilt when a version changes.

import { execFile } from 'node:child_process'
import { closeSync, existsSync, lstatSync, mkdirSync, openSync, readFileSync, readSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { prebuild } from '../../scripts/prebuild.mjs'
import { hostTarget } from '../../scripts/prepare-ort.mjs'
import { pack } from '../../scripts/release/pack.mjs'
import { startRegistry } from '../../scripts/smoke/registry.mjs'

const folder = fileURLToPath(new URL('../../build/installations', import.meta.url))
const versions = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).dependencies

/** What is compared, by the name of the package that a user installs. */
export const installed = {
  gabion: [],
  'onnxruntime-node': [
    `onnxruntime-node@${versions['onnxruntime-node']}`,
    `@huggingface/tokenizers@${versions['@huggingface/tokenizers']}`,
  ],
  '@huggingface/transformers': [`@huggingface/transformers@${versions['@huggingface/transformers']}`],
  fastembed: ['fastembed@2.1.0'],
}

/**
 * @param {keyof typeof installed} name
 * @returns {Promise<{ name: string, version: string, folder: string, packedBytes: number, unpackedBytes: number, packages: number }>}
 *   `packedBytes`: archives that were downloaded; `unpackedBytes`: all of node_modules
 */
export async function installation(name) {
  const home = join(folder, name.replaceAll('/', '+'))
  const record = join(home, 'sizes.json')
  // gabion's package is made from the checkout, so it is always rebuilt.
  if (name === 'gabion' || !existsSync(record)) {
    rmSync(home, { recursive: true, force: true })
    mkdirSync(home, { recursive: true })
    writeFileSync(join(home, 'package.json'), '{"private":true,"type":"module"}')
    const cache = join(home, '.cache')
    await install(name, home, cache)
    const packed = files(join(cache, '_cacache', 'content-v2')).filter(isGzip)
    const packages = JSON.parse(readFileSync(join(home, 'node_modules', '.package-lock.json'), 'utf8')).packages
    const { version } = packages[`node_modules/${name}`]
    const sizes = {
      name,
      version,
      packedBytes: sum(packed),
      unpackedBytes: sum(files(join(home, 'node_modules'))),
      packages: Object.keys(packages).length,
    }
    rmSync(cache, { recursive: true })
    writeFileSync(record, JSON.stringify(sizes))
  }
  return { ...JSON.parse(readFileSync(record, 'utf8')), folder: home }
}

async function install(name, home, cache) {
  // Scripts stay off: onnxruntime-node's downloads libraries for graphics cards on x64, which would be unfair to it.
  const npm = (what) =>
    promisify(execFile)('npm', ['install', '--cache', cache, '--ignore-scripts', '--no-audit', '--no-fund', ...what], { cwd: home })
  if (name !== 'gabion') {
    await npm(installed[name])
    return
  }
  if (!existsSync(fileURLToPath(new URL(`../../prebuilds/${hostTarget}`, import.meta.url)))) await prebuild()
  const { main, platforms } = await pack({ targets: [hostTarget], withOffline: false })
  const registry = await startRegistry([main, ...Object.values(platforms)])
  try {
    await npm(['--registry', registry.url, 'gabion'])
  } finally {
    registry.close()
  }
}

function files(place) {
  const names = readdirSync(place, { recursive: true, withFileTypes: true })
  return names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name))
}

const sum = (paths) => paths.reduce((all, path) => all + lstatSync(path).size, 0)

function isGzip(path) {
  const descriptor = openSync(path, 'r')
  const head = Buffer.alloc(2)
  readSync(descriptor, head, 0, 2, 0)
  closeSync(descriptor)
  return head.readUInt16BE(0) === 0x1f8b
}
