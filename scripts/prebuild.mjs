#!/usr/bin/env node
// Makes prebuilds/<target> for the package: addon, runtime library, and the license texts of their contents.
//
// usage: node scripts/prebuild.mjs [--arch x64|arm64]… [--verbose]      without --arch: this machine's

import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { arm64Strip, buildArm64Addon } from './arm64/cross-build.mjs'
import { buildAddon, installAddon, nativeRelease } from './build-native.mjs'
import { binariesOf, checkPrebuild } from './check-prebuild.mjs'
import { hostTarget, prepareOrt } from './prepare-ort.mjs'
import { crateLicenses } from './prebuild/crate-licenses.mjs'
import { lowerGlibc } from './prebuild/lower-glibc.mjs'
import { StepFailed, isMain, reportFailure, root, run } from './setup/run.mjs'
import { buildEnvironment, findTools } from './setup/toolchain.mjs'

const architectures = ['x64', 'arm64']

/**
 * Builds, strips and checks the prebuilt files of a platform, by default this machine's; arm64 is cross-compiled on other machines.
 * Returns a line of facts per binary; throws StepFailed.
 */
export async function prebuild({ target = hostTarget, echo = false } = {}) {
  const [platform, arch] = target.split('-')
  // Checks the library against its pinned checksum: stripping changes it afterwards.
  const { folder: sdk } = await prepareOrt(target)
  const { built, strip } = await build(target, echo)
  // prebuildify strips in place and moves the addon: it gets copies, so that build/Release stays usable.
  const stage = join(root, 'build', 'prebuild', target)
  rmSync(stage, { recursive: true, force: true })
  installAddon({ built, release: join(stage, 'build', 'Release'), target })
  const { found } = await findTools('start')
  const prebuildify = createRequire(join(root, 'package.json')).resolve('prebuildify/bin.js')
  const what = ['--napi', '--strip', '--strip-bin', strip, '--platform', platform, '--arch', arch, '--name', 'gabion']
  const env = { ...buildEnvironment(found), PREBUILD_STRIP_BIN: strip }
  await run(process.execPath, [prebuildify, ...what, '--cwd', stage, '--node-gyp', 'true'], { log: 'prebuild', env, echo })

  const staged = join(stage, 'prebuilds', target)
  lowerGlibc(join(staged, 'gabion.node'))
  copyFileSync(join(sdk, 'LICENSE.txt'), join(staged, 'LICENSE.onnxruntime.txt'))
  copyFileSync(join(sdk, 'ThirdPartyNotices.txt'), join(staged, 'NOTICES.onnxruntime.txt'))
  writeFileSync(join(staged, 'NOTICES.tokenizer.txt'), await crateLicenses(found.cargo.path))
  writeChecksums(staged, target)
  const facts = await checkPrebuild(staged, target)
  const folder = join(root, 'prebuilds', target)
  mkdirSync(dirname(folder), { recursive: true })
  rmSync(folder, { recursive: true, force: true })
  renameSync(staged, folder)
  return facts
}

/** `gabion doctor` and `gabion model verify` compare the binaries with these. */
function writeChecksums(folder, target) {
  const lines = binariesOf(target).map(
    (name) =>
      `${createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex')}  ${name}\n`,
  )
  writeFileSync(join(folder, 'SHA256SUMS'), lines.join(''))
}

async function build(target, echo) {
  if (target === hostTarget) {
    await buildAddon({ echo })
    return { built: nativeRelease, strip: 'strip' }
  }
  if (target !== 'linux-arm64')
    throw new StepFailed(`${target} cannot be built on ${hostTarget}: build it on such a machine`, { exitCode: 2 })
  return { built: await buildArm64Addon({ echo }), strip: arm64Strip }
}

function readOptions(args) {
  const flags = { arch: { type: 'string', multiple: true, default: [process.arch] }, verbose: { type: 'boolean', default: false } }
  const usage = 'usage: node scripts/prebuild.mjs [--arch x64|arm64]… [--verbose]'
  try {
    const { values } = parseArgs({ args, options: flags })
    const unknown = values.arch.find((arch) => !architectures.includes(arch))
    if (unknown !== undefined) throw new TypeError(`--arch ${unknown}: expected ${architectures.join(' or ')}`)
    return values
  } catch (error) {
    throw new StepFailed(`${error.message}\n${usage}`, { exitCode: 2 })
  }
}

if (isMain(import.meta.url)) {
  try {
    const { arch, verbose } = readOptions(process.argv.slice(2))
    for (const one of arch) for (const fact of await prebuild({ target: `linux-${one}`, echo: verbose })) console.log(fact)
  } catch (error) {
    reportFailure(error)
  }
}
