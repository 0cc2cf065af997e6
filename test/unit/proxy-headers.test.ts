// Which headers the proxy passes on.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endToEnd } from '../../lib/server/proxy/upstream.js'

test('headers of one connection end there, however often Connection names them', () => {
  const kept = { 'x-api-key': 'k', 'set-cookie': ['a=1', 'b=2'] }
  for (const connection of ['close, X-Hop , x-other', ['x-hop', 'close, X-Other']])
    assert.deepEqual(endToEnd({ ...kept, connection, 'x-hop': '1', 'x-other': '2', te: 'trailers', 'x-gabion-level': 'calm' }), kept)
  assert.deepEqual(endToEnd(kept), kept)
})
