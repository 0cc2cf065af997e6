#!/usr/bin/env node
// Checks the prebuilt binaries of every platform: target, dependencies, exports, protections and embedded paths. `npm pack` runs it, so that
// a package without them fails.
//
// usage: node scripts/check-prebuild.mjs [FOLDER]…      without folders: all of prebuilds/, this machine's among them

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { hostTarget, libraryName } from './prepare-ort.mjs'
import { inspectElf } from './prebuild/inspect-elf.mjs'
import { inspectMachO } from './prebuild/inspect-mach-o.mjs'
import { inspectPe } from './prebuild/inspect-pe.mjs'
import { lowestGlibc } from './prebuild/lower-glibc.mjs'
import { StepFailed, isMain, reportFailure, root } from './setup/run.mjs'
import { compareVersions } from './setup/toolchain.mjs'

const notices = ['NOTICES.tokenizer.txt', 'SHA256SUMS']
const runtimeNotices = ['LICENSE.onnxruntime.txt', 'NOTICES.onnxruntime.txt']

/** Build folders of people and machines: such a path inside a binary leaks them, and may be opened on the user's machine. */
const buildPath = /(?<![\w./-])\/(?:home|root|Users|tmp|work|builds?|workspace|__w)\/[\w.-]+\/[\w./-]*/

const addon = {
  exports: ['napi_register_module_v1', 'node_api_module_get_api_version_v1'],
  largestBytes: 8 << 20,
  buildPaths: [root, homedir()],
  strangePaths: buildPath,
}
const elf = { ...addon, inspect: inspectElf, runpath: ['$ORIGIN'], protections: ['RELRO', 'BIND_NOW', 'NX'] }
// The C++ and Rust standard libraries are inside.
const glibcAddon = { ...elf, needed: ['libc.so.6', 'libm.so.6', 'libgcc_s.so.1'], glibc: lowestGlibc }
const muslAddon = { ...elf, needed: ['libc.so'] }
const machOAddon = {
  ...addon,
  inspect: inspectMachO,
  needed: ['/usr/lib/libSystem.B.dylib'],
  runpath: [undefined, '@loader_path'],
  minimumSystem: '13.0',
  protections: ['signature'],
}
const peAddon = {
  ...addon,
  inspect: inspectPe,
  // The universal C runtime is part of Windows 10 and newer.
  needed: [
    'KERNEL32.dll',
    'ntdll.dll',
    'bcryptprimitives.dll',
    'api-ms-win-core-synch-l1-2-0.dll',
    ...[
      'conio',
      'convert',
      'environment',
      'filesystem',
      'heap',
      'locale',
      'math',
      'private',
      'process',
      'runtime',
      'stdio',
      'string',
      'time',
      'utility',
    ].map((part) => `api-ms-win-crt-${part}-l1-1-0.dll`),
  ],
  minimumSystem: '10.0',
  protections: ['HIGH_ENTROPY_VA', 'DYNAMIC_BASE', 'NX_COMPAT'],
}
const glibcRuntime = {
  inspect: inspectElf,
  needed: ['libc.so.6', 'libm.so.6', 'libdl.so.2', 'librt.so.1', 'libpthread.so.0', 'libstdc++.so.6', 'libgcc_s.so.1'],
  soname: libraryName,
  runpath: ['$ORIGIN', undefined],
  glibc: '2.28',
  // GCC 8's, which glibc 2.28's distributions have.
  glibcxx: '3.4.25',
  largestBytes: 32 << 20,
  // Its messages contain paths of the machines that built it.
  buildPaths: [root],
  protections: ['NX'],
}

/** A glibc platform's binaries, with readelf's name of the machine, and the dynamic loader. */
const glibcFiles = (machine, loader) => ({
  'gabion.node': { ...glibcAddon, machine, needed: [...glibcAddon.needed, loader] },
  [libraryName]: { ...glibcRuntime, machine, needed: [...glibcRuntime.needed, loader] },
})

/** Every platform's binaries, and what each must be like. */
const platforms = {
  'linux-x64': glibcFiles('Advanced Micro Devices X86-64', 'ld-linux-x86-64.so.2'),
  'linux-arm64': glibcFiles('AArch64', 'ld-linux-aarch64.so.1'),
  'linux-x64-musl': { 'gabion.node': { ...muslAddon, machine: 'Advanced Micro Devices X86-64' } },
  'linux-arm64-musl': { 'gabion.node': { ...muslAddon, machine: 'AArch64' } },
  'win32-x64': { 'gabion.node': { ...peAddon, machine: 'x64' } },
  'darwin-arm64': { 'gabion.node': { ...machOAddon, machine: 'arm64' } },
  'darwin-x64': { 'gabion.node': { ...machOAddon, machine: 'x64' } },
}

/** Names of a platform's binaries. */
export const binariesOf = (target) => Object.keys(platforms[target] ?? platforms[hostTarget])

/** Checks the folder with a target's prebuilt files. Returns a line of facts per binary; throws StepFailed with every finding. */
export async function checkPrebuild(folder, target = basename(folder)) {
  const names = existsSync(folder) ? readdirSync(folder) : []
  const binaries = binariesOf(target)
  const absent = [...binaries, ...notices, ...(binaries.length > 1 ? runtimeNotices : [])].filter((name) => !names.includes(name))
  if (absent.length > 0) {
    throw new StepFailed(`${relative(root, folder)} lacks ${absent.join(', ')}; \`npm run prebuild\` makes them`, { exitCode: 2 })
  }
  if (platforms[target] === undefined) {
    throw new StepFailed(`${folder} is named after no target: expected ${Object.keys(platforms).join(' or ')}`, { exitCode: 2 })
  }
  const problems = checksumProblems(folder, binaries)
  const facts = []
  for (const [name, expected] of Object.entries(platforms[target])) {
    const found = await expected.inspect(join(folder, name))
    if (found.broken === undefined) facts.push(`${target}/${name}: ${factsOf(found)}`)
    const wrong = found.broken === undefined ? compare(expected, found) : [found.broken]
    problems.push(...wrong.map((problem) => `${name}: ${problem}`))
  }
  if (problems.length > 0) throw new StepFailed(`${relative(root, folder)} is not fit for distribution`, { lines: problems })
  return facts
}

function checksumProblems(folder, names) {
  const lines = readFileSync(join(folder, 'SHA256SUMS'), 'utf8').trim().split('\n')
  const sums = new Map(lines.map((line) => line.split('  ').reverse()))
  return names.flatMap((name) => {
    const found = createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex')
    return sums.get(name) === found ? [] : [`${name}: has the SHA-256 ${found}, SHA256SUMS says ${sums.get(name) ?? 'nothing'}`]
  })
}

function factsOf({ content, glibc, glibcxx, minimumSystem, runpath, needed, protections }) {
  return [
    `${(content.length / 1e6).toFixed(1)} MB`,
    ...(glibc === undefined ? [] : [`glibc ${glibc}`]),
    ...(glibcxx === undefined ? [] : [`GLIBCXX ${glibcxx}`]),
    ...(minimumSystem === undefined ? [] : [`system ${minimumSystem}`]),
    `RUNPATH ${runpath ?? 'none'}`,
    `needs ${needed.join(', ')}`,
    `protected by ${protections.join(', ') || 'nothing'}`,
  ].join(', ')
}

function compare(expected, found) {
  const problems = []
  if (found.machine !== expected.machine) problems.push(`is built for ${found.machine}, expected ${expected.machine}`)
  const foreign = found.needed.filter((name) => !expected.needed.includes(name))
  if (foreign.length > 0) problems.push(`needs ${foreign.join(', ')}, expected only ${expected.needed.join(', ')}`)
  if (found.soname !== expected.soname) problems.push(`soname is ${found.soname ?? 'missing'}, expected ${expected.soname ?? 'none'}`)
  if (expected.runpath !== undefined && !expected.runpath.includes(found.runpath)) {
    problems.push(`runpath is ${found.runpath ?? 'missing'}, expected ${expected.runpath[0]}`)
  }
  if (expected.exports !== undefined && found.exports.join() !== expected.exports.join()) {
    problems.push(`exports ${found.exports.slice(0, 20).join(', ') || 'nothing'}, expected ${expected.exports.join(', ')}`)
  }
  problems.push(...compareVersionsOf(expected, found))
  const unprotected = expected.protections.filter((name) => !found.protections.includes(name))
  if (unprotected.length > 0) problems.push(`is not protected by ${unprotected.join(', ')}`)
  // Electron and other hosts with a caged heap refuse such buffers.
  const outside = found.imports.filter((name) => /^napi_create_external_(arraybuffer|buffer)$/.test(name))
  if (outside.length > 0) problems.push(`calls ${outside.join(', ')}, which some hosts refuse`)
  const { length } = found.content
  if (length > expected.largestBytes) problems.push(`has ${length} bytes, expected ${expected.largestBytes} at most`)
  const text = found.content.toString('latin1')
  const path = expected.buildPaths.find((folder) => text.includes(`${folder}/`)) ?? expected.strangePaths?.exec(text)?.[0]
  if (path !== undefined) problems.push(`contains a path of the machine that built it: ${path}`)
  return problems
}

/** What is newer than expected, by the names of the properties: an absent one is none at all. */
const versions = { glibc: 'glibc', glibcxx: 'GLIBCXX', minimumSystem: 'the system' }

function compareVersionsOf(expected, found) {
  return Object.entries(versions).flatMap(([property, name]) => {
    const [version, newest = null] = [found[property], expected[property]]
    if (version === undefined || (newest !== null && compareVersions(version, newest) <= 0)) return []
    return [`needs ${name} ${version}, expected ${newest === null ? 'none' : `${newest} at most`}`]
  })
}

/** The folders of prebuilds/; this machine's even when it is missing, so that its absence is a finding. */
function allFolders() {
  const folder = join(root, 'prebuilds')
  const targets = existsSync(folder) ? readdirSync(folder) : []
  return [...new Set([hostTarget, ...targets])].map((target) => join(folder, target))
}

if (isMain(import.meta.url)) {
  try {
    const folders = process.argv.slice(2)
    for (const folder of folders.length > 0 ? folders : allFolders()) for (const line of await checkPrebuild(folder)) console.log(line)
  } catch (error) {
    reportFailure(error)
  }
}
