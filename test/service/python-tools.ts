// Python programs of the tests, from PyPI, in an environment under build/ that is rebuilt when its list changes.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const REQUIREMENTS = 'test/service/python/requirements.txt'

/** The folder of the environment's programs. Several test files may ask at once: the one that is done first wins. */
async function pythonPrograms(): Promise<string> {
  const mark = createHash('sha256')
    .update(await readFile(REQUIREMENTS))
    .digest('hex')
    .slice(0, 12)
  const folder = join(process.cwd(), 'build', 'python', `service-${mark}`)
  const target = join(folder, 'site')
  if (existsSync(target)) return target
  const fresh = join(folder, `new-${process.pid}`)
  const options = ['--quiet', '--only-binary', ':all:', '--no-warn-script-location', '--no-compile', '--target', fresh]
  await execute('python3', ['-m', 'pip', 'install', ...options, '--requirement', REQUIREMENTS], { maxBuffer: 1 << 24 })
  await rename(fresh, target).catch(async () => {
    await rm(fresh, { recursive: true, force: true })
  })
  return target
}

/** Runs Python with the programs of the tests, in `cwd`; its standard output. It dies with the test. */
export async function runPython(args: readonly string[], cwd = process.cwd()): Promise<string> {
  const site = await pythonPrograms()
  const env = { ...process.env, PYTHONPATH: site, PYTHONDONTWRITEBYTECODE: '1', HF_HUB_DISABLE_TELEMETRY: '1', DO_NOT_TRACK: '1' }
  const { stdout } = await execute('setpriv', ['--pdeathsig', 'KILL', 'python3', ...args], { cwd, env, maxBuffer: 1 << 26 })
  return stdout
}
