// The package as a user gets it: packed, installed into an empty folder, used by plain Node with nothing but its prebuilt binaries.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const target = `${process.platform}-${process.arch}`

interface PackedFile {
  path: string
  size: number
}

describe('the installed package', () => {
  let folder = ''
  let files: PackedFile[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-package-'))
    // --ignore-scripts: `prepack` would set up again what the test runner has just set up; it has a test of its own below.
    const packed = await execute('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root })
    const [tarball] = JSON.parse(packed.stdout) as { filename: string; files: PackedFile[] }[]
    assert.ok(tarball)
    files = tarball.files
    await mkdir(join(folder, 'app'))
    await writeFile(join(folder, 'app', 'package.json'), JSON.stringify({ name: 'app', version: '1.0.0', private: true, type: 'module' }))
    const options = ['--prefer-offline', '--no-audit', '--no-fund', '--no-update-notifier']
    await execute('npm', ['install', ...options, join(folder, tarball.filename)], { cwd: join(folder, 'app') })
  })

  after(() => rm(folder, { recursive: true, force: true }))

  /** Runs a script in the app's folder, in a process that may not use a local build. */
  async function runScript(name: string, script: string): Promise<unknown> {
    await writeFile(join(folder, 'app', name), script)
    const env = { ...process.env, PREBUILDS_ONLY: '1', NODE_OPTIONS: '' }
    const { stdout } = await execute(process.execPath, [name], { cwd: join(folder, 'app'), env })
    return JSON.parse(stdout)
  }

  test('holds code, model, binaries and notices, and nothing of the workshop', () => {
    const paths = files.map((file) => file.path)
    const binaries = ['gabion.node', 'libgabion_onnx.so.1', 'LICENSE.onnxruntime.txt', 'NOTICES.onnxruntime.txt', 'NOTICES.tokenizer.txt']
    const needed = [
      ...[
        'dist/index.js',
        'dist/index.d.ts',
        'dist/cli/main.js',
        'models/detectors/lexicons/de.json',
        'models/all-MiniLM-L6-v2/tokenizer.json',
        'LICENSE',
        'NOTICE',
      ],
      ...binaries.map((name) => `prebuilds/${target}/${name}`),
    ]
    assert.deepEqual(
      needed.filter((path) => !paths.includes(path)),
      [],
    )
    const foreign = /^(lib|native|test|scripts|build|bench|docs|examples|node_modules)\/|\.tsx?$(?<!\.d\.ts)|\.map$/
    assert.deepEqual(
      paths.filter((path) => foreign.test(path)),
      [],
    )
  })

  test('embeds in plain Node from its prebuilt binaries', async () => {
    const script = `
      import { Embedder } from 'gabion'
      const embedder = await Embedder.load()
      const vector = await embedder.embed('The kettle is on.')
      const length = Math.hypot(...vector)
      console.log(JSON.stringify({ dimensions: vector.length, length, model: embedder.info.model }))
      embedder.dispose()`
    const found = (await runScript('embed.js', script)) as { dimensions: number; length: number; model: string }
    assert.equal(found.dimensions, 384)
    assert.equal(found.model, 'all-MiniLM-L6-v2')
    assert.ok(Math.abs(found.length - 1) < 1e-6, `expected a unit vector, found length ${found.length}`)
  })

  test('has types that a strict user can rely on', async () => {
    const app = join(folder, 'app')
    await cp(join(root, 'test/package/usage/usage.ts'), join(app, 'usage.ts'))
    await symlink(join(root, 'node_modules', 'expect-type'), join(app, 'node_modules', 'expect-type'))
    await mkdir(join(app, 'node_modules', '@types'), { recursive: true })
    await symlink(join(root, 'node_modules', '@types', 'node'), join(app, 'node_modules', '@types', 'node')).catch(() => undefined)
    // Declarations of the package are checked too: skipLibCheck is off.
    const options = { strict: true, noEmit: true, target: 'ES2022', lib: ['ES2023', 'ESNext.Disposable'], types: ['node'] }
    const modules = { module: 'NodeNext', moduleResolution: 'NodeNext', exactOptionalPropertyTypes: true, skipLibCheck: false }
    await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...options, ...modules }, files: ['usage.ts'] }))
    const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc')
    const { stdout } = await execute(process.execPath, [compiler, '-p', app]).catch((error: unknown) => error as { stdout: string })
    assert.deepEqual(stdout, '')
  })

  test('puts the gabion command on the path', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    const command = join(folder, 'app', 'node_modules', '.bin', 'gabion')
    const env = { ...process.env, PREBUILDS_ONLY: '1', NODE_OPTIONS: '' }
    assert.equal((await execute(command, ['--version'], { env })).stdout.trim(), version)
    const { stdout } = await execute(command, ['embed', '--json', 'The kettle is on.'], { env })
    assert.equal((JSON.parse(stdout) as { embedding: number[] }).embedding.length, 384)
  })

  for (const first of ['gabion', 'onnxruntime-node']) {
    test(`shares a process with onnxruntime-node when ${first} is loaded first`, async () => {
      const other = createRequire(import.meta.url).resolve('onnxruntime-node')
      const graph = join(root, 'build/models/all-MiniLM-L6-v2/onnx/model_fp32.onnx')
      const script = `
        import { readFileSync } from 'node:fs'
        import { createRequire } from 'node:module'
        const load = {
          gabion: async () => {
            const embedder = await (await import('gabion')).Embedder.load()
            // The bundled model needs no ONNX Runtime; asking for its version opens it.
            if (embedder.info.runtimeVersion === '') throw new Error('ONNX Runtime has no version')
            return embedder
          },
          'onnxruntime-node': async () => createRequire(import.meta.url)(${JSON.stringify(other)}).InferenceSession.create(${JSON.stringify(graph)}),
        }
        const loaded = {}
        for (const name of ${JSON.stringify(first === 'gabion' ? ['gabion', 'onnxruntime-node'] : ['onnxruntime-node', 'gabion'])}) {
          loaded[name] = await load[name]()
        }
        const vector = await loaded.gabion.embed('The kettle is on.')
        const maps = readFileSync('/proc/self/maps', 'utf8')
        console.log(JSON.stringify({
          dimensions: vector.length,
          inputs: loaded['onnxruntime-node'].inputNames,
          own: maps.includes('libgabion_onnx.so.1'),
          others: maps.includes('libonnxruntime.so.1'),
        }))`
      const found = (await runScript('beside.js', script)) as { dimensions: number; inputs: string[]; own: boolean; others: boolean }
      assert.equal(found.dimensions, 384)
      assert.ok(found.inputs.includes('input_ids'))
      assert.deepEqual([found.own, found.others], [true, true])
    })
  }
})

test('packing without prebuilt binaries fails and says what makes them', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'gabion-empty-'))
  try {
    await assert.rejects(
      execute(process.execPath, [join(root, 'scripts/check-prebuild.mjs'), empty]),
      (error: Error & { code?: number; stderr?: string }) => {
        assert.equal(error.code, 2)
        assert.match(error.stderr ?? '', /lacks gabion\.node.*npm run prebuild/s)
        return true
      },
    )
  } finally {
    await rm(empty, { recursive: true, force: true })
  }
})
