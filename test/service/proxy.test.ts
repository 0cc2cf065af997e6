// The proxy between the official client and a chat service: nobody changes, and conversations are watched, blocked or ended.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import OpenAI from 'openai'
import { GabionError, Monitor, parseTranscript } from '../../lib/index.js'
import { MemoryStore } from '../../lib/server/conversations/memory-store.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import { DEFAULT_POLICY, type Policy } from '../../lib/server/proxy/policy.js'
import { Upstream } from '../../lib/server/proxy/upstream.js'
import type { RunningService } from '../../lib/server/serve.js'
import { ChatUpstream } from './chat-upstream.js'
import { until } from './ending.js'
import { get, KEY, startService, testEmbedder } from './service-under-test.js'

type Message = OpenAI.Chat.Completions.ChatCompletionMessageParam

const REPLACEMENT = 'Blocked.'
const [eroding] = parseTranscript(readFileSync('examples/shop-refund-eroding.json', 'utf8'), 'shop-refund-eroding.json')
const EXCHANGES = eroding!.exchanges
const RULES = readFileSync('examples/shop-system-prompt.md', 'utf8')

describe('gabion proxy', () => {
  let upstream: ChatUpstream
  let alertExchange: number
  const started: RunningService[] = []

  before(async () => {
    upstream = await ChatUpstream.start((exchange) => EXCHANGES[exchange - 1]!.assistant)
    const control = (await Monitor.load({ embedder: await testEmbedder() })).begin('control', { system: RULES })
    const verdicts = []
    for (const exchange of EXCHANGES) verdicts.push(await control.addExchange({ user: exchange.user, assistant: exchange.assistant }))
    alertExchange = verdicts.findIndex(({ alert }) => alert) + 1
    assert.ok(alertExchange > 1)
  })
  after(async () => {
    await Promise.all(started.map((running) => running.stop()))
    await upstream.stop()
  })

  async function proxy(policy: Policy, more: object = {}): Promise<{ running: RunningService; client: OpenAI }> {
    const options = { ...DEFAULT_POLICY, policy, replacementMessage: REPLACEMENT }
    const running = await startService({
      grpcPort: null,
      proxy: { upstream: new Upstream(`${upstream.url}/v1`), policy: options },
      ...more,
    })
    started.push(running)
    return { running, client: new OpenAI({ baseURL: `${running.url}/v1`, apiKey: 'the key of the model', maxRetries: 0 }) }
  }

  /** Plays the conversation, sending all that was said each time, as clients do. */
  async function* play(
    client: OpenAI,
    stream: boolean,
    headers: Record<string, string> = {},
  ): AsyncGenerator<{ words: string; finish: unknown; headers: Headers }> {
    const messages: Message[] = [{ role: 'system', content: RULES }]
    for (const { user } of EXCHANGES) {
      messages.push({ role: 'user', content: user })
      let words = ''
      let finish: unknown = null
      let answerHeaders: Headers
      if (stream) {
        const { data, response } = await client.chat.completions
          .create({ model: 'parrot', messages, stream: true }, { headers })
          .withResponse()
        answerHeaders = response.headers
        for await (const { choices } of data) {
          words += choices[0]?.delta.content ?? ''
          finish = choices[0]?.finish_reason ?? finish
        }
      } else {
        const { data, response } = await client.chat.completions.create({ model: 'parrot', messages }, { headers }).withResponse()
        answerHeaders = response.headers
        words = data.choices[0]?.message.content ?? ''
        finish = data.choices[0]?.finish_reason
      }
      yield { words, finish, headers: answerHeaders }
      messages.push({ role: 'assistant', content: words })
    }
  }

  const conversations = async (
    running: RunningService,
  ): Promise<{ conversation: string; exchanges: number; firstAlert: number | null }[]> =>
    (
      await get<{ conversations: { conversation: string; exchanges: number; firstAlert: number | null }[] }>(
        `${running.url}/gabion/v1/conversations`,
      )
    ).body.conversations

  it('observes whole answers: they pass unchanged, with the verdict in the headers of the next one', async () => {
    const { running, client } = await proxy('observe')
    let exchange = 0
    for await (const { words, finish, headers } of play(client, false)) {
      assert.deepEqual([words, finish], [EXCHANGES[exchange]?.assistant, 'stop'])
      const before = exchange === 0 ? [null, null] : [String(exchange), String(exchange === alertExchange)]
      assert.deepEqual([headers.get('x-gabion-exchange'), headers.get('x-gabion-alert')], before)
      exchange++
      await until('the verdict', async () => (await conversations(running))[0]?.exchanges === exchange)
    }
    const [one, ...others] = await conversations(running)
    assert.deepEqual([one?.exchanges, one?.firstAlert, others.length], [EXCHANGES.length, alertExchange, 0])
    assert.equal(upstream.requests.at(-1)?.headers.authorization, 'Bearer the key of the model')
  })

  it('observes streams: every word passes, the verdict is told by comment and event', async () => {
    const { running, client } = await proxy('observe')
    let exchange = 0
    for await (const { words, finish } of play(client, true, { 'x-gabion-conversation': 'named' })) {
      assert.deepEqual([words, finish], [EXCHANGES[exchange++]?.assistant, 'stop'])
    }
    await until('the verdicts', async () => (await conversations(running))[0]?.exchanges === exchange)
    const [named] = await conversations(running)
    assert.match(named!.conversation, /^named@[0-9a-f]{16}$/)
    const { body } = await get<{ history: ExchangeVerdict[] }>(`${running.url}/gabion/v1/conversations/${named!.conversation}`)
    assert.equal(body.history.findIndex(({ alert }) => alert) + 1, alertExchange)
    const raw = await fetch(`${running.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'parrot', stream: true, messages: [{ role: 'user', content: EXCHANGES[0]?.user }] }),
    })
    assert.match(
      await raw.text(),
      /data: \[DONE\]\n\n: gabion \{"x-gabion-conversation":"chat-[0-9a-f]{24}","x-gabion-exchange":"1","x-gabion-level":"calm".*\}\n\n$/,
    )
  })

  for (const stream of [false, true]) {
    it(`blocks a reply that raises an alert, ${stream ? 'streamed' : 'whole'}`, async () => {
      const { client } = await proxy('hold')
      let exchange = 0
      for await (const { words, finish } of play(client, stream)) {
        if (++exchange === alertExchange) {
          assert.deepEqual([words, finish], [REPLACEMENT, 'content_filter'])
          break
        }
        assert.deepEqual([words, finish], [EXCHANGES[exchange - 1]?.assistant, 'stop'])
      }
      assert.equal(exchange, alertExchange)
    })
  }

  it('ends a conversation after its alert, and no other one', async () => {
    const { client } = await proxy('end')
    let exchange = 0
    const playing = play(client, false, { 'x-gabion-conversation': 'over' })
    await assert.rejects(
      async () => {
        for await (const _ of playing) exchange++
      },
      (error) => error instanceof OpenAI.PermissionDeniedError && error.code === 'CONVERSATION_ENDED',
    )
    assert.equal(exchange, alertExchange)
    const other = await client.chat.completions.create({ model: 'parrot', messages: [{ role: 'user', content: 'Hello' }] })
    assert.equal(other.choices[0]?.message.content, EXCHANGES[0]?.assistant)
  })

  it('catches up with a conversation that began elsewhere, and keeps a changed history apart', async () => {
    const { running, client } = await proxy('observe')
    const said = (count: number): Message[] =>
      EXCHANGES.slice(0, count).flatMap(({ user, assistant }) => [
        { role: 'user' as const, content: user },
        { role: 'assistant' as const, content: assistant },
      ])
    await client.chat.completions.create({ model: 'parrot', messages: [...said(3), { role: 'user', content: EXCHANGES[3]!.user }] })
    const counts = async (): Promise<string> =>
      (await conversations(running))
        .map(({ exchanges }) => exchanges)
        .sort()
        .join()
    await until('four exchanges', async () => (await counts()) === '4')
    const changed = said(3)
    changed[3] = { role: 'assistant', content: 'Something else was said here.' }
    await client.chat.completions.create({ model: 'parrot', messages: [...changed, { role: 'user', content: 'And now?' }] })
    await until('two branches', async () => (await counts()) === '4,4')
  })

  it('passes everything else through, and keeps its own pages to itself', async () => {
    const { running, client } = await proxy('observe', { keyList: [KEY] })
    assert.equal((await client.models.list()).data[0]?.id, 'parrot')
    assert.equal((await fetch(`${running.url}/v1/nothing`)).status, 404)
    assert.equal((await fetch(`${running.url}/gabion/v1/conversations`)).status, 401)
    assert.equal((await fetch(`${running.url}/gabion/v1/conversations`, { headers: { 'x-api-key': KEY } })).status, 200)
    assert.equal((await fetch(`${running.url}/gabion/`)).status, 200)
    assert.ok(upstream.requests.every(({ headers }) => headers['x-api-key'] === undefined))
  })

  it('costs an answer when its verdict cannot be stored, unless told to pass it', async () => {
    class BrokenStore extends MemoryStore {
      override load(): Promise<never> {
        return Promise.reject(new GabionError('UNAVAILABLE', 'the store is away'))
      }
    }
    const ask = { model: 'parrot', messages: [{ role: 'user' as const, content: 'Hello' }] }
    for (const failOpen of [false, true]) {
      const store = new BrokenStore({ maxBytes: 1, ttlMs: 1 })
      const policy = { ...DEFAULT_POLICY, policy: 'hold' as const, failOpen, replacementMessage: REPLACEMENT }
      const running = await startService({ grpcPort: null, store, proxy: { upstream: new Upstream(upstream.url), policy } })
      started.push(running)
      const client = new OpenAI({ baseURL: `${running.url}/v1`, apiKey: 'k', maxRetries: 0 })
      const { data, response } = await client.chat.completions.create(ask).withResponse()
      const expected = failOpen ? EXCHANGES[0]?.assistant : REPLACEMENT
      assert.deepEqual([data.choices[0]?.message.content, response.headers.get('x-gabion-error')], [expected, 'UNAVAILABLE'])
      const metrics = await (await fetch(`${running.url}/gabion/metrics`)).text()
      assert.match(metrics, /^gabion_proxy_unjudged_total\{code="UNAVAILABLE"\} 1$/m)
      assert.equal(/^gabion_proxy_blocked_total\{outcome="held"\} 1$/m.test(metrics), !failOpen)
    }
  })

  it('says when the service behind is away', async () => {
    const options = DEFAULT_POLICY
    const running = await startService({ grpcPort: null, proxy: { upstream: new Upstream('http://127.0.0.1:1'), policy: options } })
    started.push(running)
    const { status, body } = await get(`${running.url}/v1/models`)
    assert.deepEqual([status, body.error.code], [502, 'UPSTREAM_FAILED'])
    assert.throws(() => new Upstream('nowhere'), { code: 'INVALID_ARGUMENT' })
  })
})
