// What clients are sent, and when: replies that are broken off, judging that takes long, clients that do not read, keys of the proxy's own.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { before, describe, it } from 'node:test'
import { Monitor } from '../../lib/index.js'
import { ClientKeys } from '../../lib/server/proxy/caller.js'
import { DEFAULT_POLICY, type PolicyOptions } from '../../lib/server/proxy/policy.js'
import { Upstream } from '../../lib/server/proxy/upstream.js'
import type { RunningService, ServeOptions } from '../../lib/server/serve.js'
import { ScriptedDetector } from '../../lib/testing/scripted-detector.js'
import { Witness } from '../unit/witness-detector.js'
import { atEnd, until } from './ending.js'
import { GOOD, REPLACEMENT } from './proxy-under-test.js'
import { memoryLog, startService, testEmbedder } from './service-under-test.js'

type Answer = (response: ServerResponse, request: IncomingMessage) => void

/** A service whose answer the test gives. */
async function startUpstream(): Promise<{ url: string; answer: { now: Answer }; headers: IncomingMessage['headers'][] }> {
  const answer: { now: Answer } = { now: (response) => response.end() }
  const headers: IncomingMessage['headers'][] = []
  const server = createServer((request, response) => {
    request.resume()
    headers.push(request.headers)
    request.on('end', () => answer.now(response, request))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, answer, headers }
}

/** Judges as told: `ALERT` raises an alert, `SLOW` takes for ever. */
class SlowDetector extends ScriptedDetector {
  readonly seen: string[] = []

  constructor() {
    super(({ assistant }) => (assistant.includes('ALERT') ? 'alert' : 'calm'))
  }

  override judge(...[state, exchange]: Parameters<ScriptedDetector['judge']>): ReturnType<ScriptedDetector['judge']> {
    this.seen.push(exchange.assistant)
    const judged = super.judge(state, exchange)
    return exchange.assistant.includes('SLOW') ? (new Promise(() => undefined) as never) : judged
  }
}

async function startProxy(
  upstream: string,
  policy: Partial<PolicyOptions>,
  more: Partial<ServeOptions> & { clientKeys?: ClientKeys } = {},
): Promise<{ running: RunningService; detector: SlowDetector }> {
  const detector = new SlowDetector()
  const { clientKeys = null, ...rest } = more
  const running = await startService({
    grpcPort: null,
    monitor: await Monitor.load({ embedder: await testEmbedder(), detector }),
    proxy: { upstream: new Upstream(upstream), policy: { ...DEFAULT_POLICY, replacementMessage: REPLACEMENT, ...policy }, clientKeys },
    ...rest,
  })
  return { running, detector }
}

interface Open {
  readonly response: IncomingMessage
  readonly leave: () => void
}

function send(running: RunningService, body: object, headers: Record<string, string> = {}): Promise<Open> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${running.url}/v1/chat/completions`, { method: 'POST', headers }, (response) => {
      response.on('error', () => undefined)
      resolve({ response, leave: () => request.destroy() })
    })
    request.on('error', reject)
    request.end(JSON.stringify(body))
  })
}

async function textOf({ response }: Open): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const ask = (content: string, stream = true): object => ({ stream, messages: [{ role: 'user', content }] })
const event = (content: string): string => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`
const completion = (content: string): string => JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content } }] })
const EVENTS = { 'content-type': 'text/event-stream' }
const JSON_TYPE = { 'content-type': 'application/json' }

const metric = async ({ url }: RunningService, name: string): Promise<string | undefined> =>
  new RegExp(`^${name} (\\d+)$`, 'm').exec(await (await fetch(`${url}/gabion/metrics`)).text())?.[1]
const alerts = async ({ url }: RunningService): Promise<number> => {
  const { conversations } = (await (await fetch(`${url}/gabion/v1/conversations`)).json()) as {
    conversations: { firstAlert: number | null }[]
  }
  return conversations.filter(({ firstAlert }) => firstAlert !== null).length
}

describe('A reply that is broken off', () => {
  let upstream: Awaited<ReturnType<typeof startUpstream>>
  before(async () => {
    upstream = await startUpstream()
  })

  it('by the client is judged as far as it was delivered, and the upstream is told', async () => {
    const { running, detector } = await startProxy(upstream.url, {})
    let closed = false
    upstream.answer.now = (response) => {
      response.on('close', () => (closed = true))
      response.writeHead(200, EVENTS).write(event('ALERT at once') + event(', and more'))
    }
    const open = await send(running, ask('tell me'))
    await once(open.response, 'data')
    open.leave()
    await until('the upstream is told', () => closed)
    await until('the alert', async () => (await alerts(running)) === 1)
    assert.deepEqual(detector.seen, ['ALERT at once, and more'])
  })

  it('by the upstream is judged as far as it was delivered, and broken off for the client too', async () => {
    const { running, detector } = await startProxy(upstream.url, {})
    upstream.answer.now = (response) => {
      response.writeHead(200, EVENTS).write(`${event('ALERT at once')}data: {"choi`, () => setTimeout(() => response.destroy(), 20))
    }
    await assert.rejects(textOf(await send(running, ask('tell me'))), /aborted/)
    await until('the alert', async () => (await alerts(running)) === 1)
    assert.deepEqual(detector.seen, ['ALERT at once'])
    assert.equal(await metric(running, 'gabion_proxy_unjudged_total\\{code="\\w+"\\}'), undefined)
  })

  it('as a whole reply is counted as not judged', async () => {
    const { running } = await startProxy(upstream.url, {})
    upstream.answer.now = (response) => {
      response.writeHead(200, JSON_TYPE).write(completion('ALERT').slice(0, -10), () => setTimeout(() => response.destroy(), 20))
    }
    await assert.rejects(textOf(await send(running, ask('tell me', false))), /aborted/)
    await until('the count', async () => (await metric(running, 'gabion_proxy_unjudged_total\\{code="REPLY_UNREADABLE"\\}')) === '1')
  })

  it('while it is held is a 502 for the client, and no fault of gabion in the log', async () => {
    const { logger, lines } = memoryLog()
    const { running } = await startProxy(upstream.url, { policy: 'hold' }, { logger })
    upstream.answer.now = (response) => {
      response.writeHead(200, EVENTS).write(event('words'), () => setTimeout(() => response.destroy(), 20))
    }
    const open = await send(running, ask('tell me'))
    assert.deepEqual([open.response.statusCode, /"code":"(\w+)"/.exec(await textOf(open))?.[1]], [502, 'UPSTREAM_FAILED'])
    upstream.answer.now = (response) => void response.writeHead(200, EVENTS).write(event('words'))
    const request = httpRequest(`${running.url}/v1/chat/completions`, { method: 'POST' })
    request.on('error', () => undefined)
    request.end(JSON.stringify(ask('tell me')))
    setTimeout(() => request.destroy(), 100)
    await until('both are logged', () => lines.filter((line) => line.includes('"answered"')).length >= 1)
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.deepEqual(
      lines.filter((line) => line.includes('INTERNAL')),
      [],
    )
  })
})

describe('Judging that takes long', () => {
  let upstream: Awaited<ReturnType<typeof startUpstream>>
  before(async () => {
    upstream = await startUpstream()
  })
  const slow: Answer = (response, { headers }) => {
    if (headers['x-form'] === 'whole') response.writeHead(200, JSON_TYPE).end(completion('SLOW'))
    else response.writeHead(200, EVENTS).end(`${event('SLOW')}data: [DONE]\n\n`)
  }

  for (const form of ['whole', 'streamed']) {
    it(`does not delay an observed reply that is ${form}, and is bounded`, async () => {
      const { running } = await startProxy(upstream.url, { judgeTimeoutMs: 3000, verdictWaitMs: 10 })
      upstream.answer.now = slow
      const text = await textOf(await send(running, ask('tell me', form !== 'whole'), { 'x-form': form }))
      assert.equal(text, form === 'whole' ? completion('SLOW') : `${event('SLOW')}data: [DONE]\n\n`)
      // It has passed before its judging has ended.
      assert.equal(await metric(running, 'gabion_proxy_unjudged_total\\{code="DEADLINE_EXCEEDED"\\}'), undefined)
      await until('the count', async () => (await metric(running, 'gabion_proxy_unjudged_total\\{code="DEADLINE_EXCEEDED"\\}')) === '1')
    })
  }

  it('blocks a held reply after its bound, or passes it with --fail-open', async () => {
    upstream.answer.now = slow
    for (const failOpen of [false, true]) {
      const { running } = await startProxy(upstream.url, { policy: 'hold', judgeTimeoutMs: 100, failOpen })
      const open = await send(running, ask('tell me', false), { 'x-form': 'whole' })
      const { 'x-gabion-error': error, 'x-gabion-blocked': blocked } = open.response.headers
      assert.deepEqual([error, blocked], ['DEADLINE_EXCEEDED', failOpen ? undefined : 'true'])
      assert.equal((await textOf(open)).includes(REPLACEMENT), !failOpen)
    }
  })

  it('keeps a held stream open with comments, and then has the whole reply or the replacement', async () => {
    const { running } = await startProxy(upstream.url, { policy: 'hold', keepAliveMs: 50 })
    for (const [words, shown] of [
      ['We open at nine.', event('We open at nine.')],
      ['ALERT', REPLACEMENT],
    ] as const) {
      upstream.answer.now = (response) => {
        response.writeHead(200, EVENTS).write(event(words))
        setTimeout(() => response.end('data: [DONE]\n\n'), 300)
      }
      const text = await textOf(await send(running, ask('tell me')))
      assert.match(text, /^(: gabion is judging\n\n)+: gabion \{"x-gabion-conversation".*\}\n\ndata: /)
      assert.deepEqual([text.includes(shown), text.includes('ALERT'), text.endsWith('data: [DONE]\n\n')], [true, false, true])
    }
    const silent = await startProxy(upstream.url, { policy: 'hold', keepAliveMs: 50, comments: false })
    upstream.answer.now = (response) => {
      response.writeHead(200, EVENTS).write(event('Hello.'))
      setTimeout(() => response.end('data: [DONE]\n\n'), 200)
    }
    assert.equal(await textOf(await send(silent.running, ask('tell me'))), `${event('Hello.')}data: [DONE]\n\n`)
  })

  it('ends a stream that is kept open with an error where the upstream breaks off', async () => {
    const { running } = await startProxy(upstream.url, { policy: 'hold', keepAliveMs: 50 })
    upstream.answer.now = (response) => {
      response.writeHead(200, EVENTS).write(event('ALERT'))
      setTimeout(() => response.destroy(), 200)
    }
    const text = await textOf(await send(running, ask('tell me')))
    assert.match(text, /data: \{"error":\{"message":"[^"]+","type":"server_error","code":"UPSTREAM_FAILED"\}\}\n\n$/)
    assert.ok(!text.includes('ALERT'))
  })
})

describe('A client that does not read', () => {
  it('holds up the upstream', async () => {
    const upstream = await startUpstream()
    const { running } = await startProxy(upstream.url, {})
    const chunk = event('x'.repeat(64 * 1024))
    let sent = 0
    upstream.answer.now = (response) => {
      response.writeHead(200, EVENTS)
      void (async () => {
        for (; sent < 2048; sent++) if (!response.write(chunk)) await once(response, 'drain')
      })()
    }
    const open = await send(running, ask('tell me'))
    open.response.pause()
    // Until nothing moves any more: the sockets' buffers of the system are full.
    for (let before = -1; before !== sent;) {
      before = sent
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
    assert.ok(sent < 512, `${sent} of 2048 chunks of 64 KiB were taken`)
    open.leave()
  })
})

describe('Callers of the proxy', () => {
  let upstream: Awaited<ReturnType<typeof startUpstream>>
  before(async () => {
    upstream = await startUpstream()
    upstream.answer.now = (response) => response.writeHead(200, JSON_TYPE).end(completion(GOOD.assistant))
  })
  const KEYS = { a: 'a-client-key-of-tenant-a', b: 'a-client-key-of-tenant-b' }

  it('need a key where it has keys of its own, which does not reach the upstream', async () => {
    const clientKeys = new ClientKeys([
      { key: KEYS.a, tenant: 'a' },
      { key: KEYS.b, tenant: 'b' },
    ])
    const { running } = await startProxy(upstream.url, { policy: 'hold' }, { clientKeys })
    const asked = upstream.headers.length
    for (const headers of [{}, { authorization: 'Bearer something-else-entirely' }, { 'x-gabion-key': 'something-else-entirely' }]) {
      assert.equal((await send(running, ask('hi', false), headers)).response.statusCode, 401)
      assert.equal((await fetch(`${running.url}/v1/models`, { headers })).status, 401)
    }
    assert.equal(upstream.headers.length, asked)
    const conversations = new Set<unknown>()
    for (const headers of [
      { 'x-gabion-key': KEYS.a, authorization: 'Bearer the-model' },
      { 'x-gabion-key': KEYS.b, authorization: 'Bearer the-model' },
      { authorization: `Bearer ${KEYS.a}` },
      { 'x-api-key': KEYS.a, authorization: 'Bearer the-model' },
    ] as Record<string, string>[]) {
      const { response } = await send(running, ask('hi', false), headers)
      assert.equal(response.statusCode, 200)
      conversations.add(response.headers['x-gabion-conversation'])
      const forwarded = JSON.stringify(upstream.headers.at(-1))
      assert.ok(!forwarded.includes('a-client-key'), forwarded)
      assert.equal(upstream.headers.at(-1)!.authorization, headers.authorization === 'Bearer the-model' ? 'Bearer the-model' : undefined)
    }
    assert.equal(conversations.size, 4)
    assert.throws(() => new ClientKeys([{ key: 'short', tenant: 'a' }]), { code: 'INVALID_ARGUMENT' })
  })

  it('are named by a header of a trusted gateway, if an option says so', async () => {
    const { running } = await startProxy(upstream.url, { policy: 'hold', callerHeader: 'x-user' })
    const conversation = async (headers: Record<string, string>): Promise<unknown> =>
      (await send(running, ask('hi', false), headers)).response.headers['x-gabion-conversation']
    const one = await conversation({ 'x-user': 'one', authorization: 'Bearer a' })
    assert.equal(await conversation({ 'x-user': 'one', authorization: 'Bearer b' }), one)
    assert.notEqual(await conversation({ 'x-user': 'two', authorization: 'Bearer a' }), one)
    assert.notEqual(await conversation({ authorization: 'Bearer a' }), one)
  })

  it('may state another time in the system prompt of each request: it stays one conversation, judged under its prompt', async () => {
    const detector = new Witness()
    const monitor = await Monitor.load({ embedder: await testEmbedder(), detector })
    const { running } = await startProxy(upstream.url, { policy: 'hold' }, { monitor })
    const history: object[] = []
    const seen = new Set<unknown>()
    for (let at = 1; at <= 10; at++) {
      history.push({ role: 'user', content: `question ${at}` })
      const messages = [{ role: 'system', content: `You work in a shop. It is ${at} o'clock.` }, ...history]
      const { response } = await send(running, { messages })
      seen.add(response.headers['x-gabion-conversation'])
      assert.equal(response.headers['x-gabion-exchange'], String(at))
      history.push({ role: 'assistant', content: GOOD.assistant })
    }
    assert.equal(seen.size, 1)
    assert.deepEqual(
      detector.seen.map(({ system }) => system),
      Array.from({ length: 10 }, (_, index) => `You work in a shop. It is ${index + 1} o'clock.`),
    )
  })

  it('are told an alert under one system prompt that was none under another', async () => {
    class Strict extends ScriptedDetector {
      override judge(...[state, exchange]: Parameters<ScriptedDetector['judge']>): ReturnType<ScriptedDetector['judge']> {
        const { system } = exchange as { system?: string | null }
        return new ScriptedDetector([system?.includes('strict') === true ? 'alert' : 'calm']).judge({ ...state, exchanges: 0 }, exchange)
      }
    }
    const monitor = await Monitor.load({ embedder: await testEmbedder(), detector: new Strict(() => 'calm') })
    const { running } = await startProxy(upstream.url, { policy: 'hold' }, { monitor })
    const alerted = async (system: string): Promise<unknown> =>
      (
        await send(running, {
          messages: [
            { role: 'system', content: system },
            { role: 'user', content: 'hi' },
          ],
        })
      ).response.headers['x-gabion-alert']
    assert.equal(await alerted('Be kind.'), 'false')
    assert.equal(await alerted('Be strict.'), 'true')
    assert.equal(await alerted('Be kind.'), 'false')
  })
})

describe('A held conversation at the level alert', () => {
  it('has every later reply blocked that would raise an alert by itself, and no other', async () => {
    const upstream = await startUpstream()
    const { running } = await startProxy(upstream.url, { policy: 'hold' })
    const history: object[] = []
    const shown: boolean[] = []
    for (const reply of ['Hello.', 'ALERT one', 'Fine.', 'ALERT two', 'ALERT three', 'Fine.']) {
      upstream.answer.now = (response) => response.writeHead(200, JSON_TYPE).end(completion(reply))
      for (const headers of [{}, { 'x-gabion-conversation': 'named' }] as Record<string, string>[]) {
        const open = await send(running, { messages: [...history, { role: 'user', content: 'and?' }] }, headers)
        assert.equal(open.response.headers['x-gabion-blocked'] === 'true', reply.startsWith('ALERT'), reply)
        shown.push((await textOf(open)).includes('ALERT'))
      }
      history.push({ role: 'user', content: 'and?' }, { role: 'assistant', content: reply.startsWith('ALERT') ? REPLACEMENT : reply })
    }
    assert.ok(!shown.includes(true))
    assert.equal(await alerts(running), 2)
  })
})
