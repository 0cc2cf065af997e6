// Makes a folder as an installation has it, whose parts a test may break: gabion's own files as copies, its dependencies as a link.

import { execFile } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** The platform whose binaries the tests use: this machine's. */
export const TARGET = `${process.platform}-${process.arch}`
/** `nobody` on every Linux. */
const OTHER_USER = 65534

/** Where the parts of an installation lie. */
export interface Installation {
  /** The main package. */
  packageFolder: string
  /** The package of binaries. */
  platformFolder: string
  addon: string
  runtime: string
}

/** Lays an installation out, anew for each test; the model is a link unless the test is going to break it. */
export function install({ ownModel = false }: { ownModel?: boolean } = {}): Installation {
  const app = mkdtempSync(join(tmpdir(), 'gabion-installation-'))
  chmodSync(app, 0o755)
  // Made writable first: a test may have taken that away, and not every run is root's.
  after(async () => {
    await promisify(execFile)('chmod', ['-R', 'u+rwX', app])
    rmSync(app, { recursive: true, force: true })
  })
  const packageFolder = join(app, 'node_modules', 'gabion')
  const platformFolder = join(app, 'node_modules', `gabion-${TARGET}`)
  const binaries = join(platformFolder, 'prebuilds', TARGET)
  mkdirSync(packageFolder, { recursive: true })
  mkdirSync(binaries, { recursive: true })
  for (const name of ['dist', 'models']) {
    if (name === 'models' && !ownModel) symlinkSync(join(root, name), join(packageFolder, name))
    else cpSync(join(root, name), join(packageFolder, name), { recursive: true })
  }
  copyFileSync(join(root, 'package.json'), join(packageFolder, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(packageFolder, 'node_modules'))
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  writeFileSync(join(platformFolder, 'package.json'), JSON.stringify({ name: `gabion-${TARGET}`, version }))
  const [addon, runtime] = [join(binaries, 'gabion.node'), join(binaries, 'libgabion_onnx.so.1')]
  for (const file of [addon, runtime]) copyFileSync(join(root, 'prebuilds', TARGET, file.slice(binaries.length + 1)), file)
  return { packageFolder, platformFolder, addon, runtime }
}

/** One line of `gabion doctor --json`. */
export interface DoctorLine {
  name: string
  status: 'ok' | 'warn' | 'fail'
  detail: string
  advice: string | null
}

/** Whether permissions can be tested: by a user whom they stop, and who can read the checkout otherwise. */
export async function canBeStopped(): Promise<boolean> {
  if (process.getuid?.() !== 0) return true
  const look = promisify(execFile)('test', ['-r', join(root, 'package.json')], { uid: OTHER_USER, gid: OTHER_USER })
  return look.then(
    () => true,
    () => false,
  )
}

/** Runs the installation's own `gabion doctor`, without a home; `stopped` makes root `nobody`, whom permissions stop. */
export async function doctor(
  { packageFolder }: Installation,
  { args = [], env = {}, stopped = false }: { args?: readonly string[]; env?: NodeJS.ProcessEnv; stopped?: boolean } = {},
): Promise<{ code: number; lines: DoctorLine[]; stderr: string }> {
  const { NODE_OPTIONS: _options, ...own } = process.env
  const user = stopped && process.getuid?.() === 0 ? { uid: OTHER_USER, gid: OTHER_USER } : {}
  const options = { cwd: '/', env: { ...own, HOME: '/nonexistent', PREBUILDS_ONLY: '1', ...env }, ...user }
  const main = join(packageFolder, 'dist', 'cli', 'main.js')
  const { code, stdout, stderr } = await promisify(execFile)(process.execPath, [main, 'doctor', '--json', ...args], options).then(
    (ended) => ({ ...ended, code: 0 }),
    (error: unknown) => error as { code: number; stdout: string; stderr: string },
  )
  const lines = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as DoctorLine]))
  return { code, lines, stderr }
}
