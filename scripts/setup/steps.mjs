// The set-up's steps in order: outputs, inputs and purposes of each. setup.mjs decides which are skipped.

import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { addonFiles, buildAddon, buildTests, isNativeCurrent } from '../build-native.mjs'
import { buildTypeScript } from '../build-ts.mjs'
import { prebuild } from '../prebuild.mjs'
import { hasRuntime, hostTarget, libraryName, prepareOrt } from '../prepare-ort.mjs'
import { installSklearn, isSklearnInstalled } from '../sklearn/install.mjs'
import { installMissing, isInstallable } from './apt.mjs'
import { installedDifference } from './npm-packages.mjs'
import { StepFailed, root, run } from './run.mjs'
import { fileMark, hashInputs } from './stamps.mjs'
import { buildEnvironment, findTools } from './toolchain.mjs'

const scriptSources = [
  'lib',
  'tsconfig.json',
  'tsconfig.build.json',
  'package-lock.json',
  'scripts/build-ts.mjs',
  'scripts/bundle.mjs',
  'scripts/bundled-packages.mjs',
  'scripts/build-dashboard.mjs',
]
const sdkFiles = ['include/onnxruntime_c_api.h', ...(hasRuntime(hostTarget) ? [libraryName] : [])].map(
  (name) => `build/sdk/${hostTarget}/${name}`,
)
const builtFiles = addonFiles().map((name) => `build/Release/${name}`)

/** The folder of models that only tests need. */
const referenceModel = 'build/models/all-MiniLM-L6-v2'

const goldenScripts = [
  'scripts/golden/requirements.txt',
  ...[
    'make_exports',
    'make_family',
    'make_full_depth',
    'make_minilm',
    'make_tokens',
    'make_vectors',
    'full_vocabularies',
    'unicode_texts',
  ].map((name) => `scripts/golden/${name}.py`),
]

const classifierScripts = ['make_guard', 'make_classifiers', 'make_family', 'unicode_texts'].map((name) => `scripts/golden/${name}.py`)

const encoderScripts = ['make_encoders', 'make_family', 'unicode_texts'].map((name) => `scripts/golden/${name}.py`)

/** The model of a guard as it is trained. */
const guardSources = ['model', 'segments'].map((name) => `lab/guard/${name}.py`)

/** The purposes of a set-up; 'tools' installs compilers and tools and leaves the checkout alone. */
export const purposes = ['start', 'test', 'package', 'lint', 'tools']

/**
 * A step has an id, a title, the purposes it serves, the steps that it starts `after`, and either `isDone(context)` or `hash(context)` with
 * `outputs` that decide when it can be skipped. `work(context)` may return a note for the terminal. `context` carries options and the tools
 * found. A step stands behind those that it waits for.
 */
export const steps = [
  {
    id: 'toolchain',
    title: 'Compilers and tools',
    purposes,
    isDone: async (context) => {
      context.tools = await findTools(context.purpose, { fresh: context.force })
      const { missing, absent } = context.tools
      const installable = await Promise.all(absent.map(isInstallable))
      return missing.length === 0 && !installable.includes(true)
    },
    work: async (context) => {
      const { missing, absent } = (context.tools = await findTools(context.purpose, { fresh: true }))
      if (missing.length + absent.length === 0) return null
      const packages = await installMissing(missing, process.env, absent)
      context.tools = await findTools(context.purpose, { fresh: true })
      const still = context.tools.missing.map((tool) => tool.what)
      if (still.length > 0)
        throw new StepFailed(`still missing after the installation: ${still.join(', ')}`, { log: 'build/logs/toolchain.log' })
      return `installed ${packages.join(' ')}`
    },
  },
  {
    id: 'packages',
    title: 'npm packages',
    purposes: ['start', 'test', 'package', 'lint'],
    after: ['toolchain'],
    isDone: () => installedDifference() === null,
    // Install scripts stay off: nothing here needs one, and some would download.
    work: async (context) => {
      await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { log: 'packages', echo: context.verbose })
    },
  },
  {
    id: 'onnxruntime',
    title: 'ONNX Runtime',
    purposes: ['start', 'test', 'package', 'lint'],
    after: ['packages'],
    hash: () =>
      hashInputs({
        files: ['scripts/prepare-ort.mjs'],
        texts: [...sdkFiles.map((file) => fileMark(join(root, file))), process.env.ORT_INCLUDE_DIR ?? ''],
      }),
    outputs: sdkFiles,
    work: () => prepareOrt(),
  },
  {
    id: 'native',
    title: 'Native addon',
    purposes: ['start', 'test', 'package', 'lint'],
    after: ['onnxruntime'],
    isDone: async () => builtFiles.every((file) => existsSync(join(root, file))) && (await isNativeCurrent(['gabion'])),
    outputs: builtFiles,
    work: (context) => buildAddon({ echo: context.verbose }),
  },
  {
    id: 'typescript',
    title: 'TypeScript',
    purposes: ['start', 'test', 'package'],
    after: ['packages'],
    hash: () => hashInputs({ files: scriptSources }),
    outputs: ['dist/index.js', 'dist/cli/main.js', 'dist/dashboard/dashboard.js'],
    work: (context) => buildTypeScript({ echo: context.verbose }),
  },
  {
    id: 'native-test',
    title: 'Native tests',
    purposes: ['test', 'lint'],
    after: ['native'],
    isDone: () => isNativeCurrent(['gabion_tests']),
    outputs: ['build/native/native/test/gabion_tests'],
    work: async (context) => void (await buildTests('release', { echo: context.verbose })),
  },
  {
    id: 'published-model',
    title: 'Published weights',
    purposes: ['test'],
    after: ['toolchain'],
    hash: () => hashInputs({ files: ['scripts/bundle-model.mjs'] }),
    outputs: ['build/cache/all-MiniLM-L6-v2/model.safetensors'],
    work: (context) => node(context, ['scripts/bundle-model.mjs', '--source-only'], 'model'),
  },
  {
    id: 'reference-models',
    title: 'Reference models',
    purposes: ['test'],
    after: ['native', 'published-model'],
    hash: () => hashInputs({ files: ['scripts/bundle-model.mjs', 'lib/convert', 'lib/models'] }),
    outputs: [`${referenceModel}/config.json`],
    work: (context) => node(context, ['scripts/bundle-model.mjs', '--out', referenceModel, '--precision', 'fp32,int8'], 'reference-models'),
  },
  {
    id: 'sklearn',
    title: 'scikit-learn',
    purposes: ['test'],
    after: ['toolchain'],
    isDone: isSklearnInstalled,
    work: (context) => installSklearn({ echo: context.verbose }),
  },
  {
    id: 'golden-python',
    title: 'Python with sentence-transformers',
    purposes: ['test'],
    after: ['toolchain'],
    hash: () => hashInputs({ files: ['scripts/golden/requirements.txt'] }),
    outputs: ['build/golden/bin/python'],
    // uv takes a quarter of pip's time for PyTorch's gigabytes, and needs no venv module of the system.
    work: async () => {
      const log = 'golden-python'
      const uv = join(root, 'build', 'uv')
      rmSync(uv, { recursive: true, force: true })
      await run('python3', ['-m', 'pip', 'install', '--no-deps', '--only-binary', ':all:', '--target', uv, 'uv==0.13.9'], { log })
      await run(join(uv, 'bin', 'uv'), ['venv', '--clear', '--python', 'python3', 'build/golden'], { log })
      // The system's certificates, as in pip and npm: behind a proxy uv's own are not enough.
      const requirements = ['--system-certs', '--no-cache', '--python', 'build/golden', '--requirement', 'scripts/golden/requirements.txt']
      await run(join(uv, 'bin', 'uv'), ['pip', 'install', ...requirements], { log })
    },
  },
  {
    id: 'golden-models',
    title: 'Models and vectors by sentence-transformers',
    purposes: ['test'],
    after: ['golden-python', 'published-model'],
    hash: () => hashInputs({ files: [...goldenScripts, 'test/fixtures/family', 'models/all-MiniLM-L6-v2/tokenizer.json', 'data'] }),
    outputs: ['build/full-depth/texts.json.gz', 'build/exports', 'build/minilm/sts.json'],
    work: async (context) => {
      // Each computes on one thread, so two run in parallel.
      const make = (name) => run('build/golden/bin/python', [`scripts/golden/${name}.py`], { log: 'golden-models', echo: context.verbose })
      const small = async () => {
        await make('make_exports')
        await make('make_minilm')
      }
      await Promise.all([make('make_full_depth'), small()])
    },
  },
  {
    id: 'golden-classifiers',
    title: 'Classifiers and logits by PyTorch',
    purposes: ['test'],
    after: ['golden-python'],
    hash: () => hashInputs({ files: [...classifierScripts, ...guardSources, 'models/all-MiniLM-L6-v2/tokenizer.json'] }),
    outputs: ['build/classifiers/guards/distilbert/golden.json', 'build/classifiers/modernbert/golden.json'],
    work: async (context) => {
      const options = { log: 'golden-classifiers', echo: context.verbose }
      for (const script of classifierScripts.slice(0, 2)) await run('build/golden/bin/python', [script], options)
    },
  },
  {
    id: 'golden-encoders',
    title: 'Checkpoints and vectors by sentence-transformers',
    purposes: ['test'],
    after: ['golden-python'],
    hash: () => hashInputs({ files: encoderScripts }),
    outputs: ['build/encoders/texts.json.gz'],
    work: (context) => run('build/golden/bin/python', [encoderScripts[0]], { log: 'golden-encoders', echo: context.verbose }),
  },
  {
    id: 'prebuild',
    title: 'Prebuilt binaries',
    purposes: ['package'],
    after: ['native'],
    hash: () =>
      hashInputs({
        files: ['scripts/prebuild.mjs', 'scripts/prebuild', 'scripts/check-prebuild.mjs'],
        texts: builtFiles.map((file) => fileMark(join(root, file))),
      }),
    outputs: [`prebuilds/${hostTarget}/gabion.node`],
    work: (context) => prebuild({ echo: context.verbose }),
  },
]

async function node(context, args, log) {
  if (!existsSync(join(root, args[0]))) throw new StepFailed(`${args[0]} is missing: is the checkout complete?`)
  await run(process.execPath, args, { log, echo: context.verbose, env: buildEnvironment(context.tools.found) })
}
