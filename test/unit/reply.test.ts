import assert from 'node:assert/strict'
import { test } from 'node:test'
import { textOfCall } from '../../lib/monitor/reply.js'

test('a call has the same text however its arguments were written', () => {
  const args = { amount: 900, to: { name: 'ann' } }
  for (const given of [args, JSON.stringify(args), JSON.stringify(args, null, 2)])
    assert.equal(textOfCall('refund', given), 'refund({"amount":900,"to":{"name":"ann"}})')
  for (const none of ['', ' ', '{}', {}, undefined, null]) assert.equal(textOfCall('refund', none), 'refund({})')
  assert.equal(textOfCall('refund', '{"amount":90'), 'refund({"amount":90)')
  assert.equal(textOfCall('run', 'print("hello")'), 'run(print("hello"))')
})
