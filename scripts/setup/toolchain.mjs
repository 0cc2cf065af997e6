// The tools that a build needs: purpose, search and minimum version of each. apt.mjs installs them.

import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { run } from './run.mjs'
import { fileMark, readStamp, writeStamp } from './stamps.mjs'

const usualFolders = ['/usr/local/go/bin', join(homedir(), '.cargo', 'bin'), join(homedir(), 'go', 'bin'), '/usr/bin', '/usr/local/bin']
const searchPath = () => [...new Set([...(process.env.PATH ?? '').split(delimiter), ...usualFolders].filter((folder) => folder !== ''))]

/**
 * A tool is searched under the name the user set in the environment, then under its plain names, then under versioned ones (newest first).
 * `purposes` are those of steps.mjs that need it, by default all; an `optional` tool is installed if apt has it, and skipped otherwise.
 */
const tools = [
  {
    name: 'g++',
    what: 'C++20 compiler',
    variable: 'CXX',
    names: ['g++', 'c++'],
    versioned: /^g\+\+-(\d+)$/,
    args: ['-dumpfullversion', '-dumpversion'],
    minimum: '12',
  },
  { name: 'cmake', what: 'CMake', names: ['cmake'], minimum: '3.22' },
  { name: 'ninja', what: 'Ninja', names: ['ninja', 'ninja-build'], minimum: '1.10' },
  { name: 'rustc', what: 'Rust compiler', variable: 'RUSTC', names: ['rustc'], versioned: /^rustc-(\d+\.\d+)$/, minimum: '1.85' },
  { name: 'cargo', what: "Rust's cargo", variable: 'CARGO', names: ['cargo'], versioned: /^cargo-(\d+\.\d+)$/, minimum: '1.85' },
  { name: 'go', what: "Go's client (takes two C headers from a Go module)", names: ['go'], args: ['version'], minimum: '1.16' },
  { name: 'python3', what: 'Python', names: ['python3'], minimum: '3.8' },
  { name: 'pip', what: "Python's pip", names: ['python3'], args: ['-m', 'pip', '--version'], minimum: '20.3' },
  { name: 'certificates', what: 'CA certificates', file: () => process.env.SSL_CERT_FILE ?? '/etc/ssl/certs/ca-certificates.crt' },
  { name: 'gtest', what: 'GoogleTest', file: findGoogleTest, purposes: ['test', 'package', 'lint', 'tools'] },
  {
    name: 'chromium',
    what: 'Chromium, for the tests of pages',
    variable: 'CHROMIUM',
    names: ['chromium', 'google-chrome', 'google-chrome-stable'],
    minimum: '110',
    purposes: ['test', 'tools'],
    // Ubuntu has it as a snap only, which a container cannot install: the tests of pages are then skipped with a message.
    optional: true,
  },
  {
    name: 'redis',
    what: 'Redis or Valkey server, for the tests of the service',
    names: ['redis-server', 'valkey-server'],
    minimum: '6.2',
    purposes: ['test', 'tools'],
  },
]

/**
 * Finds every tool that `purpose` (see steps.mjs) needs.
 * Returns { found: {name: {path, version}}, missing: [{name, what, minimum, seen}], absent: [the same, of optional tools] }; a full result is
 * kept until one of the tools changes.
 */
export async function findTools(purpose, { fresh = false } = {}) {
  const wanted = tools.filter((tool) => tool.purposes?.includes(purpose) ?? true)
  const key = JSON.stringify([
    process.env.PATH,
    process.env.CXX,
    process.env.RUSTC,
    process.env.CARGO,
    process.env.SSL_CERT_FILE,
    process.env.CHROMIUM,
  ])
  const stamp = readStamp(`tools-${purpose}`)
  if (!fresh && stamp?.key === key && stamp.marks.every((mark, i) => fileMark(Object.values(stamp.found)[i].path) === mark)) {
    return { found: stamp.found, missing: [], absent: [] }
  }
  const results = await Promise.all(wanted.map(look))
  const found = Object.fromEntries(results.filter((tool) => tool.path !== null).map(({ name, path, version }) => [name, { path, version }]))
  const lacking = results.filter((tool) => tool.path === null)
  const isOptional = ({ name }) => tools.find((tool) => tool.name === name).optional === true
  const missing = lacking.filter((tool) => !isOptional(tool))
  if (lacking.length === 0) {
    const marks = Object.values(found).map(({ path }) => fileMark(path))
    writeStamp(`tools-${purpose}`, { key, found, marks })
  }
  return { found, missing, absent: lacking.filter(isOptional) }
}

/** The environment in which build commands run: the tools found, under the names that CMake and cargo read. */
export function buildEnvironment(found) {
  const folders = [...new Set([found.go, found.cargo, found.ninja, found.cmake].map((tool) => dirname(tool.path)))]
  const path = (process.env.PATH ?? '').split(delimiter)
  const added = folders.filter((folder) => !path.includes(folder))
  return {
    ...process.env,
    PATH: [...path, ...added].join(delimiter),
    CXX: found['g++'].path,
    CC: process.env.CC ?? cCompilerNextTo(found['g++'].path),
    CARGO: found.cargo.path,
    RUSTC: found.rustc.path,
  }
}

function cCompilerNextTo(path) {
  const name = basename(path)
    .replace(/^g\+\+/, 'gcc')
    .replace(/^c\+\+/, 'cc')
    .replace(/^clang\+\+/, 'clang')
  return join(dirname(path), name)
}

async function look(tool) {
  const { name, what, minimum } = tool
  if (tool.file !== undefined) {
    const path = tool.file()
    return { name, what, path: path !== null && existsSync(path) ? path : null, version: null }
  }
  const seen = []
  for (const path of candidates(tool)) {
    const version = await versionOf(path, tool.args ?? ['--version'])
    if (version !== null && atLeast(version, minimum)) return { name, what, path, version }
    if (version !== null) seen.push(`${path} is ${version}`)
  }
  return { name, what, minimum, path: null, seen }
}

function* candidates({ variable, names, versioned }) {
  const folders = searchPath()
  if (variable !== undefined && process.env[variable]) {
    const own = process.env[variable]
    yield* own.includes('/') ? [own] : folders.map((folder) => join(folder, own)).filter(isExecutable)
  }
  for (const name of names) yield* folders.map((folder) => join(folder, name)).filter(isExecutable)
  if (versioned === undefined) return
  const all = folders.filter((folder) => existsSync(folder)).flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  const versions = all.filter((path) => versioned.test(basename(path)))
  yield* versions.sort((a, b) => compareVersions(versioned.exec(basename(b))[1], versioned.exec(basename(a))[1]))
}

async function versionOf(path, args) {
  try {
    return /\d+(\.\d+)*/.exec(await run(path, args))?.[0] ?? null
  } catch {
    return null
  }
}

function findGoogleTest() {
  const folders = [
    '/usr/include',
    '/usr/local/include',
    ...(process.env.CPLUS_INCLUDE_PATH ?? '').split(delimiter).filter((folder) => folder !== ''),
  ]
  return folders.map((folder) => join(folder, 'gtest', 'gtest.h')).find((file) => existsSync(file)) ?? null
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** True when dotted version `version` is not older than `minimum`. */
export const atLeast = (version, minimum) => compareVersions(version, minimum) >= 0

/** Negative, zero or positive, as `a` is older than, equal to or newer than `b`. */
export function compareVersions(a, b) {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number))
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
