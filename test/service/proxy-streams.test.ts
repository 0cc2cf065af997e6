// Observed streams: but for gabion's own comment they arrive byte for byte, and the comment stands between two events.

import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import type { ReadCompletion } from '../../lib/server/proxy/messages.js'
import { withVerdict } from '../../lib/server/proxy/proxy-routes.js'
import { BAD, GOOD, said, startProxy, system, type ProxyUnderTest } from './proxy-under-test.js'

const COMMENT = ': gabion {"x-gabion-alert":"false"}\n\n'
const linesOf = (text: string): string[] => text.split(/\r\n|\n|\r/)

/** Behind an empty line, with whichever line endings. */
function assertAtBoundary(text: string): void {
  assert.deepEqual(linesOf(text).slice(-2), ['', ''], JSON.stringify(text.slice(-40)))
}

async function collect(chunks: readonly Buffer[]): Promise<{ out: string; read: ReadCompletion[] }> {
  async function* body(): AsyncGenerator<Buffer> {
    for (const chunk of chunks) yield await Promise.resolve(chunk)
  }
  const read: ReadCompletion[] = []
  const parts: Buffer[] = []
  for await (const part of withVerdict(body(), (one) => Promise.resolve((read.push(one), COMMENT)))) {
    assert.ok(part.length > 0)
    parts.push(part)
  }
  return { out: Buffer.concat(parts).toString('latin1'), read }
}

function chunked(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((place, index) => bytes.subarray(place, places[index] ?? bytes.length))
}

const chunkOf = (delta: object): string => JSON.stringify({ id: 'c', choices: [{ index: 0, delta, finish_reason: null }] })
const words = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 10 }), fc.constantFrom('data: [DONE]', '`data:[DONE]`', ': gabion {}'))
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

describe('An observed stream', () => {
  it('is what came but for the comment, which follows a whole event', async () => {
    await fc.assert(
      fc.asyncProperty(wire, fc.array(fc.nat(2000), { maxLength: 12 }), async (sent, cuts) => {
        const { out, read } = await collect(chunked(sent, cuts))
        const came = sent.toString('latin1')
        assert.equal(read.length, 1)
        const at = out.indexOf(COMMENT)
        assert.equal(at === -1 ? out : out.slice(0, at) + out.slice(at + COMMENT.length), came)
        if (at === -1) {
          // Left out only where nothing whole came before the end.
          const [first, ...others] = linesOf(came).join('\n').split('\n\n')
          assert.ok(others.length === 0 || /^data: ?\[DONE\]$/.test(first!), JSON.stringify(came))
          return
        }
        assertAtBoundary(out.slice(0, at))
        // It is followed by the end, or by the rest of an event.
        const [next, ...further] = out.slice(at + COMMENT.length).split(/\r\n\r\n|\n\n|\r\r/)
        if (further.length > 0) assert.match(next!, /^data: ?\[DONE\]$/)
      }),
      { numRuns: 1500 },
    )
  })

  it('gives every event on as soon as it is whole, and the verdict with the end', async () => {
    const seen: string[] = []
    const events = [`data: ${chunkOf({ content: 'a' })}\n\n`, `data: ${chunkOf({ content: 'b' })}\n\n`, 'data: [DONE]\n\n', ': late\n\n']
    let read = 0
    async function* body(): AsyncGenerator<Buffer> {
      for (const event of events) {
        read++
        yield await Promise.resolve(Buffer.from(event))
      }
    }
    for await (const part of withVerdict(body(), (one) => Promise.resolve(`: gabion ${one.replies.join()}\n\n`)))
      seen.push(`${read} ${part.toString()}`)
    assert.deepEqual(seen, [`1 ${events[0]}`, `2 ${events[1]}`, '3 : gabion ab\n\n', `3 ${events[2]}`, `4 ${events[3]}`])
  })

  it('has its words read from any choice, event form and chunking, as a client reads them', async () => {
    const events = [
      chunkOf({ content: 'We open ' }),
      chunkOf({ content: [{ type: 'text', text: 'at nine.' }] }),
      chunkOf({ refusal: ' No.' }),
    ]
    for (const ending of ['\n', '\r\n', '\r']) {
      for (const last of ['', `data: [DONE]${ending}${ending}`, `data:[DONE]${ending}`]) {
        const bytes = Buffer.from(events.map((event) => `data:${event}${ending}${ending}`).join('') + last)
        for (const size of [1, 7, 1000]) {
          const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
          const { read } = await collect(chunks)
          assert.deepEqual([read[0]?.replies, read[0]?.readable], [['We open at nine. No.'], true])
        }
      }
    }
    // Without the last empty line, as a broken-off stream ends and clients read it all the same.
    assert.deepEqual((await collect([Buffer.from(`data: ${events[0]}`)])).read[0]?.replies, ['We open '])
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
  const streams: Record<string, { raw: string[]; behind: string }> = {
    'an error in the middle': { raw: [first, 'data: {"error":{"message":"model overloaded","code":"overloaded"}}\n\n'], behind: '' },
    'no [DONE]': { raw: [first, event({ content: 'at nine.' })], behind: '' },
    'a last event that is cut off': {
      raw: [first, 'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reaso'],
      behind: 'data: {"id"',
    },
    'data:[DONE] without a space': { raw: [first, 'data:[DONE]\n\n'], behind: 'data:[DONE]\n\n' },
    'data: [DONE] without an empty line': { raw: [first, 'data: [DONE]'], behind: 'data: [DONE]' },
    'CR LF': { raw: [`${first}data: [DONE]\n\n`.replaceAll('\n', '\r\n')], behind: 'data: [DONE]\r\n\r\n' },
    CR: { raw: [`${first}data: [DONE]\n\n`.replaceAll('\n', '\r')], behind: 'data: [DONE]\r\r' },
    'words that name the end': {
      raw: [event({ content: 'It ends with `data: [DONE]` ' }), event({ content: 'and closes.' }), 'data: [DONE]\n\n'],
      behind: 'data: [DONE]\n\n',
    },
    'something behind the end': { raw: [first, 'data: [DONE]\n\n', ': bye\n\n'], behind: 'data: [DONE]\n\n: bye\n\n' },
  }
  for (const [name, { raw, behind }] of Object.entries(streams)) {
    it(name, async () => {
      const ask = async (one: ProxyUnderTest): Promise<string> =>
        (await one.ask([system(), { role: 'user', content: GOOD.user }], { raw }, { stream: true })).raw
      const out = await ask(proxy)
      const [comment, ...others] = out.match(/: gabion \{.*\}\n\n/g) ?? []
      assert.deepEqual([comment !== undefined, others.length], [true, 0])
      const [before, after] = out.split(comment!) as [string, string]
      assert.equal(before + after, raw.join(''))
      assertAtBoundary(before)
      assert.ok(behind === '' ? after === '' : after.startsWith(behind), JSON.stringify(out))
      assert.match(comment!, /"x-gabion-alert":"(true|false)"/)
      assert.equal(await ask(silent), raw.join(''))
    })
  }

  it('judges without comments, too', async () => {
    await silent.ask([...said(GOOD), { role: 'user', content: BAD.user }], { reply: BAD.assistant }, { stream: true })
    const url = `${silent.running.url}/gabion/v1/conversations`
    const { conversations } = (await (await fetch(url)).json()) as { conversations: { firstAlert: number | null }[] }
    assert.ok(conversations.some(({ firstAlert }) => firstAlert === 2))
  })

  it('blocks a stream as a stream, with the verdict in headers too', async () => {
    for (const comments of [true, false]) {
      const blocking = await startProxy({ policy: 'block', comments })
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
