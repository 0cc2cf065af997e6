#!/usr/bin/env node
// Builds the native parts with the presets of CMakePresets.json.
// Without options: the addon, put into build/Release with the runtime library next to it. --tests builds the native tests as well;
// --asan and --tsan build the tests of those presets.
// Other arguments are ignored: node-gyp's callers pass theirs.

import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { hasRuntime, hostTarget, libraryName, prepareOrt } from './prepare-ort.mjs'
import { StepFailed, isMain, reportFailure, root, run } from './setup/run.mjs'
import { buildEnvironment, findTools } from './setup/toolchain.mjs'

const jobs = String(availableParallelism())

/** Build folder of each configure preset. */
export const nativeFolders = Object.fromEntries(
  JSON.parse(readFileSync(join(root, 'CMakePresets.json'), 'utf8')).configurePresets.map(({ name, binaryDir }) => [
    name,
    binaryDir.replace('${sourceDir}', root),
  ]),
)

/** Builds the addon and puts it into build/Release. */
export async function buildAddon({ echo = false } = {}) {
  await buildPreset('release', 'gabion', { log: 'native', echo })
  installAddon()
}

/** Folder of the addon under AddressSanitizer: with GABION_BINARIES set to it the package loads that one. */
export const sanitizedAddon = join(nativeFolders['asan-addon'], 'Release')

/** Builds the addon under AddressSanitizer and UndefinedBehaviorSanitizer. Node itself is not instrumented: libasan must be preloaded. */
export const buildSanitizedAddon = ({ echo = false } = {}) => buildPreset('asan-addon', 'gabion', { echo })

/** Builds native tests (`target` of native/test) with a preset of CMakePresets.json: release, asan or tsan; returns the folder of the programs. */
export async function buildTests(preset, { echo = false, target = 'gabion_tests' } = {}) {
  await buildPreset(preset, target, { purpose: 'test', log: 'native-test', definitions: ['GABION_TESTS=ON'], echo })
  return join(nativeFolders[preset], 'native', 'test')
}

/** Builds a program of bench/native that needs the project's own libraries, next to the addon; returns its path. */
export async function buildBenchProgram(target) {
  await buildPreset('release', target, { definitions: ['GABION_BENCH=ON'] })
  return join(nativeFolders.release, target)
}

/** True when CMake's own build files say that nothing of these targets has to be built again. */
export async function isNativeCurrent(targets) {
  const folder = nativeFolders.release
  if (!existsSync(join(folder, 'build.ninja')) || cacheOf(folder)?.source !== root) return false
  const { found, env } = await toolsFor('start')
  const plan = await run(found.cmake.path, ['--build', folder, '--target', ...targets, '--', '-n'], { env }).catch(() => '')
  return plan.includes('no work to do')
}

async function buildPreset(preset, target, { purpose = 'start', log = `native-${preset}`, definitions = [], echo = false }) {
  const { found, env } = await toolsFor(purpose)
  const { folder: sdk } = await prepareOrt()
  removeForeignBuild(nativeFolders[preset], { source: root, compiler: env.CXX })
  const all = [`CARGO_EXECUTABLE=${found.cargo.path}`, `GABION_SDK=${sdk}`, ...definitions]
  const configure = ['--preset', preset, ...all.map((definition) => `-D${definition}`)]
  await run(found.cmake.path, configure, { log, env, echo })
  await run(found.cmake.path, ['--build', nativeFolders[preset], '--target', target, '--parallel', jobs], { log, env, echo })
}

/** The addon in its build folder. */
export const nativeRelease = join(nativeFolders.release, 'Release')

/** Names of the addon and of the library it loads, where there is one. */
export const addonFiles = (target = hostTarget) => ['gabion.node', ...(hasRuntime(target) ? [libraryName] : [])]

/** Copies an addon and its runtime library to `release`: by default this machine's, to where the package looks for them. */
export function installAddon({ built = nativeRelease, release = join(root, 'build', 'Release'), target = hostTarget } = {}) {
  mkdirSync(release, { recursive: true })
  for (const name of addonFiles(target)) {
    const file = join(built, name)
    if (!existsSync(file)) throw new StepFailed(`the native build ended without ${file}`)
    // Renamed into place: a process that has the old file mapped keeps it.
    copyFileSync(file, join(release, `${name}.new`))
    renameSync(join(release, `${name}.new`), join(release, name))
  }
}

/**
 * Removes a build folder that was configured for another checkout, as where this one was copied or moved, or for another compiler, which
 * CMake takes from the environment at the first configuration only.
 */
export function removeForeignBuild(folder, { source, compiler }) {
  const cache = cacheOf(folder)
  if (cache === null || (cache.source === source && cache.compiler === compiler)) return
  rmSync(folder, { recursive: true, force: true })
}

/** What a build folder was configured for; null for one that was not. */
function cacheOf(folder) {
  const file = join(folder, 'CMakeCache.txt')
  if (!existsSync(file)) return null
  const text = readFileSync(file, 'utf8')
  const valueOf = (name) => new RegExp(`^${name}:\\w+=(.*)$`, 'm').exec(text)?.[1]
  const source = valueOf('CMAKE_HOME_DIRECTORY')
  // CMake may have kept the name of a link that the checkout was reached by.
  return { source: source !== undefined && existsSync(source) ? realpathSync(source) : source, compiler: valueOf('CMAKE_CXX_COMPILER') }
}

async function toolsFor(purpose) {
  const { found, missing } = await findTools(purpose)
  if (missing.length > 0) {
    const names = missing.map((tool) => tool.what).join(', ')
    throw new StepFailed(`${names} not found; \`npm run setup\` installs what is missing or says how`, { exitCode: 2 })
  }
  return { found, env: buildEnvironment(found) }
}

if (isMain(import.meta.url)) {
  try {
    const sanitizer = ['asan', 'tsan'].find((preset) => process.argv.includes(`--${preset}`))
    if (sanitizer === undefined) await buildAddon({ echo: true })
    if (sanitizer !== undefined || process.argv.includes('--tests')) await buildTests(sanitizer ?? 'release', { echo: true })
  } catch (error) {
    reportFailure(error)
  }
}
