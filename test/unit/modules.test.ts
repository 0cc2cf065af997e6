import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

const script = new URL('../../scripts/check-modules.mjs', import.meta.url).href
const { importsOf, missingPaths, moduleOf } = (await import(script)) as {
  importsOf: (text: string) => { path: string; lazy: boolean }[]
  missingPaths: (page: string) => string[]
  moduleOf: (file: string) => string | undefined
}

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
