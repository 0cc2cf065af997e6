#!/usr/bin/env node
// Puts the ONNX Runtime that gabion is built and shipped with into build/sdk/<target>: two C headers from a Go module, the library from
// the project's own wheel, both against pinned checksums. Node built-ins only: it runs before and without node_modules.
//
// usage: node scripts/prepare-ort.mjs [TARGET]      ORT_INCLUDE_DIR=<folder> takes the headers from an SDK of your own

import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { StepFailed, isMain, reportFailure, root, run } from './setup/run.mjs'

const version = '1.30.0'
const libraryInWheel = `onnxruntime/capi/libonnxruntime.so.${version}`
const noticesInWheel = { 'onnxruntime/LICENSE': 'LICENSE.txt', 'onnxruntime/ThirdPartyNotices.txt': 'ThirdPartyNotices.txt' }

/** Same length, so the name can be changed in place: no segment of the library moves. */
const officialSoname = 'libonnxruntime.so.1'
export const libraryName = 'libgabion_onnx.so.1'

const targets = {
  'linux-x64': {
    platform: 'manylinux_2_28_x86_64',
    wheel: 'fd54b314ea385bcecac69ab431f020ba503e3878dad4ebb645fec5a24b041242',
    library: 'bedb72285ec7fa86c18fb997db641f441e0575361d690336a0f6a035bbfaacc4',
  },
  'linux-arm64': {
    platform: 'manylinux_2_28_aarch64',
    wheel: 'bac3aee7b40acd805659fd81a2acd6096312d5b0f014c97ddfe75fb4c1644627',
    library: '8aa740ceb4de4448b40d29773b0064d71b33dbafea54a12fa12dc6fb035cb59f',
  },
}

const headerModule = 'github.com/yalue/onnxruntime_go@v1.27.0'
const headers = {
  'onnxruntime_c_api.h': '9ed0d7054a4e74249467365b25b415d36f51a44a6349e2a994a1812e4723d1e2',
  'onnxruntime_ep_c_api.h': 'e94ac3490697bdb107844fa9d403952ee7136134132a057eae5c1207b57ce352',
}

const isMusl = process.platform === 'linux' && process.report.getReport().header.glibcVersionRuntime === undefined

/** The target of the machine this runs on, named as in lib/host-target.ts. */
export const hostTarget = `${process.platform}-${process.arch}${isMusl ? '-musl' : ''}`

/** Whether gabion ships ONNX Runtime for a target; without it the addon runs its own encoder only. */
export const hasRuntime = (target) => targets[target] !== undefined

/** ONNX Runtime of every target as components of a CycloneDX document. */
export const ortComponents = () =>
  Object.entries(targets).map(([target, { library, wheel }]) => ({
    'bom-ref': `onnxruntime:${target}`,
    type: 'library',
    name: 'onnxruntime',
    version,
    description: `${libraryName} of the package gabion-${target}, before it was stripped; its wheel has the SHA-256 ${wheel}`,
    purl: `pkg:pypi/onnxruntime@${version}`,
    hashes: [{ alg: 'SHA-256', content: library }],
    licenses: [{ license: { id: 'MIT' } }],
  }))

/** The folder that holds a target's headers, library and notices. */
export const sdkFolder = (target) => join(root, 'build', 'sdk', target)

/**
 * Makes the SDK folder of one target unless it is up to date, for this machine also where there is no library. Returns the folder; `changed`: whether
 * anything was written.
 */
export async function prepareOrt(target = hostTarget, { log = 'onnxruntime' } = {}) {
  const pins = targets[target]
  if (pins === undefined && target !== hostTarget)
    throw new StepFailed(`unknown target ${target}: expected one of ${Object.keys(targets).join(', ')}`, { exitCode: 2 })
  const folder = sdkFolder(target)
  const ownHeaders = process.env.ORT_INCLUDE_DIR
  if (await isComplete(folder, pins, ownHeaders)) return { folder, changed: false }

  const cache = join(root, 'build', 'cache')
  await mkdir(cache, { recursive: true })
  await mkdir(join(root, 'build', 'sdk'), { recursive: true })
  const fresh = await mkdtemp(join(root, 'build', 'sdk', `.${target}-`))
  try {
    await mkdir(join(fresh, 'include'))
    await takeHeaders(join(fresh, 'include'), ownHeaders, log)
    if (pins !== undefined) await takeLibrary(fresh, pins, cache, log)
    await rm(folder, { recursive: true, force: true })
    await rename(fresh, folder)
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
  return { folder, changed: true }
}

async function isComplete(folder, pins, ownHeaders) {
  for (const [name, expected] of Object.entries(headers)) {
    const wanted = ownHeaders === undefined ? expected : await sha256(join(ownHeaders, name))
    if (wanted === null || (await sha256(join(folder, 'include', name))) !== wanted) return false
  }
  if (pins === undefined) return true
  if ((await sha256(join(folder, libraryName))) !== pins.library) return false
  const notices = await Promise.all(Object.values(noticesInWheel).map((name) => sha256(join(folder, name))))
  return notices.every((hash) => hash !== null)
}

/** The headers come from the Go module proxy; a folder given by the user is used as it is. */
async function takeHeaders(into, ownHeaders, log) {
  let from = ownHeaders
  if (from === undefined) {
    const answer = await run('go', ['mod', 'download', '-json', headerModule], {
      log,
      cwd: '/',
      env: { ...process.env, GO111MODULE: 'on' },
    })
    from = JSON.parse(answer).Dir
  }
  for (const [name, expected] of Object.entries(headers)) {
    const source = join(from, name)
    const found = await sha256(source)
    if (found === null) throw new StepFailed(`${source} is missing: expected ONNX Runtime's C header`, { exitCode: 2 })
    if (ownHeaders === undefined && found !== expected) throw checksumError(`${headerModule}: ${name}`, expected, found)
    // Read and written, not copied: files of a module cache are read-only.
    await writeFile(join(into, name), await readFile(source))
  }
}

async function takeLibrary(into, pins, cache, log) {
  const wheel = (await findWheel(cache, pins)) ?? (await downloadWheel(cache, pins, log))
  const names = [libraryInWheel, ...Object.keys(noticesInWheel)]
  const unzip =
    'import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1]) as wheel:\n  for name in sys.argv[3:]: wheel.extract(name, sys.argv[2])'
  const unpacked = join(into, 'wheel')
  await run('python3', ['-c', unzip, wheel, unpacked, ...names], { log })

  const library = await readFile(join(unpacked, libraryInWheel))
  const at = library.indexOf(officialSoname)
  if (at === -1 || library.indexOf(officialSoname, at + 1) !== -1 || library[at + officialSoname.length] !== 0) {
    throw new StepFailed(`${libraryInWheel}: expected the name ${officialSoname} exactly once`)
  }
  // A name of its own: with the official one, whichever copy a process loads first would serve onnxruntime-node too, and break it.
  library.write(libraryName, at, 'latin1')
  const found = createHash('sha256').update(library).digest('hex')
  if (found !== pins.library) throw checksumError(libraryName, pins.library, found)
  await writeFile(join(into, libraryName), library, { mode: 0o755 })
  for (const [name, kept] of Object.entries(noticesInWheel)) await copyFile(join(unpacked, name), join(into, kept))
  await rm(unpacked, { recursive: true })
}

async function findWheel(cache, pins) {
  for (const name of await readdir(cache)) {
    if (name.startsWith(`onnxruntime-${version}-`) && (await sha256(join(cache, name))) === pins.wheel) return join(cache, name)
  }
  return null
}

async function downloadWheel(cache, pins, log) {
  const download = await mkdtemp(join(cache, '.download-'))
  try {
    const what = ['--no-deps', '--only-binary', ':all:', '--platform', pins.platform, '--python-version', '3.11', '--implementation', 'cp']
    await run('python3', ['-m', 'pip', 'download', ...what, '--dest', download, `onnxruntime==${version}`], { log })
    const [name] = await readdir(download)
    const found = await sha256(join(download, name))
    if (found !== pins.wheel) throw checksumError(name, pins.wheel, found)
    await rename(join(download, name), join(cache, name))
    return join(cache, name)
  } finally {
    await rm(download, { recursive: true, force: true })
  }
}

async function sha256(file) {
  try {
    return createHash('sha256')
      .update(await readFile(file))
      .digest('hex')
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
}

const checksumError = (what, expected, found) => new StepFailed(`${what}: expected SHA-256 ${expected}, found ${found}. Nothing was saved`)

if (isMain(import.meta.url)) {
  try {
    const { folder, changed } = await prepareOrt(process.argv[2])
    console.log(`ONNX Runtime ${version} ${changed ? 'written to' : 'is already in'} ${relative(process.cwd(), folder)}`)
  } catch (error) {
    reportFailure(error)
  }
}
