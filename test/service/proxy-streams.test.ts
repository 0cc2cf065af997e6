// Observed streams: but for gabion's own comment they arrive byte for byte, and the comment follows a whole event.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { Monitor } from '../../lib/index.js'
import { DEFAULT_POLICY } from '../../lib/server/proxy/policy.js'
import { Upstream } from '../../lib/server/proxy/upstream.js'
import { ScriptedDetector } from '../../lib/testing/scripted-detector.js'
import { until } from './ending.js'
import { startServer } from './local-server.js'
import { BAD, GOOD, said, startProxy, system, type ProxyUnderTest } from './proxy-under-test.js'
import { startService, testEmbedder } from './service-under-test.js'

/** A comment of gabion's, anywhere in a stream. */
const COMMENT = /: gabion \{"x-gabion-[^\n]*\}\n\n/
const linesOf = (text: string): string[] => text.split(/\r\n|\n|\r/)

/** Behind an empty line, with whichever line endings. */
function assertAtBoundary(text: string): void {
  assert.deepEqual(linesOf(text).slice(-2), ['', ''], JSON.stringify(text.slice(-40)))
}

const chunkOf = (delta: object): string => JSON.stringify({ id: 'c', choices: [{ index: 0, delta, finish_reason: null }] })
const words = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 10 }), fc.constantFrom('data: [DONE]', '`data:[DONE]`', ': gabion judged'))
const line = fc.oneof(
  { weight: 5, arbitrary: words.map((content) => `data: ${chunkOf({ content })}`) },
  fc.constantFrom(
    ': keep-alive',
    'event: message',
    'id: 1',
    'data: {"error":{"message":"overloaded"}}',
    'data: {"choi',
    'data:',
    'retry: 10',
  ),
)
const END = ['data: [DONE]', 'data:[DONE]'] as const
const wire = fc
  .record({
    ending: fc.constantFrom('\n', '\r\n', '\r'),
    events: fc.array(fc.array(line, { minLength: 1, maxLength: 2 }), { maxLength: 8 }),
    end: fc.option(fc.constantFrom(...END), { nil: null }),
    cutOff: fc.oneof(fc.constant(0), fc.nat(30)),
  })
  .map(({ ending, events, end, cutOff }) => {
    const all = [...events, ...(end === null ? [] : [[end]])].map((lines) => lines.map((one) => one + ending).join('') + ending)
    const bytes = Buffer.from(all.join(''))
    return bytes.subarray(0, Math.max(0, bytes.length - cutOff))
  })

/** A service that answers the request for `/N` with the bytes of `sent[N]`, chunk by chunk. */
async function startRaw(sent: readonly (readonly Buffer[])[]): Promise<string> {
  return await startServer((request, response) => {
    request.resume()
    void (async () => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const chunk of sent[Number(new URL(request.url!, 'http://x').searchParams.get('n'))]!) {
        response.write(chunk)
        await new Promise((resolve) => setImmediate(resolve))
      }
      response.end()
    })()
  })
}

function chunked(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((place, index) => bytes.subarray(place, places[index] ?? bytes.length)).filter(({ length }) => length > 0)
}

const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))

describe('Any stream', () => {
  const sent: Buffer[][] = []
  let url: string
  before(async () => {
    const monitor = await Monitor.load({ embedder: await testEmbedder(), detector: new ScriptedDetector(['calm']) })
    url = await startRaw(sent)
    const policies = [DEFAULT_POLICY, { ...DEFAULT_POLICY, comments: false }, { ...DEFAULT_POLICY, policy: 'hold' as const }]
    urls = await Promise.all(
      policies.map(async (policy) => (await startService({ monitor, grpcPort: null, proxy: { upstream: new Upstream(url), policy } })).url),
    )
  })
  let urls: string[]

  async function ask(base: string, n: number): Promise<string> {
    const body = JSON.stringify({ stream: true, messages: [{ role: 'user', content: `question ${n}` }] })
    const response = await fetch(`${base}/v1/chat/completions?n=${n}`, { method: 'POST', body })
    return Buffer.from(await response.arrayBuffer()).toString('latin1')
  }

  it('passes as it came but for the comment, which follows a whole event', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof({ weight: 3, arbitrary: wire }, anyBytes),
        fc.array(fc.nat(2000), { maxLength: 12 }),
        async (bytes, cuts) => {
          const n = sent.push(chunked(bytes, cuts)) - 1
          const [observed, silent, held] = (await Promise.all(urls.map((base) => ask(base, n)))) as [string, string, string]
          const came = bytes.toString('latin1')
          assert.equal(silent, came)
          assert.equal(held, came)
          const comment = COMMENT.exec(observed)
          assert.equal(comment === null ? observed : observed.replace(comment[0], ''), came)
          if (comment === null) return
          assertAtBoundary(observed.slice(0, comment.index))
          assert.equal(observed.slice(comment.index + comment[0].length), '')
        },
      ),
      { numRuns: 300 },
    )
  })

  it('passes a stream of megabytes with the same hash', async () => {
    const event = Buffer.from(`data: ${chunkOf({ content: 'x'.repeat(60_000) })}\n\n`)
    const n = sent.push(Array.from({ length: 400 }, () => event)) - 1
    const hash = createHash('sha256')
    for (let round = 0; round < 400; round++) hash.update(event)
    const body = JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'a long story' }] })
    const response = await fetch(`${urls[1]!}/v1/chat/completions?n=${n}`, { method: 'POST', body })
    const received = createHash('sha256').update(Buffer.from(await response.arrayBuffer()))
    assert.equal(received.digest('hex'), hash.digest('hex'))
  })
})

describe('gabion proxy, streams of other services', () => {
  let proxy: ProxyUnderTest
  let silent: ProxyUnderTest
  before(async () => {
    proxy = await startProxy()
    silent = await startProxy({ comments: false })
  })
  const event = (delta: object): string => `data: ${chunkOf(delta)}\n\n`
  const first = event({ content: 'We open ' })
  const streams: Record<string, { raw: string[]; commented: boolean }> = {
    'an error in the middle': {
      raw: [first, 'data: {"error":{"message":"model overloaded","code":"overloaded"}}\n\n'],
      commented: true,
    },
    'no [DONE]': { raw: [first, event({ content: 'at nine.' })], commented: true },
    'a last event that is cut off': {
      raw: [first, 'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reaso'],
      commented: false,
    },
    'data:[DONE] without a space': { raw: [first, 'data:[DONE]\n\n'], commented: true },
    'data: [DONE] without an empty line': { raw: [first, 'data: [DONE]'], commented: false },
    'CR LF': { raw: [`${first}data: [DONE]\n\n`.replaceAll('\n', '\r\n')], commented: true },
    CR: { raw: [`${first}data: [DONE]\n\n`.replaceAll('\n', '\r')], commented: true },
    'words that name the end': {
      raw: [event({ content: 'It ends with `data: [DONE]` ' }), event({ content: 'and closes.' }), 'data: [DONE]\n\n'],
      commented: true,
    },
    'something behind the end': { raw: [first, 'data: [DONE]\n\n', ': bye\n\n'], commented: true },
  }
  for (const [name, { raw, commented }] of Object.entries(streams)) {
    it(name, async () => {
      const ask = (one: ProxyUnderTest): ReturnType<ProxyUnderTest['ask']> =>
        one.ask([system(), { role: 'user', content: GOOD.user }], { raw }, { stream: true })
      const { raw: out, headers } = await ask(proxy)
      const comment = COMMENT.exec(out)
      assert.deepEqual([comment !== null, headers.get('x-gabion-alert'), headers.get('x-gabion-error')], [commented, 'false', null])
      assert.equal(out.replace(COMMENT, ''), raw.join(''))
      if (comment !== null) {
        assertAtBoundary(out.slice(0, comment.index))
        assert.match(comment[0], /"x-gabion-alert":"false"/)
      }
      assert.equal((await ask(silent)).raw, raw.join(''))
    })
  }

  it('judges without comments, too', async () => {
    await silent.ask([...said(GOOD), { role: 'user', content: BAD.user }], { reply: BAD.assistant }, { stream: true })
    const url = `${silent.running.url}/gabion/v1/conversations`
    await until('the alert', async () => {
      const { conversations } = (await (await fetch(url)).json()) as { conversations: { firstAlert: number | null }[] }
      return conversations.some(({ firstAlert }) => firstAlert === 2)
    })
  })

  it('blocks a stream as a stream, with the verdict in headers too', async () => {
    for (const comments of [true, false]) {
      const blocking = await startProxy({ policy: 'hold', comments })
      const bad = await blocking.ask([system(), { role: 'user', content: BAD.user }], { reply: BAD.assistant }, { stream: true })
      assert.deepEqual([bad.words, bad.headers.get('x-gabion-blocked'), bad.headers.get('x-gabion-alert')], ['Blocked.', 'true', 'true'])
      assert.equal(bad.raw.includes(': gabion'), comments)
      assert.doesNotMatch(bad.raw, /manager/)
      const good = await blocking.ask(
        [system(), { role: 'user', content: GOOD.user }],
        { raw: [first, 'data: [DONE]\r\n\r\n'] },
        { stream: true },
      )
      assert.equal(good.raw, `${first}data: [DONE]\r\n\r\n`)
    }
  })
})
