// The end of a stream with `--on-alert cut`: it waits until the verdict on the whole reply is stored, and is another one where it is not.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { GuardDetector } from '../../lib/detection/guard/guard-detector.js'
import type { ReplyReading } from '../../lib/detection/reply-reading.js'
import { GabionError } from '../../lib/errors.js'
import { MemoryStore } from '../../lib/server/conversations/memory-store.js'
import { ScriptedDetector } from '../../lib/testing/scripted-detector.js'
import { GUARD, ScriptedScorer } from '../unit/scripted-guard.js'
import { chat, chunkOf, COMMENT, CuttingProxy, EVENTS, FORBIDDEN, MESSAGE, words, type Sending } from './cutting-proxy.js'
import { until } from './ending.js'

/** A store that asks before it saves. */
class AskingStore extends MemoryStore {
  before: () => Promise<void> = () => Promise.resolve()

  constructor() {
    super({ maxBytes: 64 * 1024 * 1024, ttlMs: 3_600_000 })
  }

  override async save(...saved: Parameters<MemoryStore['save']>): Promise<boolean> {
    await this.before()
    return await super.save(...saved)
  }
}

/** Finds nothing in a part of a reply, whatever it raises as a whole. */
class LateDetector extends ScriptedDetector {
  constructor() {
    super(({ assistant }) => (assistant.includes(FORBIDDEN) ? 'alert' : 'calm'))
  }

  beginReply(): ReplyReading {
    return { read: () => Promise.resolve(null) }
  }
}

const event = (data: { type: string } & Record<string, unknown>): string => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
const line = (content: string, done: boolean): string =>
  `${JSON.stringify({ model: 'm', message: { role: 'assistant', content }, done })}\n`

interface Protocol {
  path: string
  body: (text: string) => object
  type?: string
  words: string[]
  /** What makes a client take the reply for finished, and what follows. */
  last: string[]
  failure: RegExp
}

const protocols: Record<string, Protocol> = {
  'chat completions': {
    path: '/v1/chat/completions',
    body: chat,
    words: words(50).map((content) => chunkOf({ content })),
    last: [chunkOf({}, 'stop'), 'data: {"choices":[],"usage":{"total_tokens":9}}\n\n', 'data: [DONE]\n\n', ': after the end\n\n'],
    failure: /^data: \{"error":\{"message":"[^"]+","type":"server_error","code":"UNAVAILABLE"\}\}\n\n$/,
  },
  'two choices, of which one is finished early': {
    path: '/v1/chat/completions',
    body: chat,
    words: words(50).flatMap((content, index) => [
      ...(index < 20 ? [chunkOf({ content })] : index === 20 ? [chunkOf({}, 'stop')] : []),
      chunkOf({ content }, null, 1),
    ]),
    last: [chunkOf({}, 'length', 1), 'data: [DONE]\n\n'],
    failure: /"code":"UNAVAILABLE"/,
  },
  "Anthropic's messages": {
    path: '/v1/messages',
    body: chat,
    words: [
      event({ type: 'message_start', message: { id: 'm1', model: 'm', usage: { input_tokens: 7, output_tokens: 1 } } }),
      event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
      ...words(50).map((text) => event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
      event({ type: 'content_block_stop', index: 0 }),
    ],
    last: [
      event({ type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 50 } }),
      event({ type: 'message_stop' }),
    ],
    failure: /^event: error\ndata: \{"type":"error","error":\{"type":"api_error","message":"UNAVAILABLE: [^"]+"\}\}\n\n$/,
  },
  responses: {
    path: '/v1/responses',
    body: (input) => ({ stream: true, input }),
    words: [
      event({ type: 'response.created', sequence_number: 0, response: { id: 'r1', object: 'response', model: 'm', output: [] } }),
      ...words(50).map((delta, index) =>
        event({ type: 'response.output_text.delta', sequence_number: index + 1, output_index: 0, content_index: 0, delta }),
      ),
    ],
    last: [
      event({
        type: 'response.completed',
        sequence_number: 51,
        response: { id: 'r1', object: 'response', status: 'completed', output: [] },
      }),
    ],
    failure: /^event: error\ndata: \{"type":"error","code":"UNAVAILABLE","message":"[^"]+","param":null,"sequence_number":51\}\n\n$/,
  },
  "Ollama's chat": {
    path: '/api/chat',
    body: chat,
    type: 'application/x-ndjson',
    words: words(50).map((content) => line(content, false)),
    last: [line('', true)],
    failure: /^\{"error":"UNAVAILABLE: [^"]+"\}\n$/,
  },
}

/** Ends once all words have passed. */
function sendingOf({ type = EVENTS, words: parts, last }: Protocol, got: () => string): Sending {
  const chunks = (async function* () {
    yield* parts
    yield* last
    while (!got().includes('word49')) await new Promise((resolve) => setImmediate(resolve))
  })()
  return { type, chunks }
}

describe('The end of a stream that may be cut', () => {
  for (const [name, protocol] of Object.entries(protocols)) {
    const { path, body, words: parts, last, failure } = protocol

    it(`waits until the verdict is stored (${name})`, async () => {
      const store = new AskingStore()
      const proxy = await CuttingProxy.start({}, { store })
      let got = ''
      let before: string | null = null
      store.before = () => {
        before ??= got
        return Promise.resolve()
      }
      const response = await proxy.open(
        path,
        body('tell me'),
        sendingOf(protocol, () => got),
      )
      for await (const chunk of response as AsyncIterable<Buffer>) got += chunk.toString()
      assert.equal(before, parts.join(''))
      assert.equal(got.replace(COMMENT, ''), [...parts, ...last].join(''))
    })

    it(`is an error where the verdict cannot be stored (${name})`, async () => {
      const store = new AskingStore()
      store.before = () => Promise.reject(new GabionError('UNAVAILABLE', 'the store is away'))
      const [closed, open] = await Promise.all([{}, { failOpen: true }].map((policy) => CuttingProxy.start(policy, { store })))
      let got = ''
      const response = await closed!.open(
        path,
        body('tell me'),
        sendingOf(protocol, () => got),
      )
      for await (const chunk of response as AsyncIterable<Buffer>) got += chunk.toString()
      assert.ok(got.startsWith(parts.join('')))
      assert.match(got.slice(parts.join('').length).replace(COMMENT, ''), failure)
      const metrics = await closed!.metrics()
      assert.match(metrics, /^gabion_proxy_unjudged_total\{code="UNAVAILABLE"\} 1$/m)
      assert.match(metrics, /^gabion_proxy_blocked_total\{outcome="cut"\} 1$/m)
      const passed = await open!.ask(path, body('tell me'), { type: protocol.type ?? EVENTS, chunks: [...parts, ...last] })
      assert.equal(passed.replace(COMMENT, ''), [...parts, ...last].join(''))
      assert.match(await open!.metrics(), /^gabion_proxy_unjudged_total\{code="UNAVAILABLE"\} 1$/m)
    })
  }

  it('is an error, too, where the upstream has ended within an event', async () => {
    const store = new AskingStore()
    store.before = () => Promise.reject(new GabionError('UNAVAILABLE', 'the store is away'))
    const proxy = await CuttingProxy.start({ comments: false }, { store })
    const chunks = [chunkOf({ content: 'Well. ' }), 'data: {"choi']
    const raw = await proxy.ask('/v1/chat/completions', chat('hi'), { type: EVENTS, chunks })
    // Nothing had passed when the upstream ended.
    assert.match(raw, /^data: \{"error":[^\n]+"UNAVAILABLE"\}\}\n\n$/)
  })

  it('is an error where judging takes too long', async () => {
    class Endless extends LateDetector {
      override judge(): ReturnType<ScriptedDetector['judge']> {
        return new Promise(() => undefined) as never
      }
    }
    const proxy = await CuttingProxy.start({ judgeTimeoutMs: 50 }, { detector: new Endless() })
    const chunks = [chunkOf({ content: 'Well. ' }), chunkOf({}, 'stop'), 'data: [DONE]\n\n']
    const raw = await proxy.ask('/v1/chat/completions', chat('hi'), { type: EVENTS, chunks })
    assert.match(raw, /"code":"DEADLINE_EXCEEDED"\}\}\n\n: gabion \{"x-gabion-error":"DEADLINE_EXCEEDED","x-gabion-blocked":"true"\}\n\n$/)
    assert.ok(!raw.includes('[DONE]'))
  })

  it('is filtered where only the whole reply raises an alert, and what came last is dropped', async () => {
    const proxy = await CuttingProxy.start({}, { detector: new LateDetector() })
    let got = ''
    const chunks = (async function* () {
      yield* words(50).map((content) => chunkOf({ content }))
      while (!got.includes('word49')) await new Promise((resolve) => setImmediate(resolve))
      yield chunkOf({ content: `And ${FORBIDDEN}.` }) + chunkOf({}, 'stop') + 'data: [DONE]\n\n'
    })()
    const response = await proxy.open('/v1/chat/completions', chat('hi'), { type: EVENTS, chunks })
    for await (const chunk of response as AsyncIterable<Buffer>) got += chunk.toString()
    assert.match(
      got,
      /"content":"\\n\\nBlocked\."[^\n]*\n\n[^\n]*"finish_reason":"content_filter"[^\n]*\n\ndata: \[DONE\]\n\n: gabion \{.*"x-gabion-alert":"true"/,
    )
    assert.ok(!got.includes('"stop"'))
    const { alerts } = (await (await fetch(`${proxy.url}/gabion/v1/alerts`)).json()) as { alerts: { reply: string }[] }
    assert.deepEqual(
      alerts.map(({ reply }) => reply),
      ['cut'],
    )
    // The conversation goes on after the words that the client has.
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: `${words(50).join('')}\n\n${MESSAGE}` },
      { role: 'user', content: 'And now?' },
    ]
    const raw = await proxy.ask(
      '/v1/chat/completions',
      { stream: true, messages },
      { type: EVENTS, chunks: [chunkOf({ content: 'Fine.' })] },
    )
    assert.match(raw, /"x-gabion-exchange":"2","x-gabion-level":"calm"/)
  })

  it("is filtered where the guardrail's strength falls below its line", async () => {
    const lines = { ...GUARD.lines, alert: { ...GUARD.lines.alert, strength: 0.9 } }
    const scorer = new ScriptedScorer(({ reply }) => (reply === '' ? { pressure: 0.99 } : { wavers: 0.9, breaks: 0.5 }))
    const guard = new GuardDetector({ description: { ...GUARD, lines }, scorer, terms: null, first: null, fingerprint: 'scripted' })
    const proxy = await CuttingProxy.start({}, { detector: guard })
    const chunks = [chunkOf({ content: 'Well, all right. ' }), chunkOf({}, 'stop'), 'data: [DONE]\n\n']
    const raw = await proxy.ask('/v1/chat/completions', chat('hi'), { type: EVENTS, chunks })
    assert.match(
      raw,
      /"finish_reason":"content_filter".*"x-gabion-alert":"true","x-gabion-likelihood":"0.5\d+","x-gabion-strength":"0.6\d+"/s,
    )
    assert.ok(!raw.includes('"stop"'))
  })

  it('is filtered where the upstream breaks off behind what crosses the line', async () => {
    const proxy = await CuttingProxy.start({ comments: false })
    const chunks = [chunkOf({ content: `Well, ${FORBIDDEN}.` })]
    const raw = await proxy.ask('/v1/chat/completions', chat('hi'), { type: EVENTS, chunks, breaksOff: true })
    assert.match(raw, /"finish_reason":"content_filter"[^\n]*\n\ndata: \[DONE\]\n\n$/)
    assert.ok(!raw.includes(FORBIDDEN))
  })

  it('is no empty finish reason, which some services write in every event', async () => {
    const proxy = await CuttingProxy.start({ comments: false })
    let got = ''
    const said = words(50).map((content) => chunkOf({ content }, ''))
    const chunks = (async function* () {
      yield* said
      while (!got.includes('word49')) await new Promise((resolve) => setImmediate(resolve))
    })()
    const response = await proxy.open('/v1/chat/completions', chat('hi'), { type: EVENTS, chunks })
    for await (const chunk of response as AsyncIterable<Buffer>) got += chunk.toString()
    assert.equal(got, said.join(''))
  })

  it('is broken off where the upstream goes on behind it for ever', async () => {
    const proxy = await CuttingProxy.start({ comments: false })
    const chunks = (function* () {
      yield* [chunkOf({ content: 'Well. ' }), chunkOf({}, 'stop')]
      for (;;) yield `: ${'x'.repeat(64 * 1024)}\n\n`
    })()
    const sending: Sending = { type: EVENTS, chunks }
    await assert.rejects(proxy.ask('/v1/chat/completions', chat('hi'), sending), /aborted/)
    await until('the end of the upstream', () => sending.closed === true)
  })

  it('passes where the upstream breaks off behind it, and so does the break', async () => {
    const proxy = await CuttingProxy.start({ comments: false })
    const chunks = [chunkOf({ content: 'Well. ' }), chunkOf({}, 'stop'), 'data: [DONE]\n\n']
    const response = await proxy.open('/v1/chat/completions', chat('hi'), { type: EVENTS, chunks, breaksOff: true })
    let got = ''
    response.on('data', (chunk: Buffer) => (got += chunk.toString()))
    const [error] = (await once(response, 'error')) as [Error]
    assert.deepEqual([got, error.message], [chunks.join(''), 'aborted'])
    await until('the verdict', async () => {
      const { conversations } = (await (await fetch(`${proxy.url}/gabion/v1/conversations`)).json()) as { conversations: object[] }
      return conversations.length === 1
    })
  })
})
