// What the proxy cannot read or what is too long: read after all, or marked, counted and, with --fail-closed, blocked.

import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { endsOf } from '../../lib/server/proxy/path-exchanges.js'
import type { AnswerSpec } from './chat-upstream.js'
import {
  BAD,
  EXCHANGES,
  GOOD,
  REPLACEMENT,
  said,
  startProxy,
  system,
  type Answered,
  type ProxyUnderTest,
  type Said,
} from './proxy-under-test.js'

const user = (content: unknown): Said => ({ role: 'user', content })
const choice = (message: object, index = 0): object => ({ index, message: { role: 'assistant', ...message }, finish_reason: 'stop' })
const text = (words: string): object => ({ type: 'text', text: words })
const toolCalls = [{ index: 0, id: '1', type: 'function', function: { name: 'refund', arguments: '{}' } }]

/** Answers with words that raise an alert, in forms that can be read. */
const READ: Record<string, { x: AnswerSpec; stream?: boolean }> = {
  gzip: { x: { reply: BAD.assistant, encoding: 'gzip' } },
  deflate: { x: { reply: BAD.assistant, encoding: 'deflate' } },
  zstd: { x: { reply: BAD.assistant, encoding: 'zstd' } },
  brotli: { x: { reply: BAD.assistant, encoding: 'br' } },
  'two encodings': { x: { reply: BAD.assistant, encoding: 'gzip, br' } },
  'a content type in other letters': { x: { reply: BAD.assistant, type: 'Application/JSON; Charset=UTF-8' } },
  'JSON of a type of its own': { x: { reply: BAD.assistant, type: 'application/vnd.model+json' } },
  'content as parts': { x: { choices: [choice({ content: [text(BAD.assistant)] })] } },
  'a refusal': { x: { choices: [choice({ content: null, refusal: BAD.assistant })] } },
  'a second choice': { x: { choices: [choice({ content: GOOD.assistant }), choice({ content: BAD.assistant }, 1)] } },
  'words beside calls of tools': { x: { choices: [choice({ content: BAD.assistant, tool_calls: toolCalls })] } },
  'another status of success': { x: { reply: BAD.assistant, status: 201 } },
  'a stream, gzip': { stream: true, x: { reply: BAD.assistant, encoding: 'gzip' } },
  'a stream, zstd': { stream: true, x: { reply: BAD.assistant, encoding: 'zstd' } },
  'a stream, brotli': { stream: true, x: { reply: BAD.assistant, encoding: 'br' } },
  'a stream whose content type is in other letters': { stream: true, x: { reply: BAD.assistant, type: 'Text/Event-Stream' } },
  'a stream with content as parts': { stream: true, x: { deltas: [{ content: [text(BAD.assistant)] }] } },
}

/** Answers of which something cannot be read. */
const UNREAD: Record<string, { x: AnswerSpec; stream?: boolean }> = {
  'another content type': { x: { reply: BAD.assistant, type: 'text/plain' } },
  'no content type': { x: { reply: BAD.assistant, type: '' } },
  'an unknown encoding': { x: { reply: BAD.assistant, encoding: 'unknown' } },
  'JSON that breaks off': { x: { raw: `{"choices":[{"message":{"content":"${BAD.assistant.slice(0, 40)}` } },
  'no choices': { x: { raw: JSON.stringify({ output_text: BAD.assistant }) } },
  'an empty list of choices': { x: { choices: [] } },
  'no words': { x: { choices: [choice({ content: null, reasoning_content: BAD.assistant })] } },
  'only audio': { x: { choices: [choice({ content: null, audio: { transcript: BAD.assistant } })] } },
  'parts of another kind': {
    x: { choices: [choice({ content: [text(GOOD.assistant), { type: 'output_widget', body: BAD.assistant }] })] },
  },
  'content of another form': { x: { choices: [choice({ content: { words: BAD.assistant } })] } },
  'a second choice without words': { x: { choices: [choice({ content: GOOD.assistant }), choice({ content: null }, 1)] } },
  'a stream of another content type': { stream: true, x: { reply: BAD.assistant, type: 'text/plain' } },
  'a stream of an unknown encoding': { stream: true, x: { reply: BAD.assistant, encoding: 'unknown' } },
  'a stream with a broken event': {
    stream: true,
    x: { raw: `data: {"choices":[{"delta":{"content":"${BAD.assistant}\n\ndata: [DONE]\n\n` },
  },
  'a stream with parts of another kind': { stream: true, x: { deltas: [{ content: [{ type: 'output_widget', body: BAD.assistant }] }] } },
  'a stream of nothing': { stream: true, x: { raw: 'data: [DONE]\n\n' } },
}

/** Answers without words that are read whole. */
const WORDLESS: Record<string, { x: AnswerSpec; stream?: boolean }> = {
  'calls of tools': { x: { choices: [choice({ content: null, tool_calls: toolCalls })] } },
  'a call of a function': { x: { choices: [choice({ content: null, function_call: { name: 'refund', arguments: '{}' } })] } },
  'an empty reply': { x: { choices: [choice({ content: '' })] } },
  'an error': { x: { raw: '{"error":{"message":"model overloaded"}}' } },
  'calls of tools, streamed': { stream: true, x: { deltas: [{ role: 'assistant', content: null, tool_calls: toolCalls }] } },
  'an error, streamed': { stream: true, x: { raw: 'data: {"error":{"message":"model overloaded"}}\n\n' } },
}

describe('An answer that is', () => {
  let observe: ProxyUnderTest
  let block: ProxyUnderTest
  let closed: ProxyUnderTest
  before(async () => {
    observe = await startProxy()
    block = await startProxy({ policy: 'hold' })
    closed = await startProxy({ policy: 'hold', failClosed: true })
  })
  const ask = (proxy: ProxyUnderTest, { x, stream = false }: { x: AnswerSpec; stream?: boolean }): Promise<Answered> =>
    proxy.ask([system(), user(BAD.user)], x, { stream })
  const unjudged = async ({ running }: ProxyUnderTest): Promise<number> =>
    Number(
      /^gabion_proxy_unjudged_total\{code="REPLY_UNREADABLE"\} (\d+)$/m.exec(
        await (await fetch(`${running.url}/gabion/metrics`)).text(),
      )?.[1] ?? 0,
    )

  for (const [name, how] of Object.entries(READ)) {
    it(`${name} is read and judged`, async () => {
      const observed = await ask(observe, how)
      assert.ok(
        observed.words === BAD.assistant ||
          name.startsWith('content') ||
          /choice|refusal|parts|gzip|deflate|brotli|zstd|encodings/.test(name),
        observed.words,
      )
      assert.match(`${observed.headers.get('x-gabion-alert')} ${observed.raw}`, /^true|"x-gabion-alert":"true"/)
      const blocked = await ask(block, how)
      assert.deepEqual(
        [blocked.words, blocked.headers.get('x-gabion-blocked'), blocked.headers.get('x-gabion-error')],
        [REPLACEMENT, 'true', null],
      )
      assert.deepEqual([blocked.headers.get('content-encoding'), blocked.headers.get('etag')], [null, null])
    })
  }

  for (const [name, how] of Object.entries(UNREAD)) {
    it(`${name} is marked and counted, and blocked with --fail-closed`, async () => {
      for (const [proxy, blocks] of [
        [observe, false],
        [block, false],
        [closed, true],
      ] as const) {
        const before = await unjudged(proxy)
        const answer = await ask(proxy, how)
        const inComment = answer.raw.includes('"x-gabion-error":"REPLY_UNREADABLE"')
        const nothing = name === 'a stream of nothing' && proxy === observe
        assert.ok(nothing || inComment || answer.headers.get('x-gabion-error') === 'REPLY_UNREADABLE', `${name} is not marked`)
        assert.equal(await unjudged(proxy), before + 1)
        assert.equal(answer.headers.get('x-gabion-blocked') === 'true', blocks)
        if (!blocks) continue
        assert.equal(answer.words, REPLACEMENT)
        assert.ok(!answer.raw.includes(BAD.assistant.slice(0, 20)))
        assert.match(answer.headers.get('content-type')!, how.stream === true ? /^text\/event-stream/ : /^application\/json/)
        assert.match(answer.raw, /"model":"parrot"/)
      }
    })
  }

  for (const [name, how] of Object.entries(WORDLESS)) {
    it(`${name} passes, also with --fail-closed`, async () => {
      const [direct, answer] = [await ask(observe, how), await ask(closed, how)]
      const [passed, came] = [answer.raw, direct.raw].map((raw) => raw.replace(/: gabion \{[^\n]*\}\n\n/, ''))
      assert.deepEqual([passed, answer.headers.get('x-gabion-error'), answer.headers.get('x-gabion-blocked')], [came, null, null])
      assert.ok(!answer.raw.includes(REPLACEMENT))
    })
  }

  it('encoded passes with the bytes and headers that it came with', async () => {
    const { raw, headers } = await (async () => {
      const response = await fetch(`${block.running.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'accept-encoding': 'gzip' },
        body: JSON.stringify({ model: 'parrot', messages: [user(GOOD.user)], x: { reply: GOOD.assistant, encoding: 'gzip' } }),
      })
      return { raw: await response.text(), headers: response.headers }
    })()
    assert.equal((JSON.parse(raw) as { choices: { message: { content: string } }[] }).choices[0]?.message.content, GOOD.assistant)
    assert.deepEqual([headers.get('content-encoding'), headers.get('etag')], ['gzip', '"one"'])
    assert.equal(block.upstream.requests.at(-1)?.headers['accept-encoding'], 'identity')
  })

  it('to a request that cannot be read is marked, and blocked with --fail-closed', async () => {
    const body = JSON.stringify({ model: 'parrot', messages: [user(BAD.user)], x: { reply: BAD.assistant } })
    const send = async (proxy: ProxyUnderTest, encoding: string, bytes: Buffer): Promise<Headers> =>
      (await proxy.ask([], undefined, { headers: { 'content-encoding': encoding }, bytes })).headers
    // The upstream of this test reads plain JSON whatever the header says.
    assert.equal((await send(closed, 'unknown', Buffer.from(body))).get('x-gabion-error'), 'REPLY_UNREADABLE')
    assert.equal((await send(closed, 'unknown', Buffer.from(body))).get('x-gabion-blocked'), 'true')
    assert.equal((await send(observe, 'unknown', Buffer.from(body))).get('x-gabion-error'), 'REPLY_UNREADABLE')
    // What is encoded in a known way is read, and goes on as it came.
    const asked = observe.upstream.requests.length
    assert.equal((await send(observe, 'gzip', gzipSync(body))).get('x-gabion-alert'), 'true')
    assert.equal(observe.upstream.requests[asked]?.headers['content-encoding'], 'gzip')
  })

  it('of a broken encoding is marked, and blocked with --fail-closed, streamed or not', async () => {
    for (const stream of [false, true]) {
      const { words, headers } = await ask(closed, { x: { reply: BAD.assistant, encoding: 'broken' }, stream })
      assert.deepEqual([words, headers.get('x-gabion-error')], [REPLACEMENT, 'REPLY_UNREADABLE'])
    }
  })
})

describe('A long exchange', () => {
  const log = (length: number): string => 'line of a log file\n'.repeat(Math.ceil(length / 19))
  const marks = ({ headers }: Answered): (string | null)[] =>
    ['exchange', 'truncated', 'error', 'blocked'].map((name) => headers.get(`x-gabion-${name}`))

  it('is judged whole: what stands in its middle raises the alert', async () => {
    const proxy = await startProxy({ policy: 'hold', judgeTimeoutMs: 300_000 })
    const reply = `${log(140_000)}\n${BAD.assistant}\n${log(140_000)}`
    const { words, headers } = await proxy.ask([system(), ...said(...EXCHANGES.slice(0, 4)), user(BAD.user)], { reply })
    assert.deepEqual([words, headers.get('x-gabion-alert'), headers.get('x-gabion-truncated')], [REPLACEMENT, 'true', null])
  })

  for (const failClosed of [false, true]) {
    it(`above the limit is judged in part and counted, and the conversation goes on${failClosed ? ', also with --fail-closed' : ''}`, async () => {
      const proxy = await startProxy({ policy: 'hold', failClosed, judgeTimeoutMs: 120_000 }, { limits: { textLength: 200_000 } })
      const history = [system(), user(log(266_000))]
      const first = await proxy.ask(history, { reply: 'Thank you, I will look.' })
      const passed = failClosed ? REPLACEMENT : 'Thank you, I will look.'
      assert.deepEqual([first.words, ...marks(first)], [passed, '1', 'true', 'TOO_LARGE', failClosed ? 'true' : null])
      history.push({ role: 'assistant', content: first.words }, user(GOOD.user))
      const second = await proxy.ask(history, { reply: GOOD.assistant })
      assert.deepEqual([second.words, ...marks(second).slice(1)], [GOOD.assistant, null, null, null])
      history.push({ role: 'assistant', content: second.words }, user(BAD.user))
      const third = await proxy.ask(history, { reply: BAD.assistant })
      assert.deepEqual([third.words, ...marks(third).slice(1)], [REPLACEMENT, null, null, 'true'])
      const metrics = await (await fetch(`${proxy.running.url}/gabion/metrics`)).text()
      assert.match(metrics, /^gabion_proxy_unjudged_total\{code="TOO_LARGE"\} 1$/m)
    })
  }

  it('is cut between characters', () => {
    assert.equal(endsOf('abcdef', 6), 'abcdef')
    assert.equal(endsOf('abcdefg', 5), 'ab\nfg')
    assert.equal(endsOf('a😀bcd😀e', 5), 'a\ne')
    for (const limit of [1, 2, 3, 100, 40_000, 262_144]) {
      const cut = endsOf('😀'.repeat(200_000), limit)
      assert.ok(cut.length <= limit && !/\p{Surrogate}/u.test(cut))
    }
  })
})
