#!/usr/bin/env node
// Makes prebuilds/<target> for the package: addon, runtime library, and the licence texts of what is inside them.
//
// usage: node scripts/prebuild.mjs [--verbose]

import { copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { buildAddon, installAddon } from './build-native.mjs'
import { checkPrebuild } from './check-prebuild.mjs'
import { hostTarget, prepareOrt } from './prepare-ort.mjs'
import { crateLicences } from './prebuild/crate-licences.mjs'
import { isMain, reportFailure, root, run } from './setup/run.mjs'
import { buildEnvironment, findTools } from './setup/toolchain.mjs'

/** Builds, strips and checks the prebuilt files of this machine's platform. Returns a line of facts per binary; throws StepFailed. */
export async function prebuild({ echo = false } = {}) {
  // Checks the library against its pinned checksum: stripping changes it afterwards.
  const { folder: sdk } = await prepareOrt()
  await buildAddon({ echo })
  // prebuildify strips in place and takes the addon away: it gets copies, and build/Release stays usable meanwhile.
  const stage = join(root, 'build', 'prebuild')
  rmSync(stage, { recursive: true, force: true })
  installAddon(join(stage, 'build', 'Release'))
  const { found } = await findTools('start')
  const prebuildify = createRequire(join(root, 'package.json')).resolve('prebuildify/bin.js')
  const args = ['--napi', '--strip', '--name', 'gabion', '--cwd', stage, '--node-gyp', 'true']
  await run(process.execPath, [prebuildify, ...args], { log: 'prebuild', env: buildEnvironment(found), echo })

  const staged = join(stage, 'prebuilds', hostTarget)
  copyFileSync(join(sdk, 'LICENSE.txt'), join(staged, 'LICENSE.onnxruntime.txt'))
  copyFileSync(join(sdk, 'ThirdPartyNotices.txt'), join(staged, 'NOTICES.onnxruntime.txt'))
  writeFileSync(join(staged, 'NOTICES.tokenizer.txt'), await crateLicences(found.cargo.path))
  const facts = await checkPrebuild(staged)
  const folder = join(root, 'prebuilds', hostTarget)
  mkdirSync(dirname(folder), { recursive: true })
  rmSync(folder, { recursive: true, force: true })
  renameSync(staged, folder)
  return facts
}

if (isMain(import.meta.url)) {
  try {
    for (const fact of await prebuild({ echo: process.argv.includes('--verbose') })) console.log(fact)
  } catch (error) {
    reportFailure(error)
  }
}
