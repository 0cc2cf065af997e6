// Binaries and their checksums: intact, changed, missing, and without checksums.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { BINARY_CHECKSUMS, verifyBinaries } from '../../lib/binary-checksums.js'

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'gabion-binaries-'))
})
after(() => rmSync(folder, { recursive: true }))

test('binaries are compared with their checksums, where there are any', () => {
  const sum = createHash('sha256').update('a binary').digest('hex')
  const states = (): string[] | undefined => verifyBinaries(folder)?.map(({ state }) => state)
  assert.equal(verifyBinaries(folder), null)
  writeFileSync(join(folder, BINARY_CHECKSUMS), `${sum}  gabion.node\n${sum}  other.so.1\n`)
  writeFileSync(join(folder, 'gabion.node'), 'a binary')
  assert.deepEqual(states(), ['ok', 'missing'])
  writeFileSync(join(folder, 'other.so.1'), 'b binary')
  assert.deepEqual(verifyBinaries(folder)?.[1], { file: join(folder, 'other.so.1'), state: 'differs', expected: sum })
})
