// Every sentence of SECURITY.md's threat model names tests that exist.

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'SECURITY.md'), 'utf8')
const threats = /^## Threat model.*?(?=^## )/ms.exec(page)?.[0] ?? ''
const items = threats
  .split(/^- /m)
  .slice(1)
  .map((item) => item.split(/\n\n/)[0]!.replaceAll(/\s+/g, ' ').trim())

/** Names of the tests in a source, as patterns: what stands in `${…}` is anything. */
function testNames(source: string): RegExp[] {
  const calls = source.matchAll(/\b(?:it|test|describe)\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g)
  return Array.from(calls, ([, single, double, template]) => {
    const parts = template === undefined ? [single ?? double ?? ''] : template.split(/\$\{[^}]*\}/)
    return new RegExp(`^${parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`)
  })
}

describe('the threat model', () => {
  test('says something of every kind of threat', () => assert.ok(items.length > 50, String(items.length)))

  for (const item of items) {
    test(item.split(' (`')[0], () => {
      const [sentence = '', named = ''] = item.split(/ \((?=`)/)
      assert.match(sentence, /^[^.]*(\.[^ ][^.]*)*\.$/, 'one sentence')
      const references = [...named.matchAll(/`([^`]+)` “([^”]+)”/g)]
      assert.ok(references.length > 0, 'no test is named')
      assert.equal(named, `${references.map(([reference]) => reference).join('; ')})`)
      for (const [, file = '', name = ''] of references) {
        assert.ok(existsSync(join(root, file)), file)
        const source = readFileSync(join(root, file), 'utf8')
        if (file.endsWith('.test.ts'))
          assert.ok(
            testNames(source).some((pattern) => pattern.test(name)),
            `${file} has no test “${name}”`,
          )
        else assert.ok(source.includes(name), `${file} has no “${name}”`)
      }
    })
  }

  test('finds no test that is not there', () => {
    const names = testNames("it('one', () => 0)\n  test(`two of ${String(count)}, three`, () => 0)")
    const has = (name: string): boolean => names.some((pattern) => pattern.test(name))
    assert.deepEqual([has('one'), has('two of 7, three'), has('two'), has('three')], [true, true, false, false])
  })
})
