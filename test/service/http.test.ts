// The HTTP side through real requests: forms, vectors, exchanges, failures, limits, the description.

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { Projection } from '../../lib/index.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import type { RunningService } from '../../lib/server/serve.js'
import { until } from './ending.js'
import { get, memoryLog, post, startService, testEmbedder } from './service-under-test.js'

interface Embeddings {
  data: { index: number; embedding: number[] | string }[]
  model: string
  usage: { prompt_tokens: number }
  truncated: number[]
}

describe('HTTP', () => {
  let running: RunningService
  let url: string
  const { logger, lines } = memoryLog()

  before(async () => {
    const embedder = await testEmbedder()
    const batch = await embedder.embedBatch(['one thing', 'another thing', 'quite a different matter', 'and a fourth'])
    const projection = Projection.fitPca(batch, { components: 2 })
    running = await startService({ logger, projection, limits: { texts: 8, textLength: 4000, bodyBytes: 64 * 1024 } })
    url = running.url
  })
  after(() => running.stop())

  it('gives the vectors of the library, in numbers and in base64', async () => {
    const texts = ['How do I reset my password?', 'hello', '']
    const expected = await (await testEmbedder()).embedBatch(texts)
    const floats = await post<Embeddings>(`${url}/v1/embeddings`, { input: texts, model: 'any' })
    assert.equal(floats.status, 200)
    const base64 = await post<Embeddings>(`${url}/v1/embeddings`, { input: texts, encoding_format: 'base64' })
    for (const index of texts.keys()) {
      assert.deepEqual(Float32Array.from(floats.body.data[index]?.embedding as number[]), expected.row(index))
      const bytes = Buffer.from(base64.body.data[index]?.embedding as string, 'base64')
      assert.deepEqual(new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)), expected.row(index))
    }
    assert.equal(
      floats.body.usage.prompt_tokens,
      expected.tokenCounts.reduce((sum, count) => sum + count, 0),
    )
    assert.equal(floats.body.model, 'all-MiniLM-L6-v2')
  })

  it('shortens vectors to unit length again, and refuses more dimensions than there are', async () => {
    const { body } = await post<Embeddings>(`${url}/v1/embeddings`, { input: 'hello', dimensions: 8 })
    const vector = body.data[0]?.embedding as number[]
    assert.equal(vector.length, 8)
    assert.deepEqual(Float32Array.from(vector), await (await testEmbedder()).embed('hello', { dimensions: 8 }))
    const refused = await post(`${url}/v1/embeddings`, { input: 'hello', dimensions: 385 })
    assert.deepEqual([refused.status, refused.body.error.code], [400, 'INVALID_ARGUMENT'])
  })

  it('says which texts were cut; the TEI form refuses them unless told to cut', async () => {
    const long = 'word '.repeat(600)
    const { body } = await post<Embeddings>(`${url}/v1/embeddings`, { input: ['short', long] })
    assert.deepEqual(body.truncated, [1])
    assert.equal((await post(`${url}/embed`, { inputs: long })).status, 422)
    const cut = await post<number[][]>(`${url}/embed`, { inputs: long, truncate: true })
    assert.deepEqual(cut.body[0], body.data[1]?.embedding)
  })

  it('projects', async () => {
    const { body } = await post<{ data: { point: number[] }[] }>(`${url}/v1/project`, { input: ['hello', 'there'] })
    const { projection } = running.service
    assert.ok(projection !== null)
    const batch = await (await testEmbedder()).embedBatch(['hello', 'there'], { projection })
    assert.deepEqual(Float32Array.from(body.data[1]?.point ?? []), batch.projectedRow(1))
  })

  it('judges exchanges in order, once by their id, and forgets when told to', async () => {
    const exchanges = `${url}/v1/conversations/a%2Fb%20c/exchanges`
    const first = await post<ExchangeVerdict>(exchanges, { user: 'hello', assistant: 'Hello, how can I help?', exchangeId: 'x' })
    assert.deepEqual([first.status, first.body.exchange, first.body.conversation], [200, 1, 'a/b c'])
    const again = await post<ExchangeVerdict>(exchanges, { user: 'hello', assistant: 'Hello, how can I help?', exchangeId: 'x' })
    assert.deepEqual(again.body, first.body)
    assert.equal(again.headers.get('x-gabion-repeated'), 'true')
    const early = await post(exchanges, { user: 'a', assistant: 'b', exchange: 3 })
    assert.deepEqual([early.status, early.body.error.code], [409, 'CONFLICT'])
    assert.equal((await post<ExchangeVerdict>(exchanges, { user: 'a', assistant: 'b', exchange: 2 })).body.exchange, 2)
    const seen = await get<{ exchanges: number; history: ExchangeVerdict[] }>(`${url}/v1/conversations/a%2Fb%20c`)
    assert.equal(seen.body.exchanges, 2)
    assert.deepEqual(seen.body.history[0], first.body)
    const listed = await get<{ conversations: { conversation: string }[] }>(`${url}/v1/conversations?limit=5`)
    assert.ok(listed.body.conversations.some(({ conversation }) => conversation === 'a/b c'))
    assert.equal((await fetch(`${url}/v1/conversations/a%2Fb%20c`, { method: 'DELETE' })).status, 200)
    assert.equal((await get(`${url}/v1/conversations/a%2Fb%20c`)).body.error.code, 'NOT_FOUND')
  })

  it('gives exchanges of one conversation that come at once their places, and the verdicts that the library gives', async () => {
    const exchanges = Array.from({ length: 12 }, (_, i) => ({ user: `question ${i}`, assistant: `answer number ${i}, as promised` }))
    const answers = await Promise.all(exchanges.map((one) => post<ExchangeVerdict>(`${url}/v1/conversations/crowd/exchanges`, one)))
    assert.deepEqual(
      answers.map(({ body }) => body.exchange).sort((a, b) => a - b),
      exchanges.map((_, i) => i + 1),
    )
    const conversation = running.service.monitor.begin('control')
    for (const { body } of answers.sort((a, b) => a.body.exchange - b.body.exchange)) {
      const exchange = exchanges[answers.findIndex((answer) => answer.body === body)]
      assert.ok(exchange !== undefined && body.exchange >= 1)
    }
    const serial = await conversation.addExchange(exchanges[0]!)
    const alone = await post<ExchangeVerdict>(`${url}/v1/conversations/serial/exchanges`, exchanges[0])
    assert.deepEqual([alone.body.likelihood, alone.body.risk], [serial.likelihood, serial.risk])
  })

  it('says where the time went', async () => {
    const { headers } = await post(`${url}/v1/conversations/timed/exchanges`, { user: 'a question', assistant: 'an answer' })
    const stages = (headers.get('server-timing') ?? '').split(', ').map((part) => /^(\w+);dur=(\d+\.\d+)$/.exec(part)?.[1])
    assert.deepEqual(stages, ['tokenize', 'queue', 'encode', 'project', 'detect', 'total'])
  })

  it('answers every wrong request with a code', async () => {
    const wrong: [string, unknown, number, string][] = [
      ['/v1/embeddings', '{', 400, 'INVALID_ARGUMENT'],
      ['/v1/embeddings', {}, 400, 'INVALID_ARGUMENT'],
      ['/v1/embeddings', { input: 7 }, 400, 'INVALID_ARGUMENT'],
      ['/v1/embeddings', { input: [1, 2] }, 400, 'INVALID_ARGUMENT'],
      ['/v1/embeddings', { input: [] }, 400, 'INVALID_ARGUMENT'],
      ['/v1/embeddings', { input: 'a', prompt_name: 'none such' }, 400, 'INVALID_ARGUMENT'],
      ['/v1/embeddings', { input: Array(9).fill('a') }, 413, 'TOO_LARGE'],
      ['/v1/embeddings', { input: 'a'.repeat(4001) }, 413, 'TOO_LARGE'],
      ['/v1/embeddings', { input: 'a'.repeat(70_000) }, 413, 'TOO_LARGE'],
      ['/embed', { inputs: 'a', normalize: false }, 400, 'INVALID_ARGUMENT'],
      ['/v1/project', { input: 'a', more: 1 }, 400, 'INVALID_ARGUMENT'],
      ['/v1/conversations/x/exchanges', { user: 'a' }, 400, 'INVALID_ARGUMENT'],
      ['/v1/conversations/%00/exchanges', { user: 'a', assistant: 'b' }, 400, 'INVALID_ARGUMENT'],
      ['/v1/conversations/%E0/exchanges', { user: 'a', assistant: 'b' }, 400, 'INVALID_ARGUMENT'],
      ['/nowhere', {}, 404, 'NOT_FOUND'],
      ['/health', {}, 404, 'NOT_FOUND'],
    ]
    for (const [path, body, status, code] of wrong) {
      const answer = await post(`${url}${path}`, body)
      assert.deepEqual([path, answer.status, answer.body.error.code], [path, status, code])
      assert.ok(answer.body.error.message.length > 10)
    }
    const plain = await post(`${url}/v1/embeddings`, 'input=a', { 'content-type': 'text/plain' })
    assert.deepEqual([plain.status, plain.body.error.code], [400, 'INVALID_ARGUMENT'])
  })

  it('answers what is no HTTP at all', async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(running.port, '127.0.0.1', () => socket.write('\u0016\u0003\u0001 no HTTP\r\n\r\n'))
      let text = ''
      socket
        .on('data', (data) => (text += data.toString()))
        .on('end', () => resolve(text))
        .on('error', reject)
    })
    assert.match(answer, /^HTTP\/1\.1 400 .*"code":"INVALID_ARGUMENT"/s)
  })

  it('tells its request id, and takes a harmless one', async () => {
    assert.equal((await get(`${url}/health`, { 'x-request-id': 'mine-1' })).headers.get('x-request-id'), 'mine-1')
    assert.match((await get(`${url}/health`, { 'x-request-id': 'a b' })).headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/)
  })

  it('refuses other host names without a key: a page that points its name here gets nothing', async () => {
    const response = await new Promise<string>((resolve) => {
      const socket = connect(running.port, '127.0.0.1', () =>
        socket.write('GET /v1/conversations HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n'),
      )
      let text = ''
      socket.on('data', (data) => (text += data.toString())).on('end', () => resolve(text))
    })
    assert.match(response, /^HTTP\/1\.1 401 .*UNAUTHENTICATED/s)
  })

  it('keeps a deadline', async () => {
    const late = await post(
      `${url}/v1/embeddings`,
      { input: Array.from({ length: 8 }, (_, i) => `${'many words '.repeat(200)}${i}`) },
      {
        'x-request-timeout-ms': '1',
      },
    )
    assert.deepEqual([late.status, late.body.error.code], [504, 'DEADLINE_EXCEEDED'])
    assert.equal((await post(`${url}/v1/embeddings`, { input: 'a' }, { 'x-request-timeout-ms': 'soon' })).status, 400)
    assert.equal(running.service.admission.texts, 0)
  })

  it('describes itself by the schemas that validate', async () => {
    const { body } = await get<{ openapi: string; paths: Record<string, object>; components: { schemas: Record<string, object> } }>(
      `${url}/openapi.json`,
    )
    assert.equal(body.openapi, '3.1.0')
    const paths = [
      '/v1/embeddings',
      '/embed',
      '/v1/project',
      '/v1/conversations/{id}/exchanges',
      '/v1/conversations/{id}',
      '/v1/conversations/{id}/events',
    ]
    for (const path of [...paths, '/v1/conversations', '/v1/events', '/health', '/ready', '/info', '/metrics'])
      assert.ok(path in body.paths, path)
    assert.ok('AddExchangeRequest' in body.components.schemas)
  })

  it('counts, and writes no text and no id of a conversation into metrics or log', async () => {
    const secret = 'an unmistakable sentence about marmalade'
    await post(`${url}/v1/conversations/marmalade-7/exchanges`, { user: secret, assistant: secret })
    await post(`${url}/v1/embeddings`, { input: secret, encoding_format: 'wrong' })
    const metrics = await (await fetch(`${url}/metrics`)).text()
    assert.match(metrics, /gabion_texts_total [1-9]/)
    assert.match(metrics, /gabion_request_seconds_count\{protocol="http",route="\/v1\/conversations\/:id\/exchanges",code="200"\} [1-9]/)
    assert.match(metrics, /gabion_pending_texts 0/)
    assert.ok(!metrics.includes('marmalade'))
    assert.ok(lines.length > 10 && lines.every((line) => !line.includes('marmalade')))
    assert.ok(lines.some((line) => line.includes('"route":"/v1/embeddings"')))
  })

  it('streams what happens as server-sent events, and what was missed', async () => {
    const stop = new AbortController()
    const stream = async (path: string, wanted: number, headers: Record<string, string> = {}): Promise<string[]> => {
      const response = await fetch(`${url}${path}`, { signal: stop.signal, headers })
      assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/)
      let text = ''
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        text += Buffer.from(chunk).toString()
        const events = text.split('\n\n').filter((part) => part.startsWith('id: ') && part.includes('data: '))
        if (events.length >= wanted) return events
      }
      return []
    }
    const one = stream('/v1/conversations/streamed/events', 2)
    const all = stream('/v1/events', 3)
    await until('two watch', () => running.service.events.size === 2)
    for (const id of ['streamed', 'other', 'streamed'])
      await post(`${url}/v1/conversations/${id}/exchanges`, { user: 'hi', assistant: 'hello' })
    const events = await one
    assert.ok(events.every((event) => event.includes('"conversation":"streamed"') && event.includes('event: exchange')))
    const seen = await all
    assert.ok(seen[1]?.includes('"conversation":"other"'))
    const firstId = /^id: (\d+)/.exec(seen[0] ?? '')?.[1] ?? ''
    const missed = await stream('/v1/events', 2, { 'last-event-id': firstId })
    assert.equal(missed[0], seen[1])
    stop.abort()
  })
})
