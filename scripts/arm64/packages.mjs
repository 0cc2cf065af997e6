// Downloads packages of Debian's arm64 architecture and unpacks them in build/arm64, with its own package lists: the machine's stay unchanged.

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StepFailed, root, run } from '../setup/run.mjs'

/** Folder of everything for arm64 that is not built here. */
export const arm64Folder = join(root, 'build', 'arm64')

const log = 'arm64-packages'

/** Downloads packages (`name` or `name=version`) and unpacks them into `folder`, which is emptied first. */
export async function unpackArm64Packages(names, folder) {
  if (!existsSync('/usr/bin/apt-get')) {
    throw new StepFailed('Cross-compiling needs Debian packages, and this system has no apt-get', { exitCode: 2 })
  }
  const apt = join(arm64Folder, 'apt')
  const downloads = join(apt, 'downloads')
  rmSync(downloads, { recursive: true, force: true })
  for (const name of ['lists/partial', 'cache/archives/partial', 'downloads']) mkdirSync(join(apt, name), { recursive: true })
  const status = join(apt, 'status')
  writeFileSync(status, '')
  const configuration = join(apt, 'apt.conf')
  const settings = [
    ['Dir::State', apt],
    ['Dir::State::Lists', join(apt, 'lists')],
    ['Dir::State::Status', status],
    ['Dir::Cache', join(apt, 'cache')],
    ['APT::Architecture', 'arm64'],
    ['Acquire::Languages', 'none'],
    // The sandbox's user cannot write into a checkout.
    ['APT::Sandbox::User', 'root'],
  ]
  writeFileSync(configuration, `${settings.map(([key, value]) => `${key} "${value}";`).join('\n')}\nAPT::Architectures { "arm64"; };\n`)
  const env = { ...process.env, APT_CONFIG: configuration }
  await run('apt-get', ['update'], { log, env })
  await run('apt-get', ['download', ...names], { log, env, cwd: downloads })
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(downloads)) await run('dpkg-deb', ['-x', join(downloads, name), folder], { log })
}

/** GoogleTest for arm64: the folder that CMake takes as GTest_DIR. */
export async function arm64GoogleTest() {
  const folder = join(arm64Folder, 'gtest')
  const config = join(folder, 'usr', 'lib', 'aarch64-linux-gnu', 'cmake', 'GTest')
  if (!existsSync(config)) await unpackArm64Packages(['libgtest-dev'], folder)
  return config
}
