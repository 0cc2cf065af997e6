#!/usr/bin/env node
// Builds the native parts. Without options: the addon, put into build/Release together with the runtime library.
// --tests adds the engine's tests to that build; --sanitize builds them under AddressSanitizer and UndefinedBehaviorSanitizer, --threads under
// ThreadSanitizer, both without Node and each in a folder of its own.
// Other arguments are ignored: node-gyp's callers pass theirs.

import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { libraryName, prepareOrt } from './prepare-ort.mjs'
import { StepFailed, isMain, reportFailure, root, run } from './setup/run.mjs'
import { buildEnvironment, findTools } from './setup/toolchain.mjs'

const jobs = String(availableParallelism())

/**
 * Names, folders and configuration of the engine's test builds. The ordinary one joins the addon's:
 * the kernels alone take minutes to compile.
 */
export const testBuilds = {
  tests: { folder: 'build/native', log: 'native-test', definitions: ['CMAKE_BUILD_TYPE=Release'] },
  sanitize: {
    folder: 'build/native-asan',
    log: 'native-asan',
    definitions: ['CMAKE_BUILD_TYPE=RelWithDebInfo', 'GABION_SANITIZE=address,undefined'],
  },
  threads: {
    folder: 'build/native-tsan',
    log: 'native-tsan',
    definitions: ['CMAKE_BUILD_TYPE=RelWithDebInfo', 'GABION_SANITIZE=thread'],
  },
}

/** Builds the addon in build/native and puts it into build/Release. */
export async function buildAddon({ echo = false } = {}) {
  await compileAddon(join(root, 'build', 'native'), [], { log: 'native', echo })
  installAddon()
}

/** Folder of the addon under AddressSanitizer: with GABION_PREBUILD set to it the package loads that one. */
export const sanitizedAddon = join(root, 'build', 'asan-addon')

/** Builds the addon under AddressSanitizer and UndefinedBehaviorSanitizer. Node itself is built without it: libasan must be preloaded. */
export async function buildSanitizedAddon({ echo = false } = {}) {
  const definitions = ['CMAKE_BUILD_TYPE=RelWithDebInfo', 'GABION_SANITIZE=address,undefined']
  await compileAddon(join(sanitizedAddon, 'build'), definitions, { log: 'native-asan-addon', echo })
}

async function compileAddon(folder, own, { log, echo }) {
  const { found, env } = await toolsFor('start')
  const definitions = [...(await commonDefinitions(found)), ...own]
  forgetOtherTools(folder, found)
  const cmakeJs = createRequire(join(root, 'package.json')).resolve('cmake-js/bin/cmake-js')
  const common = ['--out', folder, '--generator', 'Ninja', '--parallel', jobs, ...definitions.map((definition) => `--CD${definition}`)]
  for (const command of ['configure', 'build']) {
    await run(process.execPath, [cmakeJs, command, ...common, '--target', 'gabion'], { log, env, echo })
  }
}

/** The addon in its build folder. */
export const nativeRelease = join(root, 'build', 'native', 'Release')

/** Copies an addon and its runtime library to `release`: by default this machine's, to where the package looks for them. */
export function installAddon({ built = nativeRelease, release = join(root, 'build', 'Release') } = {}) {
  mkdirSync(release, { recursive: true })
  for (const file of [join(built, 'gabion.node'), join(built, libraryName)]) {
    const name = basename(file)
    if (!existsSync(file)) throw new StepFailed(`the native build ended without ${file}`)
    // Renamed into place: a process that has the old file mapped keeps it.
    copyFileSync(file, join(release, `${name}.new`))
    renameSync(join(release, `${name}.new`), join(release, name))
  }
}

/** Builds the tests of one of `testBuilds`, or another target of native/test; `tests` needs the addon's build first. */
export async function buildTests(kind, { echo = false, target = 'gabion_tests' } = {}) {
  const { definitions } = testBuilds[kind]
  await buildTarget(testBuilds[kind], target, { purpose: 'test', definitions: ['GABION_TESTS=ON', ...definitions], echo })
}

/** Builds a program of bench/native that links the project's own libraries, in the addon's build; returns its path. */
export async function buildBenchProgram(target) {
  const { folder, definitions } = testBuilds.tests
  await buildTarget(testBuilds.tests, target, { purpose: 'start', definitions: ['GABION_BENCH=ON', ...definitions] })
  return join(root, folder, target)
}

async function buildTarget({ folder, log }, target, { purpose, definitions, echo = false }) {
  const { found, env } = await toolsFor(purpose)
  forgetOtherTools(join(root, folder), found)
  const all = [...(await commonDefinitions(found)), ...definitions]
  const configure = ['-S', '.', '-B', folder, '-G', 'Ninja', ...all.map((definition) => `-D${definition}`)]
  await run(found.cmake.path, configure, { log, env, echo })
  await run(found.cmake.path, ['--build', folder, '--target', target, '--parallel', jobs], { log, env, echo })
}

async function commonDefinitions(found) {
  const { folder } = await prepareOrt()
  return [`CARGO_EXECUTABLE=${found.cargo.path}`, `GABION_SDK=${folder}`]
}

async function toolsFor(purpose) {
  const { found, missing } = await findTools(purpose)
  if (missing.length > 0) {
    const names = missing.map((tool) => tool.what).join(', ')
    throw new StepFailed(`${names} not found; \`npm run setup\` installs what is missing or says how`, { exitCode: 2 })
  }
  return { found, env: buildEnvironment(found) }
}

/** CMake keeps the compiler of its first run: with other tools the folder is emptied. */
function forgetOtherTools(folder, found) {
  const mark = join(folder, '.tools')
  const tools = JSON.stringify(['g++', 'rustc', 'cargo', 'cmake', 'ninja'].map((name) => found[name]))
  if (existsSync(mark) && readFileSync(mark, 'utf8') === tools) return
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(mark, tools)
}

if (isMain(import.meta.url)) {
  try {
    const kind = Object.keys(testBuilds).find((name) => process.argv.includes(`--${name}`))
    await (kind === undefined ? buildAddon({ echo: true }) : buildTests(kind, { echo: true }))
  } catch (error) {
    reportFailure(error)
  }
}
