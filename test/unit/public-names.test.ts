// The public names: how many the main entry has, and that docs/api.md has a heading for each function and class and mentions every type.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, { types: string } | string> }

/** Raised only for a capability that users are meant to hold in their hands; else a name goes to a subpath. */
const MAX_MAIN_NAMES = 88

/** The source of each entry of package.json's `exports`, by its subpath. */
const entries = Object.entries(manifest.exports).flatMap(([subpath, target]) =>
  typeof target === 'string' ? [] : [{ subpath, source: join(root, target.types.replace('./dist/', 'lib/').replace('.d.ts', '.ts')) }],
)

/** The names that a file exports; it may not pass on all of another one. */
function exportsOf(source: string): string[] {
  const file = ts.createSourceFile(source, readFileSync(source, 'utf8'), ts.ScriptTarget.ES2022)
  return file.statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) {
      assert.ok(statement.exportClause && ts.isNamedExports(statement.exportClause), `${source} has an export without names`)
      return statement.exportClause.elements.map(({ name }) => name.text)
    }
    const exported = ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
    if (exported !== true) return []
    const { name } = statement as ts.Statement & { name?: ts.Identifier }
    assert.ok(name, `${source} exports something that has no name of its own`)
    return [name.text]
  })
}

/** Those of them that exist when the program runs. */
function valuesOf(source: string): string[] {
  const file = ts.createSourceFile(source, readFileSync(source, 'utf8'), ts.ScriptTarget.ES2022)
  return file.statements.flatMap((statement) => {
    if (ts.isFunctionDeclaration(statement)) return statement.name === undefined ? [] : [statement.name.text]
    if (!ts.isExportDeclaration(statement) || statement.isTypeOnly) return []
    const { exportClause } = statement
    if (exportClause === undefined || !ts.isNamedExports(exportClause)) return []
    return exportClause.elements.filter(({ isTypeOnly }) => !isTypeOnly).map(({ name }) => name.text)
  })
}

describe('public names', () => {
  const names = new Map(entries.map(({ subpath, source }) => [subpath, exportsOf(source)]))

  test(`the main entry has at most ${String(MAX_MAIN_NAMES)}`, () => {
    const main = names.get('.') ?? []
    assert.ok(main.length <= MAX_MAIN_NAMES, `${String(main.length)} names: ${main.join(' ')}`)
    assert.equal(new Set(main).size, main.length)
  })

  test('the subpaths are these', () => {
    assert.deepEqual([...names.keys()], ['.', './projection', './convert', './server', './ai-sdk', './testing'])
  })

  test('docs/api.md has every name, and each class and function in a heading', () => {
    const reference = readFileSync(join(root, 'docs/api.md'), 'utf8')
    const headings = reference.split('\n').filter((line) => line.startsWith('#'))
    const has = (text: string, name: string): boolean => new RegExp(`\\b${name}\\b`).test(text)
    const absent = [...names.values()].flat().filter((name) => !has(reference, name))
    assert.deepEqual(absent, [])
    const values = entries.flatMap(({ source }) => valuesOf(source))
    assert.deepEqual(
      values.filter((name) => !headings.some((heading) => has(heading, name))),
      [],
    )
  })
})
