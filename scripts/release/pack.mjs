#!/usr/bin/env node
// Makes the published packages in build/packages: the package without binaries, one package of binaries per platform, and for machines without a
// registry one tarball per platform that contains everything of gabion's own.
//
// usage: node scripts/release/pack.mjs [--json]

import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { bundledPackages } from '../bundled-packages.mjs'
import { binariesOf, checkPrebuild } from '../check-prebuild.mjs'
import { hostTarget } from '../prepare-ort.mjs'
import { StepFailed, isMain, reportFailure, root, run } from '../setup/run.mjs'
import { sbom, sbomFile } from './sbom.mjs'

/** All platforms with binaries. */
export const targets = ['linux-x64', 'linux-arm64']

/** The fields of package.json that keep a platform's package from other platforms. */
export function platformFields(target) {
  const [os, cpu, libc = 'glibc'] = target.split('-')
  return { os: [os], cpu: [cpu], ...(os === 'linux' ? { libc: [libc] } : {}) }
}

/** Folder of the tarballs. */
export const packagesFolder = join(root, 'build', 'packages')

/** The fields of package.json that a user of the package needs; the others concern the checkout. */
const workshopFields = ['scripts', 'devDependencies', 'overrides']

/**
 * Packs with the binaries in prebuilds/ of the requested targets, at least this machine's.
 * Returns { main, platforms: {target: file}, offline: {target: file} }, absolute paths of tarballs.
 */
export async function pack({ targets: requested = targets, withOffline = true } = {}) {
  const present = requested.filter((target) => existsSync(join(root, 'prebuilds', target)))
  if (!present.includes(hostTarget)) {
    throw new StepFailed(`prebuilds/${hostTarget} is missing; \`npm run prebuild\` makes it`, { exitCode: 2 })
  }
  for (const target of present) await checkPrebuild(join(root, 'prebuilds', target))
  const stage = join(packagesFolder, '.stage')
  rmSync(packagesFolder, { recursive: true, force: true })
  const files = await packedFiles()
  const bom = await sbom()
  const offline = {}
  for (const target of withOffline ? present : []) {
    offline[target] = await packFolder(stageMain(join(stage, 'offline'), files, { target, bom }), `-${target}`)
  }
  const main = await packFolder(stageMain(join(stage, 'main'), files, { dependsOn: requested, bom }))
  const platforms = {}
  for (const target of present) platforms[target] = await packFolder(stagePlatform(join(stage, target), target))
  rmSync(stage, { recursive: true })
  return { main, platforms, offline }
}

const manifest = () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** The files that npm would pack from the checkout, by package.json's `files`. */
async function packedFiles() {
  const [{ files }] = JSON.parse(await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts']))
  return files.map(({ path }) => path)
}

/** The package as one platform's, with its binaries; or without any, and with packages of binaries as optional dependencies. */
function stageMain(folder, files, { target = null, dependsOn = [], bom }) {
  rmSync(folder, { recursive: true, force: true })
  const wanted = files.filter((path) => !path.startsWith('prebuilds/') || path.startsWith(`prebuilds/${target}/`))
  for (const path of wanted) place(path, folder)
  const content = Object.fromEntries(Object.entries(manifest()).filter(([key]) => !workshopFields.includes(key)))
  for (const name of bundledPackages) delete content.dependencies[name]
  if (target === null) {
    content.files = content.files.filter((name) => name !== 'prebuilds')
    content.optionalDependencies = Object.fromEntries(dependsOn.map((one) => [`gabion-${one}`, content.version]))
  } else {
    Object.assign(content, platformFields(target))
  }
  content.files.push(sbomFile)
  writeFileSync(join(folder, sbomFile), `${JSON.stringify(bom, null, 1)}\n`)
  rmSync(join(folder, 'package.json'))
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(content, null, 2)}\n`)
  return folder
}

function stagePlatform(folder, target) {
  const { version, license, engines, repository } = manifest()
  mkdirSync(folder, { recursive: true })
  cpSync(join(root, 'prebuilds', target), join(folder, 'prebuilds', target), { recursive: true })
  for (const name of ['LICENSE', 'NOTICE']) copyFileSync(join(root, name), join(folder, name))
  const content = {
    name: `gabion-${target}`,
    version,
    description: `The binaries of gabion for ${target}`,
    license,
    repository,
    engines,
    ...platformFields(target),
    files: ['prebuilds', 'NOTICE'],
    // Package managers that run from archives must unpack binaries to disk.
    preferUnplugged: true,
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(content, null, 2)}\n`)
  const contents =
    binariesOf(target).length > 1 ? 'The native addon of gabion and the ONNX Runtime it runs with,' : 'The native addon of gabion'
  writeFileSync(join(folder, 'README.md'), `# gabion-${target}\n\n${contents} for ${target}. gabion installs it by itself.\n`)
  return folder
}

/** A hard link where possible: the model alone has 46 MB. */
function place(path, folder) {
  const to = join(folder, path)
  mkdirSync(dirname(to), { recursive: true })
  try {
    linkSync(join(root, path), to)
  } catch {
    copyFileSync(join(root, path), to)
  }
}

async function packFolder(folder, suffix = '') {
  mkdirSync(packagesFolder, { recursive: true })
  const [{ filename }] = JSON.parse(
    await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', packagesFolder], { cwd: folder }),
  )
  const file = join(packagesFolder, filename)
  if (suffix === '') return file
  const named = file.replace(/\.tgz$/, `${suffix}.tgz`)
  renameSync(file, named)
  return named
}

if (isMain(import.meta.url)) {
  try {
    const packed = await pack()
    if (process.argv.includes('--json')) console.log(JSON.stringify(packed))
    else for (const name of readdirSync(packagesFolder)) console.log(relative(process.cwd(), join(packagesFolder, name)))
  } catch (error) {
    reportFailure(error)
  }
}
