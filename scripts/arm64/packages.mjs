// Packages of Debian's arm64 architecture, unpacked in build/arm64.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { unpackDebianPackages } from '../debian-packages.mjs'
import { root } from '../setup/run.mjs'

/** Folder of everything for arm64 that is not built here. */
export const arm64Folder = join(root, 'build', 'arm64')

/** Downloads packages (`name` or `name=version`) and unpacks them into `folder`, which is emptied first. */
export const unpackArm64Packages = (names, folder) => unpackDebianPackages(names, folder, { architecture: 'arm64' })

/** GoogleTest for arm64: the folder that CMake takes as GTest_DIR. */
export async function arm64GoogleTest() {
  const folder = join(arm64Folder, 'gtest')
  const config = join(folder, 'usr', 'lib', 'aarch64-linux-gnu', 'cmake', 'GTest')
  if (!existsSync(config)) await unpackArm64Packages(['libgtest-dev'], folder)
  return config
}
