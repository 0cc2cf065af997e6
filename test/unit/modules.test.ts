import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

const script = new URL('../../scripts/check-modules.mjs', import.meta.url).href
const { importsOf, missingPaths, moduleOf } = (await import(script)) as {
  importsOf: (text: string) => { path: string; lazy: boolean }[]
  missingPaths: (page: string) => string[]
  moduleOf: (file: string) => string | undefined
}

const judging = new URL('../../scripts/lint/judging-imports.mjs', import.meta.url).href
const { nodeImports } = (await import(judging)) as { nodeImports: (file: string) => Map<string, string> }

describe('imports of what judges', () => {
  it('are followed to what needs Node', () => {
    assert.deepEqual([...nodeImports('lib/detection/erosion/erosion.ts').values()], [])
    assert.equal(
      nodeImports('lib/detection/erosion/lexicon-file.ts').get('lib/json/json-file.ts node:fs/promises'),
      'lib/detection/erosion/lexicon-file.ts → lib/json/json-file.ts → node:fs/promises',
    )
  })
})

describe('the list of modules', () => {
  it('reads imports that remain at run time, and which are dynamic', () => {
    const text = [
      "import { a, type B } from './a.js'",
      "import type { C } from './types.js'",
      "import { type D } from './types.js'",
      "export { e } from '../e.js'",
      "import 'node:fs'",
      "const f = () => import('./f.js')",
    ].join('\n')
    assert.deepEqual(importsOf(text), [
      { path: './a.js', lazy: false },
      { path: '../e.js', lazy: false },
      { path: 'node:fs', lazy: false },
      { path: './f.js', lazy: true },
    ])
  })

  it('assigns a file to the innermost module', () => {
    assert.equal(moduleOf('lib/detection/erosion/head.ts'), 'lib/detection/erosion')
    assert.equal(moduleOf('lib/detection/detector.ts'), 'lib/detection')
    assert.equal(moduleOf('lib/errors.ts'), 'lib/*.ts')
    assert.equal(moduleOf('lib/native.ts'), 'lib/native.ts')
    assert.equal(moduleOf('lib/unheard-of/file.ts'), undefined)
  })

  it('finds named paths that do not exist', () => {
    assert.deepEqual(missingPaths('`lib/index.ts`, `lib/nowhere.ts`, `scripts`, `native/nowhere/`'), ['lib/nowhere.ts', 'native/nowhere/'])
  })
})
