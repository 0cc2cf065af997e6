// Builds the addon for linux-arm64 on another machine, with Debian's cross compiler and a Rust that has the arm64 standard library.

import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join, relative } from 'node:path'
import { prepareOrt } from '../prepare-ort.mjs'
import { StepFailed, root, run } from '../setup/run.mjs'
import { buildEnvironment, findTools } from '../setup/toolchain.mjs'
import { arm64Folder, arm64GoogleTest, unpackArm64Packages } from './packages.mjs'
import { requireTools } from './tools.mjs'

const triple = 'aarch64-unknown-linux-gnu'
const log = 'native-arm64'
const folder = join(root, 'build', 'native-arm64')

/** Strips arm64 binaries. */
export const arm64Strip = 'aarch64-linux-gnu-strip'

/** Builds the addon; returns the folder that holds it and the runtime library. */
export const buildArm64Addon = ({ echo = false } = {}) => build('gabion', { echo })

/** Builds the native tests; returns their program. */
export async function buildArm64Tests() {
  await build('gabion_tests', { definitions: ['GABION_TESTS=ON', `GTest_DIR=${await arm64GoogleTest()}`] })
  return join(folder, 'native', 'test', 'gabion_tests')
}

async function build(target, { echo = false, definitions: more = [] } = {}) {
  await requireTools(['compiler'])
  const { folder: sdk } = await prepareOrt('linux-arm64')
  const { found, missing } = await findTools('start')
  if (missing.length > 0) throw new StepFailed('`npm run setup` installs the tools of an ordinary build first', { exitCode: 2 })
  const rust = await findRust(found)
  const definitions = [
    `CMAKE_TOOLCHAIN_FILE=${join(root, 'scripts', 'arm64', 'aarch64-linux-gnu.cmake')}`,
    'CMAKE_BUILD_TYPE=Release',
    `CMAKE_LIBRARY_OUTPUT_DIRECTORY=${join(folder, 'Release')}`,
    'GABION_ADDON=ON',
    `GABION_SDK=${sdk}`,
    // Two compilers that share a folder would each rebuild everything.
    `GABION_CARGO_TARGET_DIR=${join(root, 'build', 'tokenizer-arm64')}`,
    `GABION_CARGO_TARGET=${triple}`,
    `GABION_RUSTFLAGS=${rust.flags}`,
    `CARGO_EXECUTABLE=${rust.cargo}`,
    ...more,
  ]
  // The toolchain file names the compilers.
  const env = { ...buildEnvironment(found), CARGO: rust.cargo, RUSTC: rust.rustc }
  for (const name of ['CC', 'CXX']) delete env[name]
  const options = { log, echo, env }
  await run(found.cmake.path, ['-S', '.', '-B', folder, '-G', 'Ninja', ...definitions.map((definition) => `-D${definition}`)], options)
  await run(found.cmake.path, ['--build', folder, '--target', target], options)
  return join(folder, 'Release')
}

/** The usual Rust if it has the arm64 standard library (`rustup target add`), else Debian's with the library from Debian's arm64 package. */
async function findRust(found) {
  const [cargo, rustc] = [found.cargo.path, found.rustc.path]
  const own = (await run(rustc, ['--print', 'target-libdir', '--target', triple])).trim()
  if (existsSync(own)) return { cargo, rustc, flags: '' }
  await requireTools(['rust'])
  const debian = '/usr/bin/rustc'
  const version = await debianVersion('rustc-web')
  const sysroot = join(arm64Folder, `rust-${version}`)
  if (!existsSync(join(sysroot, 'lib', 'rustlib', triple))) {
    // The compiler reads only a library of exactly its own version.
    await unpackArm64Packages([`libstd-rust-web-dev=${version}`], sysroot)
    const libraries = join(sysroot, 'lib', 'rustlib')
    rmSync(libraries, { recursive: true, force: true })
    mkdirSync(libraries, { recursive: true })
    const unpacked = await run('find', [sysroot, '-type', 'd', '-name', triple, '-path', '*/rustlib/*'])
    symlinkSync(relative(libraries, unpacked.trim().split('\n')[0]), join(libraries, triple))
  }
  return { cargo: '/usr/bin/cargo', rustc: debian, flags: `--sysroot=${sysroot}` }
}

const debianVersion = async (name) => (await run('dpkg-query', ['--show', '--showformat', '${Version}', name])).trim()
