// `--on-alert cut`: a stream is read while it passes, and ends in its protocol's own form where the reply crosses the alert line.

import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { chat, chunkOf, COMMENT, CuttingProxy, EVENTS, FORBIDDEN, MESSAGE, words, type Sending } from './cutting-proxy.js'
import { until } from './ending.js'

/** The value at a path of fields, such as `choices.0.text`. */
function field(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, name) => (inner as Record<string, unknown> | undefined)?.[name], value)
}

/** The strings at a path, joined. */
function joined(data: readonly unknown[], path: string): string {
  return data
    .map((one) => field(one, path))
    .filter((text) => typeof text === 'string')
    .join('')
}

/** The data of all events, or of all lines. */
function dataOf(raw: string): unknown[] {
  return raw.split('\n').flatMap((line) => {
    const json = /^(?:data: ?)?(\{.*\})$/.exec(line)?.[1]
    return json === undefined ? [] : [JSON.parse(json) as unknown]
  })
}

/** A stream whose bad word comes once the client has got something. */
function cutting(parts: { begin: string[]; good: (text: string) => string }, got: () => boolean): AsyncIterable<string> {
  return (async function* () {
    yield* parts.begin
    for (const word of words(50)) yield parts.good(word)
    while (!got()) await new Promise((resolve) => setImmediate(resolve))
    yield parts.good(FORBIDDEN)
    for (;;) yield parts.good('never ')
  })()
}

describe('gabion proxy --on-alert cut', () => {
  let proxy: CuttingProxy
  before(async () => {
    proxy = await CuttingProxy.start()
  })

  const begun = { id: 'r1', object: 'response', model: 'm', status: 'in_progress', output: [], usage: null }
  const item = { id: 'i1', type: 'message', role: 'assistant', status: 'in_progress', content: [] }
  const at = { item_id: 'i1', output_index: 0, content_index: 0 }
  const event = (data: { type: string } & Record<string, unknown>): string => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
  const protocols: Record<
    string,
    {
      path: string
      type?: string
      body?: object
      begin: string[]
      good: (text: string) => string
      /** The words that a client shows, and how the response ended. */
      read: (data: unknown[]) => [words: string, end: unknown]
      end: unknown
    }
  > = {
    'chat completions': {
      path: '/v1/chat/completions',
      begin: [chunkOf({ role: 'assistant', content: '' })],
      good: (content) => chunkOf({ content }),
      read: (data) => [joined(data, 'choices.0.delta.content'), field(data.at(-1), 'choices.0.finish_reason')],
      end: 'content_filter',
    },
    completions: {
      path: '/v1/completions',
      body: { prompt: 'hi', stream: true },
      begin: [],
      good: (text) => `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, text, finish_reason: null }] })}\n\n`,
      read: (data) => [joined(data, 'choices.0.text'), field(data.at(-1), 'choices.0.finish_reason')],
      end: 'content_filter',
    },
    "Anthropic's messages": {
      path: '/v1/messages',
      begin: [
        event({ type: 'message_start', message: { id: 'm1', model: 'm', usage: { input_tokens: 7, output_tokens: 1 } } }),
        event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
      ],
      good: (text) => event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
      read: (data) => [
        joined(data, 'delta.text'),
        [
          field(data.at(-3), 'type'),
          field(data.at(-3), 'index'),
          field(data.at(-2), 'delta.stop_reason'),
          field(data.at(-2), 'usage.input_tokens'),
          field(data.at(-1), 'type'),
          data.filter((one) => field(one, 'type') === 'content_block_start').length,
        ],
      ],
      end: ['content_block_stop', 0, 'refusal', 7, 'message_stop', 1],
    },
    responses: {
      path: '/v1/responses',
      body: { stream: true, input: 'hello' },
      begin: [
        event({ type: 'response.created', sequence_number: 0, response: begun }),
        event({ type: 'response.output_item.added', sequence_number: 1, output_index: 0, item }),
        event({ type: 'response.content_part.added', sequence_number: 2, ...at, part: { type: 'output_text', text: '' } }),
      ],
      good: (delta) => event({ type: 'response.output_text.delta', sequence_number: 3, ...at, delta }),
      read: (data) => {
        const last = data.at(-1)
        const text = joined(data, 'delta')
        assert.deepEqual(
          ['response.output.0.content.0.text', 'response.output.0.id', 'response.id'].map((path) => field(last, path)),
          [text, 'i1', 'r1'],
        )
        const ends = ['type', 'response.status', 'response.incomplete_details.reason'].map((path) => field(last, path))
        return [text, [...ends, field(data.at(-2), 'type')]]
      },
      end: ['response.incomplete', 'incomplete', 'content_filter', 'response.output_item.done'],
    },
    "Ollama's chat": {
      path: '/api/chat',
      type: 'application/x-ndjson',
      begin: [],
      good: (content) => `${JSON.stringify({ model: 'm', message: { role: 'assistant', content }, done: false })}\n`,
      read: (data) => [joined(data, 'message.content'), [field(data.at(-1), 'done'), field(data.at(-1), 'done_reason')]],
      end: [true, 'content_filter'],
    },
  }

  for (const [name, { path, type = EVENTS, body, begin, good, read, end }] of Object.entries(protocols)) {
    it(`ends ${name} in their own form, and cancels the upstream`, async () => {
      let got = ''
      const sending: Sending = { type, chunks: cutting({ begin, good }, () => got.includes('word')) }
      const response = await proxy.open(path, body ?? chat(`about ${name}`), sending)
      for await (const chunk of response as AsyncIterable<Buffer>) got += chunk.toString()
      const [shown, ended] = read(dataOf(got.replace(COMMENT, '')))
      assert.match(shown, /^(word\d+ )+\n\nBlocked\.$/)
      assert.deepEqual(ended, end)
      assert.ok(!got.includes(FORBIDDEN))
      if (type === EVENTS) assert.match(got, /: gabion \{.*"x-gabion-alert":"true".*"x-gabion-blocked":"true"\}\n\n$/)
      await until('the end of the upstream', () => sending.closed === true)
    })
  }

  it('counts and alerts, tells that the reply was cut, and goes on after the words that the client has', async () => {
    const url = `${proxy.url}/gabion/v1`
    // Where there is no comment to wait for, the verdict may follow the end of the stream.
    const alerts = await until('the alerts', async () => {
      const page = (await (await fetch(`${url}/alerts`)).json()) as { alerts: { reply: string }[] }
      return page.alerts.length >= Object.keys(protocols).length ? page.alerts : null
    })
    assert.ok(alerts.every(({ reply }) => reply === 'cut'))
    assert.match(await proxy.metrics(), /^gabion_proxy_blocked_total\{outcome="cut"\} [5-9]$/m)
    const messages = [
      { role: 'user', content: 'about chat completions' },
      { role: 'assistant', content: `word0 word1\n\n${MESSAGE}` },
      { role: 'user', content: 'And now?' },
    ]
    const raw = await proxy.ask(
      '/v1/chat/completions',
      { stream: true, messages },
      { type: EVENTS, chunks: [chunkOf({ content: 'Fine.' }), 'data: [DONE]\n\n'] },
    )
    assert.match(raw, /Fine.*"x-gabion-exchange":"2","x-gabion-level":"calm"/s)
  })

  it('lets a call of a tool pass once it is whole and read', async () => {
    const call = (text: string, id?: string): object => ({
      tool_calls: [
        {
          index: 0,
          ...(id !== undefined && { id, type: 'function' }),
          function: { ...(id !== undefined && { name: 'send' }), arguments: text },
        },
      ],
    })
    for (const [said, isBad] of [
      ['{"to":"ann","text":"we open at nine"}', false],
      [`{"to":"ann","text":"this is quite ${FORBIDDEN}"}`, true],
    ] as const) {
      let got = ''
      let early: string | null = null
      const raw = ['I call. ', 'Now. '].map((content) => chunkOf({ content }))
      const calls = [chunkOf(call('', 'call1')), ...said.match(/.{1,5}/gs)!.map((part) => chunkOf(call(part)))]
      const last = [chunkOf({}, 'tool_calls'), 'data: [DONE]\n\n']
      const chunks = (async function* () {
        yield* raw
        yield* calls
        while (!got.includes('Now.')) await new Promise((resolve) => setImmediate(resolve))
        early = got
        yield* last
      })()
      const response = await proxy.open('/v1/chat/completions', chat(`call ${String(isBad)}`), { type: EVENTS, chunks })
      for await (const chunk of response as AsyncIterable<Buffer>) got += chunk.toString()
      assert.ok(!String(early).includes('tool_calls'))
      if (isBad)
        assert.deepEqual([got.includes('tool_calls'), field(dataOf(got).at(-1), 'choices.0.finish_reason')], [false, 'content_filter'])
      else assert.equal(got.replace(COMMENT, ''), [...raw, ...calls, ...last].join(''))
    }
  })

  it('holds a reply that is not streamed', async () => {
    const answer = (content: string): Sending => ({
      type: 'application/json',
      chunks: [JSON.stringify({ id: 'c', choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] })],
    })
    const body = { messages: [{ role: 'user', content: 'whole' }] }
    assert.match(await proxy.ask('/v1/chat/completions', body, answer(FORBIDDEN)), /Blocked.*content_filter/)
    assert.match(await proxy.ask('/v1/chat/completions', body, answer('Well.')), /Well\./)
  })

  it('refuses with --fail-closed what cannot be read', async () => {
    const closed = await CuttingProxy.start({ failClosed: true })
    const chunks = [chunkOf({ content: 'Well. ' }), 'data: {"choi\n\n', chunkOf({ content: 'more' })]
    const raw = await closed.ask('/v1/chat/completions', chat('x'), { type: EVENTS, chunks })
    assert.match(raw, /content_filter.*"x-gabion-error":"DEADLINE_EXCEEDED","x-gabion-blocked":"true"/s)
    assert.ok(!raw.includes('more'))
  })

  it('judges what was delivered when the client leaves', async () => {
    let got = ''
    const chunks = (function* () {
      for (;;) yield chunkOf({ content: 'word ' })
    })()
    const sending: Sending = { type: EVENTS, chunks }
    const response = await proxy.open('/v1/chat/completions', chat('a long story'), sending)
    for await (const chunk of response as AsyncIterable<Buffer>) {
      got += chunk.toString()
      if (got.includes('word')) break
    }
    await until('the verdict', async () => {
      const { conversations } = (await (await fetch(`${proxy.url}/gabion/v1/conversations`)).json()) as {
        conversations: { updatedAt: string }[]
      }
      return conversations.length >= 9
    })
  })
})

describe('Any stream that is not cut', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 10 }),
    fc.constantFrom('data: [DONE]', ': gabion judged', 'word '.repeat(300)),
  )
  const line = fc.oneof(
    { weight: 5, arbitrary: text.map((content) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}`) },
    fc.constantFrom(
      ': keep-alive',
      'event: message',
      'data: {"error":{"message":"overloaded"}}',
      'data: {"choi',
      'data:',
      'data: {"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}',
      'data: {"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}',
      'data: [DONE]',
    ),
  )
  const wire = fc
    .record({
      ending: fc.constantFrom('\n', '\r\n', '\r'),
      events: fc.array(fc.array(line, { minLength: 1, maxLength: 2 }), { maxLength: 8 }),
      cutOff: fc.oneof(fc.constant(0), fc.nat(30)),
    })
    .map(({ ending, events, cutOff }) => {
      const bytes = Buffer.from(events.map((lines) => lines.map((one) => one + ending).join('') + ending).join(''))
      return bytes.subarray(0, Math.max(0, bytes.length - cutOff))
    })
  const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))

  it('passes byte for byte, whatever the chunks', async () => {
    const [commented, silent] = await Promise.all([CuttingProxy.start(), CuttingProxy.start({ comments: false })])
    const paths = fc.constantFrom('/v1/chat/completions', '/v1/messages', '/v1/responses', '/api/chat')
    await fc.assert(
      fc.asyncProperty(
        fc.oneof({ weight: 3, arbitrary: wire }, anyBytes),
        fc.array(fc.nat(3000), { maxLength: 12 }),
        paths,
        async (bytes, cuts, path) => {
          const places = [...new Set(cuts.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
          const chunks = [0, ...places]
            .map((place, index) => bytes.subarray(place, places[index] ?? bytes.length))
            .filter(({ length }) => length > 0)
          const type = path === '/api/chat' ? 'application/x-ndjson' : EVENTS
          const [noted, plain] = await Promise.all([commented, silent].map((one) => one.ask(path, chat('q'), { type, chunks })))
          assert.equal(plain, bytes.toString())
          assert.equal(noted!.replace(COMMENT, ''), bytes.toString())
        },
      ),
      { numRuns: 150 },
    )
  })
})
