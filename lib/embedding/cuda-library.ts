// Owns where ONNX Runtime's CUDA provider library is looked for: a path that was given, the environment, packages that carry it. gabion ships
// none: it has 270 MB and needs a driver's company.

import { existsSync, readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'

const FILE = 'libonnxruntime_providers_cuda.so'

/** Names a file, or the folder that has it; looked at after the option `cudaLibrary`. */
export const CUDA_VARIABLE = 'GABION_CUDA_PROVIDER'

/**
 * Absolute path of the CUDA provider library; null if none is found. A path that was given is returned as it is, there or not, so that the
 * error names it.
 */
export function findCudaLibrary(given: string | undefined, env: NodeJS.ProcessEnv = process.env): string | null {
  const named = given ?? env[CUDA_VARIABLE]
  if (named !== undefined && named !== '') return fileIn(resolve(named))
  return candidates(env).find((file) => existsSync(file)) ?? null
}

function fileIn(path: string): string {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  return isFolder ? join(path, FILE) : path
}

/** Where Python's `onnxruntime-gpu` and npm's `onnxruntime-node` (after its own download) put the library. */
function candidates(env: NodeJS.ProcessEnv): string[] {
  const environments = [env.VIRTUAL_ENV, env.CONDA_PREFIX].filter((folder) => folder !== undefined && folder !== '')
  const inEnvironments = environments.flatMap((folder) => pythons(join(folder as string, 'lib'), 'site-packages'))
  const inSystem = [
    ...pythons('/usr/local/lib', 'dist-packages'),
    ...pythons('/usr/local/lib', 'site-packages'),
    '/usr/lib/python3/dist-packages',
  ]
  const files = [...inEnvironments, ...inSystem].map((folder) => join(folder, 'onnxruntime', 'capi', FILE))
  try {
    const main = createRequire(join(process.cwd(), 'package.json')).resolve('onnxruntime-node/package.json')
    files.push(join(dirname(main), 'bin', 'napi-v6', process.platform, process.arch, FILE))
  } catch {
    // Not installed there, which is the usual case.
  }
  return files
}

function pythons(lib: string, packages: string): string[] {
  try {
    const names = readdirSync(lib).filter((name) => /^python3\.\d+$/.test(name))
    return names.map((name) => join(lib, name, packages))
  } catch {
    return []
  }
}
