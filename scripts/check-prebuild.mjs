#!/usr/bin/env node
// Checks the prebuilt binaries with readelf: target, dependencies, exports and embedded paths. `npm pack` runs it, so that a package
// without them fails.
//
// usage: node scripts/check-prebuild.mjs [FOLDER]…      without folders: all of prebuilds/, this machine's among them

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { hostTarget, libraryName } from './prepare-ort.mjs'
import { lowestGlibc } from './prebuild/lower-glibc.mjs'
import { StepFailed, isMain, reportFailure, root, run } from './setup/run.mjs'
import { compareVersions } from './setup/toolchain.mjs'

const notices = ['LICENSE.onnxruntime.txt', 'NOTICES.onnxruntime.txt', 'NOTICES.tokenizer.txt', 'SHA256SUMS']

/** readelf's name of each target's machine, and its dynamic loader. */
const machines = {
  'linux-x64': { machine: 'Advanced Micro Devices X86-64', loader: 'ld-linux-x86-64.so.2' },
  'linux-arm64': { machine: 'AArch64', loader: 'ld-linux-aarch64.so.1' },
}

/** Build folders of people and machines: such a path inside a binary leaks them, and may be opened on the user's machine. */
const buildPath = /(?<![\w./-])\/(?:home|root|Users|tmp|work|builds?|workspace|__w)\/[\w.-]+\/[\w./-]*/

const expectations = {
  'gabion.node': {
    // The C++ and Rust standard libraries are inside.
    needed: ['libc.so.6', 'libm.so.6', 'libgcc_s.so.1'],
    runpath: ['$ORIGIN'],
    exports: ['napi_register_module_v1', 'node_api_module_get_api_version_v1'],
    glibc: lowestGlibc,
    glibcxx: null,
    largestBytes: 8 << 20,
    buildPaths: [root, homedir()],
    strangePaths: buildPath,
  },
  [libraryName]: {
    needed: ['libc.so.6', 'libm.so.6', 'libdl.so.2', 'librt.so.1', 'libpthread.so.0', 'libstdc++.so.6', 'libgcc_s.so.1'],
    soname: libraryName,
    runpath: ['$ORIGIN', undefined],
    glibc: '2.28',
    // GCC 8's, which glibc 2.28's distributions have.
    glibcxx: '3.4.25',
    largestBytes: 32 << 20,
    // Its messages contain paths of the machines that built it.
    buildPaths: [root],
  },
}

/** Checks the folder with a target's prebuilt files. Returns a line of facts per binary; throws StepFailed with every finding. */
export async function checkPrebuild(folder, target = basename(folder)) {
  const names = existsSync(folder) ? readdirSync(folder) : []
  const absent = [...Object.keys(expectations), ...notices].filter((name) => !names.includes(name))
  if (absent.length > 0) {
    throw new StepFailed(`${relative(root, folder)} lacks ${absent.join(', ')}; \`npm run prebuild\` makes them`, { exitCode: 2 })
  }
  if (machines[target] === undefined) {
    throw new StepFailed(`${folder} is named after no target: expected ${Object.keys(machines).join(' or ')}`, { exitCode: 2 })
  }
  const problems = []
  const sums = new Map(
    readFileSync(join(folder, 'SHA256SUMS'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split('  ').reverse()),
  )
  for (const name of Object.keys(expectations)) {
    const found = createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex')
    if (sums.get(name) !== found) problems.push(`${name}: has the SHA-256 ${found}, SHA256SUMS says ${sums.get(name) ?? 'nothing'}`)
  }
  const facts = []
  for (const [name, expected] of Object.entries(expectations)) {
    const found = await inspect(join(folder, name))
    if (found.broken !== undefined) {
      problems.push(`${name}: ${found.broken}`)
      continue
    }
    problems.push(...compare({ ...expected, ...machines[target] }, found).map((problem) => `${name}: ${problem}`))
    const cxx = found.glibcxx === undefined ? '' : `, GLIBCXX ${found.glibcxx}`
    facts.push(
      `${target}/${name}: ${(found.bytes / 1e6).toFixed(1)} MB, glibc ${found.glibc}${cxx}, RUNPATH ${found.runpath ?? 'none'}, needs ${found.needed.join(', ')}`,
    )
  }
  if (problems.length > 0) throw new StepFailed(`${relative(root, folder)} is not fit for distribution`, { lines: problems })
  return facts
}

async function inspect(file) {
  const bytes = statSync(file).size
  const content = readFileSync(file)
  const end = endOfSections(content)
  if (end === null) return { broken: 'is not a 64-bit ELF file' }
  if (end > bytes) return { broken: `is truncated: has ${bytes} bytes of ${end}` }
  const header = await run('readelf', ['--file-header', '--wide', file])
  const dynamic = await run('readelf', ['--dynamic', '--wide', file])
  const symbols = await run('readelf', ['--dyn-syms', '--wide', file])
  const versionInfo = await run('readelf', ['--version-info', '--wide', file])
  const newest = (name) => {
    const versions = [...versionInfo.matchAll(new RegExp(`\\b${name}_(\\d[\\d.]*)`, 'g'))].map((match) => match[1])
    return versions.sort(compareVersions).at(-1)
  }
  const one = (tag) => new RegExp(`\\(${tag}\\)[^[]*\\[(.*)\\]`).exec(dynamic)?.[1]
  const rows = symbols.split('\n').map((line) => line.trim().split(/\s+/))
  const named = rows.filter(([, , , , binding]) => ['GLOBAL', 'WEAK', 'UNIQUE'].includes(binding))
  const where = (isDefined) => named.filter(([, , , , , , section]) => (section !== 'UND') === isDefined).map((row) => row[7])
  return {
    bytes,
    content: content.toString('latin1'),
    machine: /Machine:\s+(.*)/.exec(header)?.[1],
    needed: [...dynamic.matchAll(/\(NEEDED\)[^[]*\[(.*)\]/g)].map((match) => match[1]),
    soname: one('SONAME'),
    runpath: one('RUNPATH') ?? one('RPATH'),
    glibc: newest('GLIBC'),
    glibcxx: newest('GLIBCXX'),
    exports: where(true).sort(),
    imports: where(false),
  }
}

/** Where the table of sections, the last part of an ELF file, ends; null if this is none. */
function endOfSections(content) {
  if (content.length < 64 || content.toString('latin1', 0, 5) !== '\x7fELF\x02') return null
  return Number(content.readBigUInt64LE(40)) + content.readUInt16LE(58) * content.readUInt16LE(60)
}

function compare(expected, found) {
  const problems = []
  if (found.machine !== expected.machine) problems.push(`is built for ${found.machine}, expected ${expected.machine}`)
  const needed = [...expected.needed, expected.loader]
  const foreign = found.needed.filter((name) => !needed.includes(name))
  if (foreign.length > 0) problems.push(`needs ${foreign.join(', ')}, expected only ${needed.join(', ')}`)
  if (found.soname !== expected.soname) problems.push(`soname is ${found.soname ?? 'missing'}, expected ${expected.soname ?? 'none'}`)
  if (!expected.runpath.includes(found.runpath)) problems.push(`runpath is ${found.runpath ?? 'missing'}, expected ${expected.runpath[0]}`)
  if (expected.exports !== undefined && found.exports.join() !== expected.exports.join()) {
    problems.push(`exports ${found.exports.slice(0, 20).join(', ') || 'nothing'}, expected ${expected.exports.join(', ')}`)
  }
  if (compareVersions(found.glibc, expected.glibc) > 0) problems.push(`needs glibc ${found.glibc}, expected ${expected.glibc} at most`)
  if (found.glibcxx !== undefined && (expected.glibcxx === null || compareVersions(found.glibcxx, expected.glibcxx) > 0)) {
    problems.push(`needs GLIBCXX ${found.glibcxx}, expected ${expected.glibcxx ?? 'none'}${expected.glibcxx === null ? '' : ' at most'}`)
  }
  // Electron and other hosts with a caged heap refuse such buffers.
  const outside = found.imports.filter((name) => /^napi_create_external_(arraybuffer|buffer)$/.test(name))
  if (outside.length > 0) problems.push(`calls ${outside.join(', ')}, which some hosts refuse`)
  if (found.bytes > expected.largestBytes) problems.push(`has ${found.bytes} bytes, expected ${expected.largestBytes} at most`)
  const path = expected.buildPaths.find((folder) => found.content.includes(`${folder}/`)) ?? expected.strangePaths?.exec(found.content)?.[0]
  if (path !== undefined) problems.push(`contains a path of the machine that built it: ${path}`)
  return problems
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
