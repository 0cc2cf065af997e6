// System prompt, rules and history on their way to the detector: over HTTP, gRPC, from a stream's entry and from stored records.

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { credentials, loadPackageDefinition, type Client } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { Monitor } from '../../lib/index.js'
import { judgeAndStore } from '../../lib/server/conversations/judge-exchange.js'
import { MemoryStore } from '../../lib/server/conversations/memory-store.js'
import type { ConversationRecord } from '../../lib/server/conversations/record.js'
import { PROTO_FILE } from '../../lib/server/grpc/server.js'
import type { RunningService } from '../../lib/server/serve.js'
import { readRequest } from '../../lib/server/worker/exchange-stream.js'
import { FakeEmbedder } from '../../lib/testing/fake-embedder.js'
import { Witness } from '../unit/witness-detector.js'
import { post, startService, testEmbedder } from './service-under-test.js'

const signal = new AbortController().signal

describe('a conversation of the service', () => {
  const detector = new Witness()
  let running: RunningService
  before(async () => {
    running = await startService({ monitor: await Monitor.load({ embedder: await testEmbedder(), detector }) })
  })
  after(() => running.stop())
  beforeEach(() => {
    detector.seen.length = 0
  })

  const instructions = (): unknown[] => detector.seen.map(({ system, rules }) => [system, rules])

  it('takes its instructions over HTTP, and keeps them until they change', async () => {
    const url = `${running.url}/v1/conversations/http/exchanges`
    const bodies = [
      { user: 'a', assistant: 'b', system: 'be kind', rules: ['no refunds'] },
      { user: 'c', assistant: 'd' },
      { user: 'e', assistant: 'f', system: '', rules: null },
    ]
    for (const body of bodies) assert.equal((await post(url, body)).status, 200)
    assert.deepEqual(instructions(), [
      ['be kind', ['no refunds']],
      ['be kind', ['no refunds']],
      [null, ['no refunds']],
    ])
    assert.deepEqual(detector.seen[2]?.history, [
      { user: 'a', assistant: 'b' },
      { user: 'c', assistant: 'd' },
    ])
    assert.equal((await post(url, { user: 'a', assistant: 'b', system: 5 })).status, 400)
    assert.equal((await post(url, { user: 'a', assistant: 'b', rules: 'x' })).status, 400)
    assert.equal((await post(url, { user: 'a', assistant: 'b', system: 'x'.repeat(300_000) })).status, 413)
  })

  it('takes them over gRPC', async () => {
    const root = loadPackageDefinition(loadSync(PROTO_FILE, { longs: Number }))
    const { MonitorService } = (root.gabion as unknown as Record<string, Record<string, new (...args: unknown[]) => Client>>).v1!
    const client = new MonitorService!(`127.0.0.1:${String(running.grpcPort)}`, credentials.createInsecure())
    const add = (request: object): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const { addExchange } = client as unknown as Record<string, (...args: unknown[]) => void>
        addExchange!.call(client, request, (error: Error | null, response: unknown) => (error === null ? resolve(response) : reject(error)))
      })
    await add({ conversation: 'grpc', user: 'a', assistant: 'b', system: 'be kind', rules: ['no refunds'] })
    await add({ conversation: 'grpc', user: 'c', assistant: 'd' })
    await add({ conversation: 'grpc', user: 'e', assistant: 'f', system: '' })
    client.close()
    assert.deepEqual(instructions(), [
      ['be kind', ['no refunds']],
      ['be kind', ['no refunds']],
      [null, ['no refunds']],
    ])
  })
})

it("an entry of the worker's stream has a system prompt, and rules by the line", () => {
  const fields = { conversation: 'c', user: 'a', assistant: 'b' }
  assert.deepEqual(readRequest({ id: '1-0', fields: { ...fields, system: 'be kind', rules: 'one\n\ntwo' } }), {
    ...fields,
    exchangeId: '1-0',
    exchange: null,
    system: 'be kind',
    rules: ['one', 'two'],
    caller: null,
    tenant: null,
  })
  const owned = readRequest({ id: '1-0', fields: { ...fields, caller: 'k', tenant: 'acme' } })
  assert.deepEqual([owned.caller, owned.tenant, owned.conversation], ['k', 'acme', 'acme/c'])
  const bare = readRequest({ id: '1-0', fields })
  assert.deepEqual([bare.system, bare.rules], [null, null])
})

describe('a stored record', () => {
  const request = { conversation: 'c', user: 'c', assistant: 'd', exchangeId: null, exchange: null }

  async function afterRecord(change: object): Promise<{ detector: Witness; outcome: Promise<unknown> }> {
    const detector = new Witness()
    const monitor = (await Monitor.load({ embedder: new FakeEmbedder(), detector })) as Monitor
    const store = new MemoryStore({ maxBytes: 1 << 20, ttlMs: 60_000 })
    await judgeAndStore(monitor, store, { ...request, user: 'a', assistant: 'b', system: 'be kind' }, signal)
    const { record, revision } = (await store.load('c'))!
    const changed = { ...record, saved: { ...record.saved, ...change } } as ConversationRecord
    await store.save('c', changed, revision, null)
    detector.seen.length = 0
    return { detector, outcome: judgeAndStore(monitor, store, request, signal) }
  }

  it('of this release continues', async () => {
    const { detector, outcome } = await afterRecord({})
    await outcome
    assert.deepEqual(detector.seen, [{ user: 'c', assistant: 'd', system: 'be kind', rules: [], history: [{ user: 'a', assistant: 'b' }] }])
  })

  it('of the release before continues with its state', async () => {
    const { detector, outcome } = await afterRecord({ version: 2, system: undefined, rules: undefined, history: undefined })
    assert.equal(((await outcome) as { verdict: { exchange: number } }).verdict.exchange, 2)
    assert.deepEqual(detector.seen, [{ user: 'c', assistant: 'd', system: null, rules: [], history: [] }])
  })

  it('of a newer release is refused by name', async () => {
    const { outcome } = await afterRecord({ version: 4 })
    await assert.rejects(outcome, { code: 'ARTIFACT_INVALID', message: /saved by a newer release/ })
  })
})
