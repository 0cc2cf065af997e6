// SHA-256 in plain JavaScript, against Node's.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { sha256 } from '../../lib/sha256.js'

const expected = (text: string): string => createHash('sha256').update(text).digest('hex')

test('texts of any characters hash as with Node', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => sha256(text) === expected(text)))
})

test('every length around a block of 64 bytes hashes as with Node', () => {
  for (let length = 0; length <= 260; length++) assert.equal(sha256('é'.repeat(length)), expected('é'.repeat(length)), String(length))
})
