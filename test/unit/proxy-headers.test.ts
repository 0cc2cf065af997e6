// Which headers the proxy passes on.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import { verdictHeaders, VERDICT_HEADERS } from '../../lib/server/proxy/outcome.js'
import { endToEnd } from '../../lib/server/proxy/upstream.js'

test('headers of one connection end there, however often Connection names them', () => {
  const kept = { 'x-api-key': 'k', 'set-cookie': ['a=1', 'b=2'] }
  for (const connection of ['close, X-Hop , x-other', ['x-hop', 'close, X-Other']])
    assert.deepEqual(endToEnd({ ...kept, connection, 'x-hop': '1', 'x-other': '2', te: 'trailers', 'x-gabion-level': 'calm' }), kept)
  assert.deepEqual(endToEnd(kept), kept)
})

test('a verdict of the guard has its strength among the headers, another verdict has none', () => {
  const verdict = { conversation: 'ä', exchange: 2, level: 'calm', alert: false, likelihood: 0.25, truncated: false } as ExchangeVerdict
  const plain = verdictHeaders(verdict)
  assert.equal(plain['x-gabion-strength'], undefined)
  const guarded = verdictHeaders({ ...verdict, strength: 0.5 })
  assert.deepEqual(guarded, { ...plain, 'x-gabion-strength': '0.500000' })
  for (const name of Object.keys(guarded)) assert.ok((VERDICT_HEADERS as readonly string[]).includes(name), name)
})
