// Calls of tools are judged as words are: of every chat API, whole and streamed, with every policy.

import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { Witness } from '../unit/witness-detector.js'
import { chat, CuttingProxy, EVENTS, FORBIDDEN, type Sending } from './cutting-proxy.js'
import { until } from './ending.js'

interface Api {
  readonly path: string
  readonly whole: (words: string, args: object) => object
  /** The parts of a stream. */
  readonly parts: (words: string, args: object) => object[]
  readonly isLines?: boolean
}

const completion = (message: object): object => ({ id: 'c', choices: [{ index: 0, message, finish_reason: 'tool_calls' }] })
const deltas = (...all: object[]): object[] => [
  ...all.map((delta) => ({ id: 'c', choices: [{ index: 0, delta, finish_reason: null }] })),
  { id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] },
]
const pieces = (json: string): string[] => json.match(/.{1,7}/gs) ?? []
const call = (args: string, more: object = {}): object => ({ tool_calls: [{ index: 0, ...more, function: { arguments: args } }] })
const begun = { id: 'call1', type: 'function' }
const toolUse = (input: object): object => ({ type: 'tool_use', id: 't1', name: 'refund', input })
const output = (words: string, args: object): object[] => [
  ...(words === '' ? [] : [{ type: 'message', id: 'm1', role: 'assistant', content: [{ type: 'output_text', text: words }] }]),
  { type: 'function_call', id: 'f1', call_id: 'call1', name: 'refund', arguments: JSON.stringify(args) },
]

const APIS: Record<string, Api> = {
  'chat completions': {
    path: '/v1/chat/completions',
    whole: (content, args) =>
      completion({
        content: content || null,
        tool_calls: [{ ...begun, function: { name: 'refund', arguments: JSON.stringify(args, null, 2) } }],
      }),
    parts: (content, args) => {
      const [first, ...rest] = pieces(JSON.stringify(args))
      const named = { tool_calls: [{ index: 0, ...begun, function: { name: 'refund', arguments: first } }] }
      return deltas({ content }, named, ...rest.map((piece) => call(piece)))
    },
  },
  'chat completions, with a function': {
    path: '/v1/chat/completions',
    whole: (content, args) => completion({ content, function_call: { name: 'refund', arguments: JSON.stringify(args) } }),
    parts: (content, args) =>
      deltas(
        { content },
        { function_call: { name: 'refund', arguments: '' } },
        ...pieces(JSON.stringify(args)).map((piece) => ({ function_call: { arguments: piece } })),
      ),
  },
  "chat completions at Gemini's path, with arguments that are no text": {
    path: '/v1beta/openai/chat/completions',
    whole: (content, args) => completion({ content, tool_calls: [{ ...begun, function: { name: 'refund', arguments: args } }] }),
    parts: (content, args) => deltas({ content, tool_calls: [{ index: 0, ...begun, function: { name: 'refund', arguments: args } }] }),
  },
  "Anthropic's messages": {
    path: '/v1/messages',
    whole: (text, input) => ({ type: 'message', content: [...(text === '' ? [] : [{ type: 'text', text }]), toolUse(input)] }),
    parts: (text, input) => [
      { type: 'message_start', message: { id: 'm1', model: 'm', content: [] } },
      ...(text === ''
        ? []
        : [
            { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
            { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
            { type: 'content_block_stop', index: 0 },
          ]),
      { type: 'content_block_start', index: 1, content_block: toolUse({}) },
      ...pieces(JSON.stringify(input)).map((json) => ({
        type: 'content_block_delta',
        index: 1,
        delta: { type: 'input_json_delta', partial_json: json },
      })),
      { type: 'content_block_stop', index: 1 },
      { type: 'message_delta', delta: { stop_reason: 'tool_use' } },
      { type: 'message_stop' },
    ],
  },
  responses: {
    path: '/v1/responses',
    whole: (words, args) => ({ id: 'r1', status: 'completed', output: output(words, args) }),
    parts: (words, args) => [
      { type: 'response.created', response: { id: 'r1', status: 'in_progress', output: [] } },
      ...(words === '' ? [] : [{ type: 'response.output_text.delta', output_index: 0, content_index: 0, delta: words }]),
      { type: 'response.output_item.added', output_index: 1, item: { type: 'function_call', id: 'f1', name: 'refund', arguments: '' } },
      ...pieces(JSON.stringify(args)).map((delta) => ({ type: 'response.function_call_arguments.delta', output_index: 1, delta })),
      { type: 'response.output_item.done', output_index: 1, item: output('', args)[0] },
      { type: 'response.completed', response: { id: 'r1', status: 'completed', output: output(words, args) } },
    ],
  },
  "Ollama's chat": {
    path: '/api/chat',
    isLines: true,
    whole: (content, args) => ({
      message: { role: 'assistant', content, tool_calls: [{ function: { name: 'refund', arguments: args } }] },
      done: true,
    }),
    parts: (content, args) => [
      { message: { role: 'assistant', content }, done: false },
      { message: { role: 'assistant', content: '', tool_calls: [{ function: { name: 'refund', arguments: args } }] }, done: false },
      { message: { role: 'assistant', content: '' }, done: true },
    ],
  },
}

function sendingOf(api: Api, stream: boolean, words: string, args: object): Sending {
  if (!stream) return { type: 'application/json', chunks: [JSON.stringify(api.whole(words, args))] }
  const frames = api
    .parts(words, args)
    .map((part) => (api.isLines === true ? `${JSON.stringify(part)}\n` : `data: ${JSON.stringify(part)}\n\n`))
  return { type: api.isLines === true ? 'application/x-ndjson' : EVENTS, chunks: frames }
}

const alertsOf = async ({ url }: CuttingProxy): Promise<number> =>
  ((await (await fetch(`${url}/gabion/v1/alerts`)).json()) as { total: number }).total

describe('Calls of tools', () => {
  /** One proxy a policy; each reply is to another message, so that it begins a conversation. */
  const proxies: { policy: 'hold' | 'cut' | 'observe'; detector: Witness; judging: CuttingProxy; alerting: CuttingProxy }[] = []
  before(async () => {
    for (const policy of ['hold', 'cut', 'observe'] as const) {
      const detector = new Witness()
      const [judging, alerting] = await Promise.all([CuttingProxy.start({ policy }, { detector }), CuttingProxy.start({ policy })])
      proxies.push({ policy, detector, judging, alerting })
    }
  })
  let count = 0
  const forms = ['Of course.', ''].flatMap((words) => [false, true].map((stream) => ({ words, stream })))

  for (const [name, api] of Object.entries(APIS)) {
    const ask = (proxy: CuttingProxy, user: string, { words, stream }: (typeof forms)[number], args: object): Promise<string> =>
      proxy.ask(
        api.path,
        { ...chat(user), ...(api.path === '/v1/responses' && { input: user }), stream },
        sendingOf(api, stream, words, args),
      )

    it(`are judged beside the words, alike whole and streamed (${name})`, async () => {
      for (const form of forms) {
        for (const { policy, detector, judging } of proxies) {
          const user = `pay me back ${++count}`
          await ask(judging, user, form, { amount: 900, to: { name: 'ann' } })
          const expected = [...(form.words === '' ? [] : [form.words]), 'refund({"amount":900,"to":{"name":"ann"}})']
          // With "cut", a stream is read while it comes, too: its verdict is the last.
          const seen = await until('the verdicts', () => {
            const all = detector.seen.filter((exchange) => exchange.user === user)
            return all.length >= expected.length ? all : null
          })
          assert.deepEqual(
            seen.slice(-expected.length).map(({ assistant }) => assistant),
            expected,
            `${policy} ${JSON.stringify(form)}`,
          )
        }
      }
    })

    it(`are blocked, cut or reported where they cross the line (${name})`, async () => {
      for (const form of forms) {
        for (const { policy, alerting } of proxies) {
          const alerts = await alertsOf(alerting)
          const raw = await ask(alerting, `pay me back ${++count}`, form, { reason: FORBIDDEN })
          const mode = `${policy} ${JSON.stringify(form)}`
          assert.deepEqual([raw.includes('refund'), raw.includes('Blocked.')], policy === 'observe' ? [true, false] : [false, true], mode)
          await until('the alert', async () => (await alertsOf(alerting)) === alerts + 1)
        }
      }
    })
  }

  it('are told apart where they have the same place in a stream', async () => {
    const detector = new Witness()
    const proxy = await CuttingProxy.start({ policy: 'hold' }, { detector })
    const parts = deltas(
      ...['ann', 'bob'].map((to, at) => ({
        tool_calls: [{ index: 0, id: `call${at}`, function: { name: 'send', arguments: JSON.stringify({ to }) } }],
      })),
    )
    await proxy.ask('/v1/chat/completions', chat('hi'), { type: EVENTS, chunks: parts.map((part) => `data: ${JSON.stringify(part)}\n\n`) })
    assert.deepEqual(
      detector.seen.map(({ assistant }) => assistant),
      ['send({"to":"ann"})\nsend({"to":"bob"})'],
    )
  })
})

describe('A conversation with calls of tools', () => {
  const api = APIS['chat completions']!
  const reply = (content: string): Sending => ({ type: 'application/json', chunks: [JSON.stringify(completion({ content }))] })
  const user = (content: string): object => ({ role: 'user', content })
  const assistant = (content: string): object => ({ role: 'assistant', content })
  const called = { role: 'assistant', content: null, tool_calls: [{ ...begun, function: { name: 'refund', arguments: '{}' } }] }
  const result = { role: 'tool', tool_call_id: 'call1', content: 'done' }
  const send = async (proxy: CuttingProxy, messages: object[], sending: Sending): Promise<{ status?: number; exchange: string }> => {
    const response = await proxy.open(api.path, { messages }, sending)
    response.resume()
    const { 'x-gabion-conversation': conversation, 'x-gabion-exchange': exchange } = response.headers
    return { status: response.statusCode!, exchange: `${String(conversation)} ${String(exchange)}` }
  }

  it('goes on from the answer that follows the calls, whether or not the client keeps them', async () => {
    const detector = new Witness()
    const proxy = await CuttingProxy.start({ policy: 'hold' }, { detector })
    const call = (amount: number): Sending => sendingOf(api, false, '', { amount })
    const exchanges = [
      await send(proxy, [user('hello')], reply('Good morning.')),
      await send(proxy, [user('hello'), assistant('Good morning.'), user('pay me')], call(1)),
      await send(proxy, [user('hello'), assistant('Good morning.'), user('pay me'), called, result], call(2)),
      await send(proxy, [user('hello'), assistant('Good morning.'), user('pay me'), called, result, called, result], reply('Done.')),
      await send(proxy, [user('hello'), assistant('Good morning.'), user('pay me'), assistant('Done.'), user('thanks')], reply('Bye.')),
    ]
    const [conversation] = exchanges[0]!.exchange.split(' ')
    assert.deepEqual(
      exchanges.map(({ exchange }) => exchange),
      [1, 2, 3, 4, 5].map((number) => `${conversation!} ${number}`),
    )
    const before = [{ user: 'hello', assistant: 'Good morning.' }]
    assert.deepEqual(
      detector.seen.map(({ user: said, assistant: answered, history }) => [said, answered, history]),
      [
        ['hello', 'Good morning.', []],
        ['pay me', 'refund({"amount":1})', before],
        ['pay me', 'refund({"amount":2})', before],
        ['pay me', 'Done.', before],
        ['thanks', 'Bye.', [...before, { user: 'pay me', assistant: 'Done.' }]],
      ],
    )
  })

  it('is ended by a call that raised an alert', async () => {
    for (const words of ['', 'Of course.']) {
      const proxy = await CuttingProxy.start({ policy: 'end' })
      const first = await send(proxy, [user('pay me')], sendingOf(api, false, words, { reason: FORBIDDEN }))
      assert.equal(first.status, 200)
      const histories = [
        [user('pay me'), { ...called, content: words }, result],
        [user('pay me'), assistant('Blocked.'), user('and now?')],
        [user('pay me'), { ...called, content: words }, result, user('and now?')],
      ]
      for (const messages of histories) assert.equal((await send(proxy, messages, reply('Fine.'))).status, 403)
      assert.equal((await send(proxy, [user('something else')], reply('Fine.'))).status, 200)
    }
  })
})
