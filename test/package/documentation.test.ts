// The code of README.md, docs/getting-started.md and docs/integrations.md, run as a reader runs it: in a folder where gabion is installed.
// That of integrations.md is also checked by the compiler against the other libraries' types.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The blocks of a page in a language. */
function blocksOf(page: string, language: string): string[] {
  const text = readFileSync(join(root, page), 'utf8')
  return Array.from(text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms')), (match) => match[1] as string)
}

/** Libraries that the snippets use, or packages of types. */
const OTHERS = ['ai', '@langchain', '@llamaindex', '@types']

describe('the code of', () => {
  let folder = ''

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'gabion-documentation-'))
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(root, join(folder, 'node_modules', 'gabion'))
    for (const name of OTHERS) symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name))
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
    // What the pages' readers have of their own.
    copyFileSync(join(root, 'examples/policies/support.yaml'), join(folder, 'policies.yaml'))
    copyFileSync(join(root, 'examples/policies/support-benign.jsonl'), join(folder, 'support-benign.jsonl'))
  })
  after(() => rmSync(folder, { recursive: true }))

  async function run(code: string): Promise<string> {
    writeFileSync(join(folder, 'code.js'), code)
    const { NODE_OPTIONS: _options, ...env } = process.env
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['code.js'], { cwd: folder, env })
    assert.equal(stderr, '')
    return stdout
  }

  test('the first screen of README.md', async () => {
    const [code] = blocksOf('README.md', 'ts')
    assert.ok(code)
    const [first = '', second = '', verdict = ''] = (await run(code)).split('\n')
    assert.match(verdict, /^calm false \[/)
    assert.ok(Number(first) > 0.4 && Number(first) > Number(second), `${first} and ${second}`)
  })

  const blocks = blocksOf('docs/getting-started.md', 'js')
  const printed = [/^384 1\.000\n$/, /^0\n$/, /^calm false 0\.\d\d \[/, /^$/, /^$/]
  for (const [index, code] of blocks.entries())
    test(`docs/getting-started.md, part ${String(index + 1)}`, async () => {
      assert.match(await run(code), printed[index] ?? /^$/)
    })
  test('as many parts as are expected', () => assert.equal(blocks.length, printed.length))

  const snippets = blocksOf('docs/integrations.md', 'js')
  const answers = ['2 384\n', '0\n', '384 384\n']
  test('docs/integrations.md has three parts', () => assert.equal(snippets.length, answers.length))
  for (const [index, code] of snippets.entries())
    test(`docs/integrations.md, part ${String(index + 1)}`, async () => assert.equal(await run(code), answers[index]))

  test('docs/integrations.md, by its types', async () => {
    const files = snippets.map((code, index) => {
      const file = `snippet-${String(index)}.js`
      writeFileSync(join(folder, file), `// @ts-check\n${code}`)
      return file
    })
    const options = {
      allowJs: true,
      checkJs: true,
      noEmit: true,
      target: 'ES2022',
      module: 'NodeNext',
      skipLibCheck: true,
      types: ['node'],
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files }))
    const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc')
    const { stdout } = await promisify(execFile)(process.execPath, [compiler, '-p', folder]).catch(
      (error: unknown) => error as { stdout: string },
    )
    assert.equal(stdout, '')
  })
})
