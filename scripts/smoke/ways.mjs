// The ways in which users run an installed gabion, each as a function that throws when it does not work.

import { execFile } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { hostTarget, libraryName } from '../prepare-ort.mjs'
import { checkPackages } from '../release/check.mjs'
import { root, run } from '../setup/run.mjs'
import { makeApp } from './apps.mjs'
import { bundlerWays } from './bundlers.mjs'
import { ownNothing } from './environment.mjs'
import { managers, quickManagers } from './managers.mjs'
import { nodeRelease } from './nodes.mjs'

const execute = promisify(execFile)

/** `nobody` on every Linux. */
const otherUser = 65534

/**
 * Name of each way → its check. A way may return why it was skipped.
 *
 * @param context place: a folder to work in; registry: its address; main, offline, platforms: tarballs; quick; apps: an empty Map
 */
export function waysOf(context) {
  const { place, quick } = context
  const app = (manager) => once(context.apps, manager, () => makeApp(join(place, manager), manager, context.registry))
  const releases = quick ? ['latest'] : ['20', '22', '24', 'latest']
  const ways = {
    'publint, attw, no install scripts, size': () => checkPackages(context.main, context.platforms),
    'npm finds no install script in any package': async () => noInstallScripts(await app('npm')),
    'npm install of the offline tarball': async () => {
      if (context.offline === undefined) return 'there is no such tarball'
      await probe(await makeApp(join(place, 'offline'), 'npm', context.registry, [context.offline]))
    },
  }
  for (const name of quick ? quickManagers : Object.keys(managers)) {
    ways[`installed by ${name}`] = async () => probe(await app(name), { runner: await managers[name].runner?.() })
  }
  for (const range of releases) {
    ways[`Node ${range}`] = async () => {
      const { path, version } = await nodeRelease(range)
      const said = await probe(await app('npm'), { node: path })
      if (said.node !== `v${version}`) throw new Error(`expected Node ${version}, ran ${said.node}`)
    }
  }
  return {
    ...ways,
    'without PREBUILDS_ONLY, from another folder': async () => probe(await app('npm'), { cwd: '/', env: { PREBUILDS_ONLY: undefined } }),
    'its service, with health and reflection over gRPC': async () => probe(await app('npm'), { script: 'service.mjs' }),
    'in a worker thread': async () => probe(await app('npm'), { script: 'worker.mjs' }),
    'from a path with spaces and letters beyond ASCII': async () =>
      probe(await copyOf(await app('npm'), join(place, 'ein Ordner für 文字 🐈'))),
    'from a read-only file system': async () => readOnly(context, await app('npm')),
    'as another user, without a home': async () => {
      if (process.getuid() !== 0) return 'only root can become another user'
      await probe(await app('npm'), { uid: otherUser, env: { HOME: '/nonexistent' } })
    },
    'bundled by esbuild as a module': async () => probe(await bundled(context, await app('npm'), 'esm')),
    'bundled by esbuild as CommonJS': async () => probe(await bundled(context, await app('npm'), 'cjs'), { script: 'embed.cjs' }),
    ...bundlerWays(context, () => app('npm'), probe),
    'next to onnxruntime-node and transformers.js': async () =>
      quick ? 'skipped in the short form' : withOtherRuntimes(context, await app('npm')),
    'in Jest': async () => (quick ? 'skipped in the short form' : inTestRunner(await app('npm'), 'jest')),
    "in Vitest's vm pool": async () => (quick ? 'skipped in the short form' : inTestRunner(await app('npm'), 'vitest')),
    'with no external buffers in use': async () => {
      const symbols = await run('nm', ['-D', '--undefined-only', join(binariesOf(await app('npm')), 'gabion.node')])
      if (/napi_create_external_(arraybuffer|buffer)/.test(symbols)) throw new Error('the addon makes external buffers')
    },
    'a truncated addon is detected': async () =>
      mustFail(await broken(context, await app('npm'), (folder) => truncateSync(join(folder, 'gabion.node'), 100_000))),
    'a missing runtime library is detected': async () =>
      mustFail(await broken(context, await app('npm'), (folder) => rmSync(join(folder, libraryName)))),
    'an addon of another processor is detected': async () =>
      mustFail(await broken(context, await app('npm'), (folder) => setMachine(join(folder, 'gabion.node')))),
  }
}

/** All ways that need an app share one; if it cannot be made, each of them fails. */
function once(apps, name, make) {
  if (!apps.has(name)) apps.set(name, make())
  return apps.get(name)
}

/** Runs a probe in an app's folder; returns its report. Throws if it did not embed from the app's own binaries. */
async function probe(
  folder,
  { script = 'embed.mjs', args = [], node = process.execPath, runner = [node], cwd = folder, env = {}, uid } = {},
) {
  const options = {
    cwd,
    env: { ...ownNothing(), NODE_OPTIONS: '', PREBUILDS_ONLY: '1', ...env },
    ...(uid === undefined ? {} : { uid, gid: uid }),
  }
  const [command, ...first] = runner
  const { stdout } = await execute(command, [...first, join(folder, script), ...args], options)
  const said = JSON.parse(stdout)
  if (said.dimensions !== 384 || Math.abs(said.length - 1) > 1e-5) throw new Error(`no unit vector of 384 dimensions: ${stdout}`)
  if (said.libraries.length !== 2 || said.libraries.some((file) => !file.startsWith(`${realpathSync(folder)}/`))) {
    throw new Error(`expected the app's own two binaries, ran with ${said.libraries.join(', ')}`)
  }
  return said
}

/** Package managers refuse such scripts, or run them: none of gabion's dependencies has one. */
async function noInstallScripts(app) {
  const { packages } = JSON.parse(readFileSync(join(app, 'node_modules', '.package-lock.json'), 'utf8'))
  const having = Object.entries(packages).flatMap(([path, { hasInstallScript }]) => (hasInstallScript === true ? [path] : []))
  if (having.length > 0) throw new Error(`these have install scripts: ${having.join(', ')}`)
}

async function copyOf(app, folder) {
  // Hard links of files, since an installation has 140 MB; folders and symbolic links are recreated.
  await run('cp', ['-al', app, folder])
  return folder
}

/** In its own mount the app's folder is read-only even to root; where mounting is not allowed, to a user without write permission. */
async function readOnly(context, app) {
  const folder = await copyOf(app, join(context.place, 'read-only'))
  const inside = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ! touch "$0/x" 2>/dev/null && cd "$0" && exec "$1" embed.mjs'
  const env = { ...ownNothing(), NODE_OPTIONS: '', PREBUILDS_ONLY: '1', HOME: folder, TMPDIR: folder }
  const canMount = await execute('unshare', ['--mount', '--map-root-user', 'true']).then(
    () => true,
    () => false,
  )
  if (canMount) {
    await execute('unshare', ['--mount', '--map-root-user', 'sh', '-c', inside, folder, process.execPath], { env })
    return
  }
  if (process.getuid() !== 0) return 'mounting is not allowed here'
  await run('chmod', ['-R', 'a-w', folder])
  await probe(folder, { uid: otherUser, env: { HOME: folder, TMPDIR: folder } })
}

async function bundled(context, app, format) {
  const folder = join(context.place, `bundle-${format}`)
  mkdirSync(folder)
  // The bundle's folder contains the package and only this file of the app.
  await run('cp', ['-al', join(app, 'node_modules'), folder])
  const script = "import { Embedder } from 'gabion'"
  writeFileSync(join(folder, 'package.json'), '{"private":true}')
  const source = join(folder, 'source.ts')
  writeFileSync(
    source,
    `${script}
async function main(): Promise<void> {
  const embedder = await Embedder.load()
  const vector: Float32Array = await embedder.embed('The kettle is on.')
  // The bundled model needs no ONNX Runtime; asking for its version opens it.
  if (embedder.info.runtimeVersion === '') throw new Error('ONNX Runtime has no version')
  const libraries = process.report.getReport().sharedObjects.filter((file: string) => /gabion(\\.node|_onnx)/.test(file))
  console.log(JSON.stringify({ node: process.version, dimensions: vector.length, length: Math.hypot(...vector), libraries }))
  embedder.dispose()
}
void main()
`,
  )
  const outfile = join(folder, format === 'esm' ? 'embed.mjs' : 'embed.cjs')
  await build({ entryPoints: [source], outfile, bundle: true, platform: 'node', format, external: ['gabion'], logLevel: 'silent' })
  rmSync(source)
  return folder
}

async function withOtherRuntimes(context, app) {
  const folder = join(root, 'build', 'smoke', 'other-runtimes')
  if (!existsSync(join(folder, 'node_modules', '@huggingface', 'transformers'))) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{"private":true}')
    await run(
      'npm',
      ['install', '--ignore-scripts', '--no-audit', '--no-fund', 'onnxruntime-node@1.30.0', '@huggingface/transformers@4.3.1'],
      { cwd: folder },
    )
  }
  const graph = join(root, 'build', 'models', 'all-MiniLM-L6-v2', 'onnx', 'model_fp32.onnx')
  if (!existsSync(graph)) return '`npm run setup -- --for test` makes the graph it needs'
  await probe(app, { script: 'other-runtimes.mjs', args: [folder, graph] })
}

/** How each test runner is started in an app's folder, relative to the folder that has both. */
const TEST_RUNNERS = {
  jest: ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--testMatch', '**/realm.test.mjs', '--transform={}', '--rootDir'],
  vitest: ['node_modules/vitest/vitest.mjs', 'run', '--pool=vmThreads', '--globals', 'realm.test.mjs', '--root'],
}

/** The probe for test runners, in realms of their own. */
async function inTestRunner(app, runner) {
  const folder = join(root, 'build', 'smoke', 'test-runners')
  if (!existsSync(join(folder, 'node_modules', runner))) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{"private":true}')
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', 'jest@30', 'vitest@4'], { cwd: folder })
  }
  const env = { ...ownNothing(), NODE_OPTIONS: '', PREBUILDS_ONLY: '1' }
  const args = TEST_RUNNERS[runner].map((arg) => (arg.startsWith('node_modules/') ? join(folder, arg) : arg))
  await execute(process.execPath, [...args, realpathSync(app)], { cwd: app, env })
}

const binariesOf = (app) => join(realpathSync(join(app, 'node_modules', `gabion-${hostTarget}`)), 'prebuilds', hostTarget)

/** A copy of the app whose binaries may be broken. */
async function broken(context, app, damage) {
  const folder = mkdtempSync(join(context.place, 'broken-'))
  await run('cp', ['-al', `${app}/.`, folder])
  const binaries = binariesOf(folder)
  for (const name of readdirSync(binaries)) {
    // No longer the same file as the app's.
    cpSync(join(binaries, name), join(binaries, `${name}.own`))
    renameSync(join(binaries, `${name}.own`), join(binaries, name))
  }
  damage(binaries)
  return folder
}

async function mustFail(folder) {
  const said = await probe(folder).catch((error) => error)
  if (!(said instanceof Error)) throw new Error('the probe of a broken package passed')
  if (!/RUNTIME_MISSING|RUNTIME_INCOMPATIBLE/.test(said.stderr ?? ''))
    throw new Error(`expected a coded error, found: ${said.stderr ?? said.message}`)
  const doctor = await execute(process.execPath, [join(folder, 'node_modules', 'gabion', 'dist', 'cli', 'main.js'), 'doctor', '--json'], {
    cwd: folder,
    env: { ...ownNothing(), PREBUILDS_ONLY: '1' },
  }).catch((error) => error)
  if (doctor.code !== 1 || !/"status":"fail"/.test(doctor.stdout)) throw new Error(`gabion doctor does not find it: ${doctor.stdout}`)
}

/** Changes an ELF file's header to the other architecture. */
function setMachine(file) {
  const content = readFileSync(file)
  content.writeUInt16LE(process.arch === 'x64' ? 183 : 62, 18)
  writeFileSync(file, content)
}
