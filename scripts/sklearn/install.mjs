// Installs scikit-learn, joblib and skops for tests and benches: wheels in a folder of their own, no Python environment.

import { renameSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { isMain, reportFailure, root, run } from '../setup/run.mjs'
import { hashInputs, isCurrent, writeStamp } from '../setup/stamps.mjs'

const REQUIREMENTS = 'scripts/sklearn/requirements.txt'
const folder = join(root, 'build', 'sklearn')

/** The environment in which `python3` finds them. */
export const sklearnEnvironment = { ...process.env, PYTHONPATH: [folder, process.env.PYTHONPATH].filter(Boolean).join(delimiter) }

const inputsHash = () => hashInputs({ files: [REQUIREMENTS] })

/** Whether they are installed in the required versions. */
export const isSklearnInstalled = () => isCurrent('sklearn', inputsHash(), [join('build', 'sklearn', 'sklearn')])

/** Installs them if they are missing or of other versions. */
export async function installSklearn({ echo = false } = {}) {
  if (isSklearnInstalled()) return
  const fresh = `${folder}.new`
  rmSync(fresh, { recursive: true, force: true })
  const options = ['--quiet', '--only-binary', ':all:', '--no-warn-script-location', '--target', fresh]
  await run('python3', ['-m', 'pip', 'install', ...options, '--requirement', REQUIREMENTS], { log: 'sklearn', echo })
  rmSync(folder, { recursive: true, force: true })
  renameSync(fresh, folder)
  writeStamp('sklearn', { hash: inputsHash() })
}

if (isMain(import.meta.url)) {
  try {
    await installSklearn({ echo: true })
  } catch (error) {
    reportFailure(error)
  }
}
