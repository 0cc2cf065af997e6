// How long, how deep and how large what passes the proxy may be, and what it holds in memory meanwhile.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { before, describe, it } from 'node:test'
import { Monitor } from '../../lib/index.js'
import { PROXY_LIMITS } from '../../lib/server/proxy/policy.js'
import { ScriptedDetector } from '../../lib/testing/scripted-detector.js'
import { until } from './ending.js'
import { startServer } from './local-server.js'
import { startGabion } from './gabion-process.js'
import { GOOD, said, startProxy, type ProxyUnderTest, type Said } from './proxy-under-test.js'
import { testEmbedder } from './service-under-test.js'

const MIB = 1024 * 1024
/** Exchanges of the long chat; `GABION_LONG_CHAT=10000` is the long form. */
const LONG_CHAT = Number(process.env.GABION_LONG_CHAT ?? 2000)

const scripted = async (): Promise<Monitor> =>
  await Monitor.load({ embedder: await testEmbedder(), detector: new ScriptedDetector(['calm']) })

interface Listed {
  conversations: { conversation: string; exchanges: number }[]
}

interface Shown {
  history: { exchange: number }[]
}

describe('A chat of the proxy', () => {
  let proxy: ProxyUnderTest
  before(async () => {
    proxy = await startProxy({ policy: 'hold' }, { monitor: await scripted() })
  })

  const exchange = (at: number): { user: string; assistant: string } => ({ user: `question ${at}`, assistant: `answer ${at}` })

  /** Asks for the exchange after a history; where it was judged. */
  async function ask(history: readonly Said[], user: string, reply: string): Promise<{ conversation: string; exchange: number }> {
    const { headers, words } = await proxy.ask([...history, { role: 'user', content: user }], { reply })
    assert.equal(words, reply)
    return { conversation: headers.get('x-gabion-conversation') ?? '', exchange: Number(headers.get('x-gabion-exchange')) }
  }

  it(`of ${String(LONG_CHAT)} exchanges is one conversation`, async () => {
    const history: Said[] = []
    const conversations = new Set<string>()
    // Clients that the proxy sees at every twentieth exchange only: it judges those between, too.
    for (let at = 1; at <= LONG_CHAT; at += at % 20 === 1 && at < LONG_CHAT - 19 ? 19 : 1) {
      while (history.length < 2 * (at - 1)) history.push(...said(exchange(history.length / 2 + 1)))
      const { user, assistant } = exchange(at)
      const answered = await ask(history, user, assistant)
      conversations.add(answered.conversation)
      assert.equal(answered.exchange, at)
    }
    assert.equal(conversations.size, 1)
  })

  it('that is asked for again where its states are forgotten, and again in each branch, has branches with all exchanges', async () => {
    const first = { user: 'the first question of a deep tree', assistant: 'its answer' }
    const history = said(first, ...Array.from({ length: 39 }, (_, at) => exchange(at + 2)))
    const root = await ask(history, 'question 41', 'answer 41')
    assert.equal(root.exchange, 41)
    const branches = new Map<string, number>()
    // Each time one exchange further on, in the branch that the time before has made: twenty branches, one in the other.
    const path = said(first, exchange(2))
    for (let depth = 1; depth <= 20; depth++) {
      const { conversation, exchange: number } = await ask(path, `question ${depth + 2}`, `another answer ${depth}`)
      assert.equal(number, depth + 2)
      assert.ok(conversation !== root.conversation && conversation.startsWith(root.conversation), conversation)
      branches.set(conversation, number)
      const { conversation: other } = await ask(path, `question ${depth + 2}`, `answer of branch ${depth}`)
      branches.set(other, number)
      path.push(...said({ user: `question ${depth + 2}`, assistant: `answer of branch ${depth}` }))
    }
    assert.ok(branches.size > 16, `${branches.size} branches`)
    const list = (await (await fetch(`${proxy.running.url}/gabion/v1/conversations`)).json()) as Listed
    for (const [branch] of branches) {
      const shown = (await (await fetch(`${proxy.running.url}/gabion/v1/conversations/${encodeURIComponent(branch)}`)).json()) as Shown
      const numbers = shown.history.map((verdict) => verdict.exchange)
      assert.deepEqual(
        numbers,
        [...Array(numbers.length).keys()].map((at) => at + 1),
        branch,
      )
      assert.equal(list.conversations.find(({ conversation }) => conversation === branch)?.exchanges, numbers.length)
    }
  })
})

describe('A request body', () => {
  it('of 60 MiB arrives unchanged, whether watched or not, and one beyond the limit is refused', async () => {
    const hashes: string[] = []
    const url = await startSink(hashes)
    const { ready } = await startGabion<{ url: string }>(['proxy', '--upstream', url, '--port', '0'])
    const image = `data:image/png;base64,${'iVBORw0KGgo='.repeat(4 * MIB + MIB / 2)}`
    const parts = [
      { type: 'text', text: GOOD.user },
      { type: 'image_url', image_url: { url: image } },
    ]
    const chat = Buffer.from(JSON.stringify({ model: 'm', messages: [{ role: 'user', content: parts }] }))
    assert.ok(chat.length > 50 * MIB && chat.length < PROXY_LIMITS.bodyBytes, String(chat.length))
    const audio = Buffer.alloc(60 * MIB, 'a loud noise')
    for (const [path, type, body] of [
      ['/v1/chat/completions', 'application/json', chat],
      ['/v1/audio/transcriptions', 'audio/wav', audio],
    ] as const) {
      const response = await fetch(ready.url + path, { method: 'POST', headers: { 'content-type': type }, body })
      assert.equal(response.status, 200, path)
      assert.equal(hashes.pop(), createHash('sha256').update(body).digest('hex'), path)
    }
    const tooLarge = await fetch(`${ready.url}/v1/files`, { method: 'POST', body: Buffer.alloc(65 * MIB) })
    assert.equal(tooLarge.status, 413)
  })

  it('beyond the limit is refused in words that a client can read after it has sent everything', async () => {
    const url = await startSink([])
    const { ready } = await startGabion<{ url: string }>(['proxy', '--upstream', url, '--port', '0', '--max-body-mib', '1'])
    for (const framing of [`content-length: ${4 * MIB}`, 'transfer-encoding: chunked']) {
      const socket = connect(Number(new URL(ready.url).port), '127.0.0.1')
      socket.pause()
      socket.write(`POST /v1/files HTTP/1.1\r\nhost: localhost\r\n${framing}\r\n\r\n`)
      for (let sent = 0; sent < 16; sent++) {
        const chunk = Buffer.alloc(MIB / 4, 'x')
        const parts = framing.startsWith('content') ? [chunk] : [`${chunk.length.toString(16)}\r\n`, chunk, '\r\n']
        for (const part of parts)
          await new Promise<void>((resolve, reject) => socket.write(part, (error) => (error ? reject(error) : resolve())))
      }
      const [answer] = (await once(socket.resume(), 'data')) as [Buffer]
      assert.match(answer.toString(), /^HTTP\/1\.1 413 [^]*TOO_LARGE/, framing)
      socket.destroy()
    }
  })

  it('is limited by --max-body-mib', async () => {
    const hashes: string[] = []
    const url = await startSink(hashes)
    const { ready } = await startGabion<{ url: string }>(['proxy', '--upstream', url, '--port', '0', '--max-body-mib', '1'])
    const statusOf = async (bytes: number): Promise<number> =>
      (await fetch(`${ready.url}/v1/files`, { method: 'POST', body: Buffer.alloc(bytes) })).status
    assert.deepEqual([await statusOf(MIB), await statusOf(MIB + 1)], [200, 413])
    assert.equal(hashes.length, 1)
  })
})

describe('A stream under way when the proxy gets SIGTERM', () => {
  for (const [seconds, whole] of [
    ['30', true],
    ['1', false],
  ] as const) {
    it(`${whole ? 'passes whole' : 'is broken off'} with --drain-seconds ${seconds}`, async () => {
      let release: (() => void) | undefined
      const released = new Promise<void>((resolve) => (release = resolve))
      const url = await startServer((request, response) => {
        request.resume()
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': begins\n\n')
        void released.then(() => response.end('data: [DONE]\n\n'))
      })
      const args = ['proxy', '--upstream', url, '--port', '0', '--no-comments', '--drain-seconds', seconds]
      const { ready, stop } = await startGabion<{ url: string }>(args)
      const body = JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'hello' }] })
      const response = await fetch(`${ready.url}/v1/chat/completions`, { method: 'POST', body })
      const stopped = stop()
      if (whole) {
        await until('new requests are refused', async () => (await fetch(`${ready.url}/gabion/ready`).catch(() => null))?.status !== 200)
        release?.()
        assert.equal(await response.text(), ': begins\n\ndata: [DONE]\n\n')
      } else await assert.rejects(response.text())
      assert.equal(await stopped, 143)
      release?.()
    })
  }
})

describe('Clients that do not read', () => {
  it('hold at most 1 MiB of memory each, with 64 of them', async () => {
    // Without words: those that have passed are kept until they are judged.
    const event = `: ${'x'.repeat(64 * 1024)}\n\n`
    let sent = 0
    const url = await startServer((request, response) => {
      request.resume()
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const events = function* (): Generator<string> {
        for (let chunk = 0; chunk < 512; chunk++, sent++) yield event
      }
      void pipeline(Readable.from(events()), response).catch(() => undefined)
    })
    const { ready, child } = await startGabion<{ url: string }>(['proxy', '--upstream', url, '--port', '0'])
    const resident = (): number =>
      Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${String(child.pid)}/status`, 'utf8'))?.[1]) * 1024
    const stall = async (): Promise<IncomingMessage> => {
      const body = JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'tell me a long story' }] })
      return await new Promise((resolve, reject) => {
        const request = httpRequest(`${ready.url}/v1/chat/completions`, { method: 'POST' }, (response) => {
          response.on('error', () => undefined)
          response.pause()
          resolve(response)
        })
        request.on('error', reject).end(body)
      })
    }
    const stalled = [await stall(), await stall()]
    const before = resident()
    const clients = 64
    stalled.push(...(await Promise.all(Array.from({ length: clients }, stall))))
    // Until nothing moves any more: the system's socket buffers are full.
    let last = -1
    await until('the upstream to wait', async () => {
      const moved = sent !== last
      last = sent
      await new Promise((resolve) => setTimeout(resolve, 300))
      return !moved && sent === last
    })
    const held = (resident() - before) / MIB
    for (const response of stalled) response.destroy()
    assert.ok(sent >= clients * 2, `${String(sent)} events were sent`)
    assert.ok(held <= clients, `${held.toFixed(0)} MiB for ${String(clients)} clients`)
  })
})

/** A service that notes the hash of what it gets and answers with a chat. */
async function startSink(hashes: string[]): Promise<string> {
  return await startServer((request, response) => {
    const hash = createHash('sha256')
    request.on('data', (chunk: Buffer) => hash.update(chunk))
    request.on('end', () => {
      hashes.push(hash.digest('hex'))
      const message = { role: 'assistant', content: GOOD.assistant }
      const answer = JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'stop' }] })
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer)
    })
  })
}
