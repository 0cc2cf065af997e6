// Every watched chat API, whole and streamed: what passes is what came, an alert is seen, and a blocked reply has the API's own form.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { before, describe, it } from 'node:test'
import OpenAI from 'openai'
import { Monitor } from '../../lib/index.js'
import { DEFAULT_POLICY, PROXY_LIMITS, type PolicyOptions } from '../../lib/server/proxy/policy.js'
import { Upstream } from '../../lib/server/proxy/upstream.js'
import type { RunningService } from '../../lib/server/serve.js'
import { atEnd } from './ending.js'
import { Witness } from '../unit/witness-detector.js'
import { BAD, GOOD, REPLACEMENT } from './proxy-under-test.js'
import { erosionMonitor, startService, testEmbedder } from './service-under-test.js'

const sse = (data: object, name?: string): string => `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`
const halves = (text: string): [string, string] => [text.slice(0, 20), text.slice(20)]

/** A chat API as its services answer it, written without the proxy's code. */
interface Api {
  readonly path: string
  readonly ask: (user: string, system: string) => object
  readonly whole: (reply: string) => object
  readonly stream: (reply: string) => string
  readonly type: 'text/event-stream' | 'application/x-ndjson'
  /** The words of a whole or streamed response, as a client reads them. */
  readonly words: (bytes: string) => string
  /** What tells a client that the reply was filtered. */
  readonly filtered: RegExp
}

const events = (bytes: string): unknown[] =>
  bytes.split('\n').flatMap((line) => (line.startsWith('data: {') ? [JSON.parse(line.slice(6)) as unknown] : []))
const lines = (bytes: string): unknown[] => bytes.split('\n').flatMap((line) => (line.trim() === '' ? [] : [JSON.parse(line) as unknown]))

/** What stands at a path in JSON. */
const at = (value: unknown, ...path: (string | number)[]): unknown =>
  path.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? (inner as Record<string | number, unknown>)[key] : undefined),
    value,
  )
/** The text there, else nothing. */
const textAt = (value: unknown, ...path: (string | number)[]): string => {
  const text = at(value, ...path)
  return typeof text === 'string' ? text : ''
}
/** A whole response as the only part, or the parts of a stream. */
const partsOf = (bytes: string): unknown[] => (bytes.startsWith('{') ? [JSON.parse(bytes)] : events(bytes))

const responseOf = (reply: string): object => ({
  id: 'resp_1',
  object: 'response',
  status: 'completed',
  model: 'parrot',
  output: [
    { type: 'reasoning', id: 'rs_1', summary: [] },
    { type: 'message', id: 'msg_1', role: 'assistant', content: [{ type: 'output_text', text: reply, annotations: [] }] },
  ],
})

const APIS: Record<string, Api> = {
  'completions of a prompt': {
    path: '/v1/completions',
    ask: (prompt) => ({ prompt }),
    whole: (text) => ({ id: 'cmpl-1', object: 'text_completion', model: 'parrot', choices: [{ index: 0, text, finish_reason: 'stop' }] }),
    stream: (reply) =>
      `${halves(reply)
        .map((text) => sse({ id: 'cmpl-1', choices: [{ index: 0, text, finish_reason: null }] }))
        .join('')}data: [DONE]\n\n`,
    type: 'text/event-stream',
    words: (bytes) =>
      partsOf(bytes)
        .map((part) => textAt(part, 'choices', 0, 'text'))
        .join(''),
    filtered: /"finish_reason":"content_filter"/,
  },
  responses: {
    path: '/v1/responses',
    ask: (input, instructions) => ({ input, instructions }),
    whole: responseOf,
    stream: (reply) =>
      [
        { type: 'response.created', response: { id: 'resp_1', model: 'parrot', status: 'in_progress', output: [] } },
        ...halves(reply).map((delta) => ({
          type: 'response.output_text.delta',
          item_id: 'msg_1',
          output_index: 1,
          content_index: 0,
          delta,
        })),
        { type: 'response.completed', response: responseOf(reply) },
      ]
        .map((event) => sse(event, event.type))
        .join(''),
    type: 'text/event-stream',
    words: (bytes) => {
      const last = partsOf(bytes).at(-1)
      const output = at(last, 'output') ?? at(last, 'response', 'output')
      return (output as unknown[]).map((item) => textAt(item, 'content', 0, 'text')).join('')
    },
    filtered: /"status":"incomplete".*"incomplete_details":\{"reason":"content_filter"\}/,
  },
  messages: {
    path: '/v1/messages',
    ask: (content, system) => ({
      system: [{ type: 'text', text: system }],
      messages: [{ role: 'user', content: [{ type: 'text', text: content }] }],
    }),
    whole: (text) => ({
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'parrot',
      content: [
        { type: 'thinking', thinking: 'hm' },
        { type: 'text', text },
        { type: 'tool_use', id: 't', name: 'refund', input: {} },
      ],
      stop_reason: 'end_turn',
    }),
    stream: (reply) =>
      [
        { type: 'message_start', message: { id: 'msg_1', model: 'parrot', content: [] } },
        { type: 'ping' },
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        ...halves(reply).map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: 'end_turn' } },
        { type: 'message_stop' },
      ]
        .map((event) => sse(event, event.type))
        .join(''),
    type: 'text/event-stream',
    words: (bytes) =>
      partsOf(bytes)
        .flatMap((part) => [
          textAt(part, 'delta', 'text'),
          ...((at(part, 'content') as unknown[] | undefined) ?? []).map((one) => textAt(one, 'text')),
        ])
        .join(''),
    filtered: /"stop_reason":"refusal"/,
  },
  "Ollama's chat": {
    path: '/api/chat',
    ask: (content, system) => ({
      messages: [
        { role: 'system', content: system },
        { role: 'user', content },
      ],
    }),
    whole: (content) => ({ model: 'parrot', message: { role: 'assistant', content }, done: true, done_reason: 'stop' }),
    stream: (reply) =>
      [
        ...halves(reply).map((content) => ({ model: 'parrot', message: { role: 'assistant', content }, done: false })),
        { model: 'parrot', message: { role: 'assistant', content: '' }, done: true },
      ]
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(''),
    type: 'application/x-ndjson',
    words: (bytes) =>
      lines(bytes)
        .map((line) => textAt(line, 'message', 'content'))
        .join(''),
    filtered: /"done":true,"done_reason":"content_filter"/,
  },
  "Ollama's generate": {
    path: '/api/generate',
    ask: (prompt, system) => ({ prompt, system }),
    whole: (response) => ({ model: 'parrot', response, done: true }),
    stream: (reply) =>
      [
        ...halves(reply).map((response) => ({ model: 'parrot', response, done: false })),
        { model: 'parrot', response: '', done: true, context: [1, 2] },
      ]
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(''),
    type: 'application/x-ndjson',
    words: (bytes) =>
      lines(bytes)
        .map((line) => textAt(line, 'response'))
        .join(''),
    filtered: /"done":true,"done_reason":"content_filter"/,
  },
}

/** Answers every request with `next`. */
class AnyUpstream {
  next = { body: '', type: 'application/json' }
  readonly asked: { url: string; body: string }[] = []
  url = ''

  async start(): Promise<this> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        this.asked.push({ url: request.url ?? '', body: Buffer.concat(chunks).toString() })
        response.writeHead(200, { 'content-type': this.next.type }).end(this.next.body)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    atEnd(async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    })
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return this
  }
}

async function proxied(upstream: string, policy: Partial<PolicyOptions>, more: object = {}): Promise<RunningService> {
  const options = { ...DEFAULT_POLICY, replacementMessage: REPLACEMENT, ...policy }
  const proxy = { upstream: new Upstream(upstream), policy: options }
  return await startService({ monitor: await erosionMonitor(), grpcPort: null, limits: PROXY_LIMITS, proxy, ...more })
}

/** Sends a request with its target as written. */
async function send(
  running: RunningService,
  path: string,
  body: object,
  headers: Record<string, string> = {},
  method = 'POST',
): Promise<{ status: number; headers: IncomingMessage['headers']; trailers: IncomingMessage['trailers']; bytes: string }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = { port: running.port, path, method, headers: { 'content-type': 'application/json', te: 'trailers', ...headers } }
    httpRequest(options, resolve).on('error', reject).end(JSON.stringify(body))
  })
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    trailers: response.trailers,
    bytes: Buffer.concat(chunks).toString(),
  }
}

const SYSTEM = 'You are the assistant of a shop.'

for (const [name, api] of Object.entries(APIS)) {
  describe(`The chat API of ${name}`, () => {
    let upstream: AnyUpstream
    let observe: RunningService
    let hold: RunningService
    let closed: RunningService
    before(async () => {
      upstream = await new AnyUpstream().start()
      observe = await proxied(upstream.url, { comments: false })
      hold = await proxied(upstream.url, { policy: 'hold' })
      closed = await proxied(upstream.url, { policy: 'hold', failClosed: true })
    })

    for (const stream of [false, true]) {
      const shape = stream ? 'streamed' : 'whole'
      const ask = async (running: RunningService, user: string, reply: string): ReturnType<typeof send> => {
        upstream.next = stream
          ? { body: api.stream(reply), type: api.type }
          : { body: JSON.stringify(api.whole(reply)), type: 'application/json' }
        return await send(running, api.path, { model: 'parrot', stream, ...api.ask(user, SYSTEM) })
      }

      it(`${shape}, passes as it came, and its verdict follows`, async () => {
        const good = await ask(observe, GOOD.user, GOOD.assistant)
        assert.deepEqual([good.bytes, good.trailers['x-gabion-alert']], [upstream.next.body, 'false'])
        const bad = await ask(observe, BAD.user, BAD.assistant)
        assert.deepEqual([bad.bytes, bad.trailers['x-gabion-alert']], [upstream.next.body, 'true'])
        const held = await ask(hold, GOOD.user, GOOD.assistant)
        assert.deepEqual(
          [held.bytes, held.headers['x-gabion-alert'], held.headers['x-gabion-error']],
          [upstream.next.body, 'false', undefined],
        )
      })

      it(`${shape}, has the replacement message in its own form`, async () => {
        const { status, bytes, headers } = await ask(hold, BAD.user, BAD.assistant)
        assert.deepEqual([status, api.words(bytes), headers['x-gabion-blocked']], [200, REPLACEMENT, 'true'])
        assert.match(bytes.replaceAll('\n', ' '), api.filtered)
        assert.match(bytes, /"model":"parrot"/)
        assert.ok(!bytes.includes(BAD.assistant.slice(0, 20)))
        const type = !stream ? 'application/json' : api.type
        assert.equal(headers['content-type'], `${type}; charset=utf-8`)
      })

      it(`${shape}, is counted where it cannot be read, and blocked with --fail-closed`, async () => {
        upstream.next = {
          body: stream && api.type === 'text/event-stream' ? 'data: {"x":1}\n\n' : '{"x":1}\n',
          type: stream ? api.type : 'application/json',
        }
        const { bytes, headers } = await send(closed, api.path, { model: 'parrot', stream, ...api.ask(BAD.user, SYSTEM) })
        assert.deepEqual(
          [api.words(bytes), headers['x-gabion-error'], headers['x-gabion-blocked']],
          [REPLACEMENT, 'REPLY_UNREADABLE', 'true'],
        )
      })
    }

    it('gives its system prompt to the detector', async () => {
      const detector = new Witness()
      const running = await proxied(
        upstream.url,
        { policy: 'hold' },
        { monitor: await Monitor.load({ embedder: await testEmbedder(), detector }) },
      )
      upstream.next = { body: JSON.stringify(api.whole(GOOD.assistant)), type: 'application/json' }
      await send(running, api.path, { stream: false, ...api.ask(GOOD.user, SYSTEM) })
      const expected = name === 'completions of a prompt' ? null : SYSTEM
      assert.deepEqual(
        detector.seen.map(({ user, assistant, system }) => [user, assistant, system]),
        [[GOOD.user, GOOD.assistant, expected], ...(name === 'messages' ? [[GOOD.user, 'refund({})', expected]] : [])],
      )
    })
  })
}

describe('The paths of the proxy', () => {
  let upstream: AnyUpstream
  let running: RunningService
  before(async () => {
    upstream = await new AnyUpstream().start()
    running = await proxied(upstream.url, { policy: 'hold' })
  })
  const completion = (content: string): string => JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content } }] })
  const body = { model: 'parrot', messages: [{ role: 'user', content: BAD.user }] }

  for (const path of [
    '/v1/chat/completions',
    '/chat/completions',
    '/v1/chat/completions/',
    '/v1/Chat/Completions',
    '/v1//chat/completions',
    '/v1/chat/completion%73',
    '/v1/chat%2Fcompletions',
    '/v1/chat/completions;a=b?x=1',
    '/openai/deployments/gpt/chat/completions?api-version=2024-10-21',
    '/api/v1/chat/completions',
    '/v1beta/openai/chat/completions',
  ]) {
    it(`${path} is watched`, async () => {
      upstream.next = { body: completion(BAD.assistant), type: 'application/json' }
      const { headers, bytes } = await send(running, path, body)
      assert.deepEqual([headers['x-gabion-blocked'], bytes.includes(REPLACEMENT)], ['true', true])
    })
  }

  it('that are not watched pass and are counted by few names, or are refused', async () => {
    upstream.next = { body: completion(BAD.assistant), type: 'application/json' }
    const paths = [
      '/v1/embeddings',
      '/v1/models',
      '/v1/threads/t-1/messages',
      '/secret-name',
      '/other-secret-name',
      '/v1/messages/count_tokens',
    ]
    for (const path of paths) {
      const { status, headers } = await send(running, path, body)
      assert.deepEqual([status, headers['x-gabion-blocked']], [200, undefined])
    }
    await send(running, '/v1/chat/completions', {}, {}, 'PUT')
    const metrics = await (await fetch(`${running.url}/gabion/metrics`)).text()
    const counted = [...metrics.matchAll(/^gabion_proxy_unwatched_total\{route="(\w+)"\} (\d+)$/gm)].map(
      ([, route, count]) => `${route} ${count}`,
    )
    assert.deepEqual(counted.sort(), ['completions 1', 'embeddings 1', 'messages 1', 'models 1', 'other 2', 'threads 1'])
    const only = await proxied(upstream.url, { onlyWatched: true })
    const asked = upstream.asked.length
    for (const path of paths) {
      const { status, bytes } = await send(only, path, body)
      assert.deepEqual([status, (JSON.parse(bytes) as { error: { code: string } }).error.code], [403, 'PATH_REFUSED'])
    }
    assert.equal(upstream.asked.length, asked)
    assert.equal((await send(only, '/v1/chat/completions', body)).status, 200)
  })

  it('are watched by the path that the upstream sees', async () => {
    const ollama = await proxied(`${upstream.url}/api`, { policy: 'hold' })
    upstream.next = {
      body: JSON.stringify({ message: { role: 'assistant', content: BAD.assistant }, done: true }),
      type: 'application/json',
    }
    assert.equal((await send(ollama, '/chat', { ...body, stream: false })).headers['x-gabion-blocked'], 'true')
    assert.equal(upstream.asked.at(-1)?.url, '/api/chat')
  })

  it("have the upstream's version in place of a client's", async () => {
    const gemini = await proxied(`${upstream.url}/v1beta/openai`, { policy: 'hold' })
    upstream.next = { body: completion(GOOD.assistant), type: 'application/json' }
    for (const path of ['/v1/chat/completions', '/chat/completions']) {
      assert.equal((await send(gemini, path, body)).headers['x-gabion-alert'], 'false')
      assert.equal(upstream.asked.at(-1)?.url, '/v1beta/openai/chat/completions')
    }
  })
})

describe('A chat that the upstream stores', () => {
  let upstream: AnyUpstream
  before(async () => {
    upstream = await new AnyUpstream().start()
  })
  const response = (id: string, text: string): void => {
    const output = [{ type: 'message', id: 'm', role: 'assistant', content: [{ type: 'output_text', text, annotations: [] }] }]
    upstream.next = {
      body: JSON.stringify({ id, object: 'response', status: 'completed', model: 'parrot', output }),
      type: 'application/json',
    }
  }

  it('is one conversation by previous_response_id, with branches, and ends after an alert', async () => {
    const running = await proxied(upstream.url, { policy: 'end' })
    const ask = async (id: string, previous: string | undefined, input: string, reply: string, key = 'a'): Promise<unknown[]> => {
      response(id, reply)
      const body = { model: 'parrot', input, ...(previous !== undefined && { previous_response_id: previous }) }
      const { status, headers } = await send(running, '/v1/responses', body, { authorization: `Bearer ${key}` })
      return [status, headers['x-gabion-exchange'], headers['x-gabion-conversation']]
    }
    const [, one, conversation] = await ask('r1', undefined, 'hi', 'Hello!')
    assert.equal(one, '1')
    assert.deepEqual(await ask('r2', 'r1', GOOD.user, GOOD.assistant), [200, '2', conversation])
    assert.deepEqual(await ask('r3', 'r2', 'And on Sunday?', 'Closed on Sunday.'), [200, '3', conversation])
    const [status, three, branch] = await ask('r4', 'r2', BAD.user, BAD.assistant)
    assert.deepEqual([status, three, branch === conversation], [200, '3', false])
    assert.deepEqual((await ask('r5', 'r4', 'Thanks', 'Welcome'))[0], 403)
    assert.deepEqual(await ask('r6', 'r3', 'And on Monday?', 'Open.'), [200, '4', conversation])
    // The ids of another caller are names that say nothing.
    assert.equal((await ask('r7', 'r4', 'Thanks', 'Welcome', 'b'))[0], 200)
  })

  it('is judged with the official client, whole and streamed', async () => {
    const running = await proxied(upstream.url, { policy: 'hold' })
    const client = new OpenAI({ baseURL: `${running.url}/v1`, apiKey: 'k', maxRetries: 0 })
    response('r1', BAD.assistant)
    const whole = await client.responses.create({ model: 'parrot', input: BAD.user })
    assert.deepEqual([whole.output_text, whole.incomplete_details?.reason], [REPLACEMENT, 'content_filter'])
    upstream.next = { body: APIS.responses!.stream(BAD.assistant), type: 'text/event-stream' }
    let words = ''
    for await (const event of await client.responses.create({ model: 'parrot', input: BAD.user, stream: true })) {
      if (event.type === 'response.output_text.delta') words += event.delta
    }
    assert.equal(words, REPLACEMENT)
    upstream.next = { body: APIS['completions of a prompt']!.stream(BAD.assistant), type: 'text/event-stream' }
    let text = ''
    for await (const { choices } of await client.completions.create({ model: 'parrot', prompt: BAD.user, stream: true }))
      text += choices[0]?.text ?? ''
    assert.equal(text, REPLACEMENT)
  })
})
