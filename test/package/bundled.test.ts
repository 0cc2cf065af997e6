// gabion in a bundle, and its files in the eyes of tools that copy what a program needs: by esbuild, whose rules others share.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

describe('gabion in a bundle', () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'gabion-bundled-'))
    writeFileSync(join(folder, 'package.json'), '{"name":"app","private":true}')
    writeFileSync(join(folder, 'app.ts'), "import { Embedder } from 'gabion'\nvoid Embedder.load()\n")
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  for (const format of ['esm', 'cjs'] as const)
    test(`says how to leave it out (${format})`, async () => {
      const outfile = join(folder, format === 'esm' ? 'app.mjs' : 'app.cjs')
      const alias = { gabion: join(root, 'dist', 'index.js') }
      const nodePaths = [join(root, 'node_modules')]
      const options = { bundle: true, platform: 'node', logLevel: 'silent' } as const
      await build({ ...options, entryPoints: [join(folder, 'app.ts')], outfile, format, alias, nodePaths })
      const { NODE_OPTIONS: _options, ...env } = process.env
      await assert.rejects(promisify(execFile)(process.execPath, [outfile], { env }), (error: Error & { stderr?: string }) => {
        assert.match(error.stderr ?? '', /gabion was bundled; mark it external/)
        assert.match(error.stderr ?? '', /esbuild +--external:gabion/)
        return true
      })
    })
})

test('every file of models/ and protocol/ is named in the code, so that Next.js and the like copy it', () => {
  const code = readFileSync(join(root, 'dist', 'index.js'), 'utf8')
  const files = ['models', 'protocol'].flatMap((name) =>
    readdirSync(join(root, name), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length)),
  )
  assert.ok(files.length > 30, `${String(files.length)} files`)
  assert.deepEqual(
    files.filter((file) => !code.includes(`new URL("../${file}",import.meta.url)`)),
    [],
  )
})
