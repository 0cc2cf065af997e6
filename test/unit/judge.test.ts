// The judge: which exchanges are sent to an endpoint of the user's own, what is sent, and what bounds it. Against a local server.

import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { JudgeClient, type JudgedExchange, type JudgeOptions } from '../../lib/detection/escalation/judge-client.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import { Monitor } from '../../lib/monitor/monitor.js'
import { FakeEmbedder } from '../../lib/testing/fake-embedder.js'
import { ScriptedDetector } from '../../lib/testing/scripted-detector.js'

interface Question {
  readonly path: string | undefined
  readonly authorization: string | undefined
  readonly body: { model: string; temperature: number; messages: { role: string; content: string }[] }
}

const completion = (content: string, usage?: object): string =>
  JSON.stringify({ choices: [{ message: { role: 'assistant', content } }], usage })
const BREAK = completion('Sure:\n```json\n{"breaks": true, "reason": "It gives money away."}\n```')

let server: Server
let url = ''
const questions: Question[] = []
let answer: (response: ServerResponse) => void = (response) => response.end(BREAK)

async function readBody(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

before(async () => {
  server = createServer((request, response) => {
    void readBody(request).then((text) => {
      questions.push({ path: request.url, authorization: request.headers.authorization, body: JSON.parse(text) as Question['body'] })
      answer(response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v1`
})
after(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  questions.length = 0
  answer = (response) => response.end(BREAK)
})

const EXCHANGE: JudgedExchange = {
  system: 'Never promise a refund.',
  rules: ['No discounts.'],
  history: [{ user: 'a', assistant: 'b' }],
  user: 'Please!',
  assistant: 'I promise you a refund.',
}

const client = (options: Partial<JudgeOptions> = {}): JudgeClient => new JudgeClient({ url, model: 'judge-1', ...options })

describe('the judge', () => {
  test('gets rules, history and exchange, and answers', async () => {
    const { durationMs, ...finding } = await client({ apiKey: 'secret' }).ask(EXCHANGE)
    assert.deepEqual(finding, { breaks: true, reason: 'It gives money away.', model: 'judge-1' })
    assert.ok(durationMs > 0)
    const [question] = questions
    assert.deepEqual([question?.path, question?.authorization], ['/v1/chat/completions', 'Bearer secret'])
    const { model, temperature, messages } = question!.body
    assert.deepEqual([model, temperature, messages.map(({ role }) => role)], ['judge-1', 0, ['system', 'user']])
    const { user, assistant, ...rest } = EXCHANGE
    assert.deepEqual(JSON.parse(messages[1]!.content), { ...rest, exchange: { user, assistant } })
  })

  test('may be named by its full path, and have no key', async () => {
    await client({ url: `${url}/chat/completions` }).ask(EXCHANGE)
    assert.deepEqual([questions[0]?.path, questions[0]?.authorization], ['/v1/chat/completions', undefined])
  })

  test('reports what an answer costs, also of one that cannot be read', async () => {
    const tokensOf = async (text: string): Promise<unknown[]> => {
      answer = (response) => response.end(text)
      const { breaks, promptTokens, completionTokens } = await client().ask(EXCHANGE)
      return [breaks, promptTokens, completionTokens]
    }
    const usage = { prompt_tokens: 412, completion_tokens: 17 }
    assert.deepEqual(await tokensOf(completion('{"breaks": false}', usage)), [false, 412, 17])
    assert.deepEqual(await tokensOf(completion('I would rather not say.', usage)), [null, 412, 17])
    assert.deepEqual(await tokensOf(completion('{"breaks": false}', { prompt_tokens: -1, completion_tokens: 'few' })), [
      false,
      undefined,
      undefined,
    ])
  })

  test('that fails, talks or hangs has no answer, and no error', async () => {
    const failing = async (change: (response: ServerResponse) => void, options: Partial<JudgeOptions> = {}): Promise<string> => {
      answer = change
      const { breaks, reason } = await client(options).ask(EXCHANGE)
      assert.equal(breaks, null)
      return reason
    }
    assert.match(await failing((response) => response.writeHead(503).end('busy')), /answered 503/)
    assert.match(await failing((response) => response.end(completion('I would rather not say.'))), /not the JSON/)
    assert.match(await failing((response) => response.end(completion('{"breaks": "yes"}'))), /not the JSON/)
    assert.match(await failing((response) => response.end('x'.repeat(100_000))), /too long/)
    assert.match(await failing((response) => response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end()), /no answer/)
    assert.match(await failing(() => undefined, { timeoutMs: 50 }), /no answer: .*(timeout|aborted)/i)
    assert.match((await client({ url: 'http://127.0.0.1:9/' }).ask(EXCHANGE)).reason, /no answer/)
  })

  test('is not asked more often than allowed, in a minute and at once', async () => {
    const slow = client({ perMinute: 2, model: 'bounded' })
    const reasons = []
    for (let i = 0; i < 3; i++) reasons.push((await slow.ask(EXCHANGE)).reason)
    assert.deepEqual(reasons, ['It gives money away.', 'It gives money away.', 'not asked: more than 2 questions in a minute'])
    const narrow = client({ concurrency: 1, model: 'bounded' })
    const findings = await Promise.all([narrow.ask(EXCHANGE), narrow.ask(EXCHANGE)])
    assert.deepEqual(
      findings.map(({ breaks }) => breaks),
      [true, null],
    )
    // Questions that an earlier test gave up may still come in.
    assert.equal(questions.filter(({ body }) => body.model === 'bounded').length, 3)
  })

  test('is refused with options that make no sense', () => {
    for (const [options, message] of [
      [{ url: 'ftp://example.org' }, /judge\.url must be an http or https URL/],
      [{ model: 5 as never }, /judge\.model/],
      [{ perMinute: 0 }, /judge\.perMinute/],
      [{ key: 'x' } as never, /key/],
    ] as [Partial<JudgeOptions>, RegExp][])
      assert.throws(() => client(options), { code: 'INVALID_ARGUMENT', message })
  })
})

describe('a monitor with a judge', () => {
  test('sends elevated exchanges only, and reports the finding', async () => {
    const detector = new ScriptedDetector(['calm', 'elevated', 'alert', 'calm'])
    const monitor = (await Monitor.load({ embedder: new FakeEmbedder(), detector, judge: { url, model: 'judge-1' } })) as unknown as Monitor
    const conversation = monitor.begin('c', { system: 'Never promise a refund.' })
    const verdicts: ExchangeVerdict[] = []
    for (let i = 0; i < 4; i++) verdicts.push(await conversation.addExchange({ user: `u${String(i)}`, assistant: `a${String(i)}` }))
    assert.deepEqual(
      verdicts.map(({ judge }) => judge?.breaks),
      [undefined, true, true, undefined],
    )
    assert.equal(verdicts[1]?.reasons.at(-1), 'the judge finds a break: It gives money away.')
    assert.equal(questions.length, 2)
    assert.equal(monitor.detector.fingerprint, detector.fingerprint)
  })

  test('sends nothing without one', async () => {
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector: new ScriptedDetector(['alert']) })
    const verdict = await monitor.begin('c').addExchange({ user: 'u', assistant: 'a' })
    assert.equal('judge' in verdict, false)
    assert.equal(questions.length, 0)
  })
})
