// Bodies that nobody would send: random bytes, broken JSON, wrong types, odd values. The process lives, and each gets a coded answer.
// GABION_FUZZ_BODIES says how many (10,000 for the long form: npm run fuzz:service), GABION_FUZZ_SEED with which seed.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Client, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js'
import fc from 'fast-check'
import { ERROR_CODES } from '../../lib/index.js'
import type { RunningService } from '../../lib/server/serve.js'
import { get, startService } from './service-under-test.js'

const BODIES = Number(process.env.GABION_FUZZ_BODIES ?? 600)
const seed = Number(process.env.GABION_FUZZ_SEED ?? 20_260_101)
const AT_ONCE = 16

const PATHS = ['/v1/embeddings', '/embed', '/v1/project', '/v1/conversations/fuzz/exchanges']
const FIELDS = [
  'input',
  'inputs',
  'user',
  'assistant',
  'exchange',
  'exchangeId',
  'encoding_format',
  'dimensions',
  'normalize',
  'truncate',
  'prompt_name',
  '__proto__',
]

const value = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.jsonValue({ maxDepth: 3 }),
  fc.array(fc.string({ maxLength: 10 }), { maxLength: 5 }),
  fc.constantFrom<unknown>(0, -1, 1e308, '', [], {}, null, true, '\ud800', '\u0000', ['\udfff'], 2 ** 53, 'a'.repeat(5000)),
)
const object = fc.array(fc.tuple(fc.constantFrom(...FIELDS), value), { maxLength: 6 }).map((pairs) => {
  // Written out by hand, so that names such as __proto__ and names that stand twice arrive as they are.
  return Buffer.from(`{${pairs.map(([name, one]) => `${JSON.stringify(name)}:${JSON.stringify(one)}`).join()}}`)
})
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))
const cut = fc.tuple(object, fc.nat(100)).map(([whole, at]) => whole.subarray(0, Math.max(0, whole.length - at)))
const body = fc.oneof({ weight: 4, arbitrary: object }, { weight: 1, arbitrary: bytes }, { weight: 1, arbitrary: cut })

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async (): Promise<void> => {
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

function counts(seen: ReadonlyMap<string, number>): string {
  return [...seen].map(([code, count]) => `${code} ${count}`).join(', ')
}

describe(`Fuzzed bodies (${BODIES}, seed ${seed})`, () => {
  let running: RunningService
  before(async () => {
    running = await startService({ limits: { textLength: 4096, texts: 16 } })
  })
  after(() => running.stop())

  it('over HTTP', async (context) => {
    const requests = fc.sample(fc.record({ path: fc.constantFrom(...PATHS), body }), { numRuns: BODIES, seed })
    const seen = new Map<string, number>()
    await inParallel(requests, async (request) => {
      const response = await fetch(running.url + request.path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: Uint8Array.from(request.body),
      })
      const answer = (await response.json()) as { error?: { code: string } }
      const code = response.status === 200 ? 'OK' : answer.error?.code
      const shown = `${request.path} ${request.body.toString('base64')}`
      assert.ok(code !== undefined && (code === 'OK' || code in ERROR_CODES), `uncoded answer ${response.status} to ${shown}`)
      assert.ok(response.status < 500, `${response.status} ${code} to ${shown}`)
      seen.set(code, (seen.get(code) ?? 0) + 1)
    })
    context.diagnostic(`${BODIES} bodies: ${counts(seen)}`)
    assert.ok((seen.get('OK') ?? 0) > 0 && (seen.get('INVALID_ARGUMENT') ?? 0) > 0, counts(seen))
    assert.equal((await get(`${running.url}/health`)).status, 200)
  })

  it('over gRPC', async (context) => {
    const methods = ['EmbeddingService/Embed', 'MonitorService/AddExchange', 'MonitorService/GetConversation']
    // A message that begins right and goes on anyhow reaches further than noise alone.
    const field = fc
      .tuple(fc.integer({ min: 1, max: 6 }), fc.uint8Array({ maxLength: 30 }))
      .map(([number, content]) => Buffer.from([(number << 3) | 2, content.length, ...content]))
    const message = fc.oneof(
      bytes,
      fc.array(field, { maxLength: 5 }).map((fields) => Buffer.concat(fields)),
    )
    const requests = fc.sample(fc.record({ method: fc.constantFrom(...methods), message }), { numRuns: BODIES, seed })
    const client = new Client(`127.0.0.1:${running.grpcPort}`, credentials.createInsecure())
    const seen = new Map<string, number>()
    const asIs = (buffer: Buffer): Buffer => buffer
    await inParallel(requests, async (request) => {
      const error = await new Promise<ServiceError | null>((resolve) => {
        client.makeUnaryRequest(`/gabion.v1.${request.method}`, asIs, asIs, request.message, new Metadata(), (failure) => resolve(failure))
      })
      const code = status[error?.code ?? status.OK]
      const shown = `${request.method} ${request.message.toString('base64')}`
      // What is no message at all never reaches the service: gRPC itself answers, as INTERNAL.
      const known = error === null || error.metadata.get('gabion-code').length > 0 || /deserializ/i.test(error.details)
      assert.ok(known && code !== 'UNKNOWN' && code !== 'UNAVAILABLE', `${code} ${error?.details} to ${shown}`)
      seen.set(code, (seen.get(code) ?? 0) + 1)
    })
    client.close()
    context.diagnostic(`${BODIES} bodies: ${counts(seen)}`)
    assert.ok((seen.get('OK') ?? 0) > 0 && (seen.get('INVALID_ARGUMENT') ?? 0) > 0, counts(seen))
    assert.equal((await get(`${running.url}/health`)).status, 200)
  })
})
