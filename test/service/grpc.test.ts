// The gRPC side through real calls: vectors, streams, exchanges, failures, deadlines, health and reflection.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { credentials, loadPackageDefinition, Metadata, status, type Client, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { PROTO_FILE } from '../../lib/server/grpc/server.js'
import type { RunningService } from '../../lib/server/serve.js'
import { until } from './ending.js'
import { post, startService, testEmbedder } from './service-under-test.js'

interface Message {
  values: number[]
  truncated: boolean
  [field: string]: unknown
}

type Call = (request: object, metadata?: Metadata, options?: object) => Promise<Record<string, unknown>>

/** A client of one service, with promises for its unary calls. */
function clientOf(file: string, name: string, port: number): { client: Client & Record<string, unknown>; call: (method: string) => Call } {
  const root = loadPackageDefinition(loadSync(file, { enums: String, defaults: true, oneofs: true, longs: Number }))
  const Service = name.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], root) as new (
    ...args: unknown[]
  ) => Client & Record<string, unknown>
  const client = new Service(`127.0.0.1:${port}`, credentials.createInsecure())
  const call =
    (method: string): Call =>
    (request, metadata = new Metadata(), options = {}) =>
      new Promise((resolve, reject) => {
        const run = client[method] as (...args: unknown[]) => void
        run.call(client, request, metadata, options, (error: ServiceError | null, response: Record<string, unknown>) =>
          error === null ? resolve(response) : reject(error),
        )
      })
  return { client, call }
}

const failing = async (promise: Promise<unknown>): Promise<[number, unknown]> => {
  const error = await promise.then(
    () => assert.fail('it should have failed'),
    (one: unknown) => one as ServiceError,
  )
  return [error.code, error.metadata.get('gabion-code')[0]]
}

describe('gRPC', () => {
  let running: RunningService
  let embedding: ReturnType<typeof clientOf>
  let monitor: ReturnType<typeof clientOf>

  before(async () => {
    running = await startService({ limits: { textLength: 20_000 } })
    embedding = clientOf(PROTO_FILE, 'gabion.v1.EmbeddingService', running.grpcPort!)
    monitor = clientOf(PROTO_FILE, 'gabion.v1.MonitorService', running.grpcPort!)
  })
  after(async () => {
    embedding.client.close()
    monitor.client.close()
    await running.stop()
  })

  it('gives the vectors of the library', async () => {
    const texts = ['hello', 'word '.repeat(600)]
    const response = await embedding.call('embed')({ texts })
    const expected = await (await testEmbedder()).embedBatch(texts)
    const vectors = response.vectors as Message[]
    for (const index of texts.keys()) assert.deepEqual(Float32Array.from(vectors[index]!.values), expected.row(index))
    assert.deepEqual(
      vectors.map(({ truncated }) => truncated),
      [false, true],
    )
  })

  it('cuts vectors to the dimensions of the request', async () => {
    const { vectors } = await embedding.call('embed')({ texts: ['hello'], dimensions: 8 })
    const expected = await (await testEmbedder()).embed('hello', { dimensions: 8 })
    assert.deepEqual(Float32Array.from((vectors as Message[])[0]!.values), expected)
    assert.deepEqual(await failing(embedding.call('embed')({ texts: ['hello'], dimensions: 385 })), [
      status.INVALID_ARGUMENT,
      'INVALID_ARGUMENT',
    ])
  })

  it('answers a stream in the order of its requests', async () => {
    const stream = (embedding.client.embedStream as () => NodeJS.ReadWriteStream & AsyncIterable<{ vectors: Message[] }>)()
    const texts = Array.from({ length: 100 }, (_, i) => (i % 10 === 0 ? `${'long '.repeat(150)}${i}` : `text ${i}`))
    for (const text of texts) stream.write({ texts: [text] } as never)
    stream.end()
    const expected = await (await testEmbedder()).embedBatch(texts)
    let index = 0
    for await (const { vectors } of stream) assert.deepEqual(Float32Array.from(vectors[0]!.values), expected.row(index++))
    assert.equal(index, texts.length)
  })

  it('ends a stream with the failure of a request', async () => {
    const stream = (embedding.client.embedStream as () => NodeJS.ReadWriteStream & AsyncIterable<unknown>)()
    stream.write({ texts: ['fine'] } as never)
    stream.write({ texts: ['x'.repeat(20_001)] } as never)
    const read = (async () => {
      for await (const _ of stream);
    })()
    assert.deepEqual(await failing(read), [status.INVALID_ARGUMENT, 'TOO_LARGE'])
  })

  it('shares conversations with HTTP, and shows them as they happen', async () => {
    const watch = (monitor.client.watch as (request: object) => AsyncIterable<{ verdict: Record<string, unknown> }> & { cancel(): void })({
      conversation: 'both',
    })
    await until('somebody watches', () => running.service.events.size > 0)
    const first = await monitor.call('addExchange')({ conversation: 'both', user: 'hi', assistant: 'hello', exchangeId: 't1' })
    assert.deepEqual([first.exchange, first.level, first.exchangeId], [1, 'LEVEL_CALM', 't1'])
    const { body } = await post<{ exchange: number }>(`${running.url}/v1/conversations/both/exchanges`, {
      user: 'more',
      assistant: 'gladly',
    })
    assert.equal(body.exchange, 2)
    const seen: unknown[] = []
    for await (const { verdict } of watch) {
      seen.push(verdict.exchange)
      if (seen.length === 2) break
    }
    watch.cancel()
    assert.deepEqual(seen, [1, 2])
    const whole = await monitor.call('getConversation')({ conversation: 'both' })
    assert.deepEqual([whole.exchanges, (whole.history as unknown[]).length], [2, 2])
  })

  it('describes the health service to clients that know it by reflection only', async () => {
    const reflection = clientOf(
      fileURLToPath(import.meta.resolve('@grpc/reflection').replace(/build\/src\/.*$/, 'build/proto/grpc/reflection/v1/reflection.proto')),
      'grpc.reflection.v1.ServerReflection',
      running.grpcPort!,
    )
    const info = reflection.client.serverReflectionInfo as () => NodeJS.ReadWriteStream &
      AsyncIterable<{ fileDescriptorResponse: { fileDescriptorProto: Buffer[] } }> & { cancel(): void }
    const stream = info.call(reflection.client)
    stream.write({ fileContainingSymbol: 'grpc.health.v1.Health' } as never)
    for await (const { fileDescriptorResponse } of stream) {
      assert.ok(fileDescriptorResponse.fileDescriptorProto.some((file) => file.includes('HealthCheckRequest')))
      break
    }
    stream.cancel()
    reflection.client.close()
  })

  it('notes whose conversation it is, so that all of it can be deleted', async () => {
    await monitor.call('addExchange')({ conversation: 'owned', user: 'hi', assistant: 'hello', caller: 'c-1' })
    assert.equal((await monitor.call('getConversation')({ conversation: 'owned' })).caller, 'c-1')
    const wrong = monitor.call('addExchange')({ conversation: 'owned', user: 'hi', assistant: 'hello', caller: 'c\u0000' })
    assert.deepEqual(await failing(wrong), [status.INVALID_ARGUMENT, 'INVALID_ARGUMENT'])
    const deleted = await fetch(`${running.url}/v1/callers/c-1`, { method: 'DELETE' })
    assert.deepEqual(await deleted.json(), { status: 'deleted', conversations: 1 })
    assert.deepEqual(await failing(monitor.call('getConversation')({ conversation: 'owned' })), [status.NOT_FOUND, 'NOT_FOUND'])
  })

  it('embeds by the one model it has, whatever the name', async () => {
    assert.equal((await embedding.call('embed')({ texts: ['a'], model: 'another' })).model, 'all-MiniLM-L6-v2')
  })

  it('codes every failure', async () => {
    assert.deepEqual(await failing(monitor.call('getConversation')({ conversation: 'nobody' })), [status.NOT_FOUND, 'NOT_FOUND'])
    assert.deepEqual(await failing(monitor.call('addExchange')({ conversation: '' })), [status.INVALID_ARGUMENT, 'INVALID_ARGUMENT'])
    assert.deepEqual(await failing(monitor.call('addExchange')({ conversation: 'both', exchange: 9 })), [status.ABORTED, 'CONFLICT'])
    assert.deepEqual(await failing(embedding.call('embed')({ texts: ['a'], project: true })), [status.NOT_FOUND, 'NOT_FOUND'])
  })

  it('keeps deadlines', async () => {
    const texts = Array.from({ length: 500 }, (_, i) => `${'deadline '.repeat(200)}${i}`)
    const call = embedding.call('embed')({ texts }, new Metadata(), { deadline: Date.now() + 50 })
    await assert.rejects(call, (error: ServiceError) => error.code === status.DEADLINE_EXCEEDED)
    await until('the request is dropped', () => running.service.admission.texts === 0)
  })

  it('reports its health and reflects its services', async () => {
    const health = clientOf(
      fileURLToPath(import.meta.resolve('grpc-health-check').replace(/build\/src\/.*$/, 'proto/health/v1/health.proto')),
      'grpc.health.v1.Health',
      running.grpcPort!,
    )
    assert.equal((await health.call('check')({ service: 'gabion.v1.MonitorService' })).status, 'SERVING')
    health.client.close()
    const reflection = clientOf(
      fileURLToPath(import.meta.resolve('@grpc/reflection').replace(/build\/src\/.*$/, 'build/proto/grpc/reflection/v1/reflection.proto')),
      'grpc.reflection.v1.ServerReflection',
      running.grpcPort!,
    )
    const info = reflection.client.serverReflectionInfo as () => NodeJS.ReadWriteStream &
      AsyncIterable<{ listServicesResponse: { service: { name: string }[] } }> & { cancel(): void }
    const stream = info.call(reflection.client)
    stream.write({ listServices: '' } as never)
    for await (const { listServicesResponse } of stream) {
      const names = listServicesResponse.service.map(({ name }) => name)
      for (const name of ['gabion.v1.EmbeddingService', 'gabion.v1.MonitorService', 'grpc.health.v1.Health'])
        assert.ok(names.includes(name), names.join())
      break
    }
    stream.cancel()
    reflection.client.close()
  })
})
