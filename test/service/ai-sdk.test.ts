// The middleware under the AI SDK's own generateText and streamText.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { LanguageModelV3StreamPart } from '@ai-sdk/provider'
import {
  cosineSimilarity,
  embed,
  embedMany,
  generateText,
  simulateReadableStream,
  streamText,
  wrapLanguageModel,
  type ModelMessage,
} from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import { gabionEmbedding, gabionMiddleware, type GabionMiddlewareOptions } from '../../lib/ai-sdk/index.js'
import type { ReplyReading } from '../../lib/detection/reply-reading.js'
import { Monitor, parseTranscript, type ExchangeVerdict } from '../../lib/index.js'
import { FakeEmbedder } from '../../lib/testing/fake-embedder.js'
import { ScriptedDetector } from '../../lib/testing/scripted-detector.js'
import { testEmbedder } from './service-under-test.js'

const REPLACEMENT = 'Blocked.'
const [eroding] = parseTranscript(readFileSync('examples/shop-refund-eroding.json', 'utf8'), 'shop-refund-eroding.json')
const EXCHANGES = eroding!.exchanges
const RULES = readFileSync('examples/shop-system-prompt.md', 'utf8')
const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 1, text: 1, reasoning: undefined },
}
const finishReason = { unified: 'stop', raw: 'stop' } as const

/** A model that answers the n-th user message with the n-th reply of the conversation. */
function parrot(): MockLanguageModelV3 {
  const replyTo = (prompt: readonly { role: string }[]): string =>
    EXCHANGES[prompt.filter(({ role }) => role === 'user').length - 1]!.assistant
  return new MockLanguageModelV3({
    doGenerate: ({ prompt }) => Promise.resolve({ content: [{ type: 'text', text: replyTo(prompt) }], finishReason, usage, warnings: [] }),
    doStream: ({ prompt }) => {
      const chunks: LanguageModelV3StreamPart[] = [
        { type: 'stream-start', warnings: [] },
        { type: 'text-start', id: '1' },
        ...replyTo(prompt)
          .split(/(?= )/)
          .map((delta) => ({ type: 'text-delta' as const, id: '1', delta })),
        { type: 'text-end', id: '1' },
        { type: 'finish', finishReason, usage },
      ]
      return Promise.resolve({ stream: simulateReadableStream({ chunks }) })
    },
  })
}

async function wrapped(
  more: Partial<GabionMiddlewareOptions> = {},
): Promise<{ model: ReturnType<typeof wrapLanguageModel>; verdicts: ExchangeVerdict[] }> {
  const verdicts: ExchangeVerdict[] = []
  const monitor = await Monitor.load({ embedder: await testEmbedder() })
  const options = {
    monitor,
    replacementMessage: REPLACEMENT,
    onVerdict: (verdict: ExchangeVerdict) => void verdicts.push(verdict),
  }
  return { model: wrapLanguageModel({ model: parrot(), middleware: gabionMiddleware({ ...options, ...more }) }), verdicts }
}

/** Plays the conversation until a reply is not what the model said. */
async function play(ask: (messages: ModelMessage[]) => Promise<string>): Promise<string[]> {
  const messages: ModelMessage[] = []
  const said: string[] = []
  for (const { user, assistant } of EXCHANGES) {
    messages.push({ role: 'user', content: user })
    const words = await ask(messages)
    said.push(words)
    if (words !== assistant) break
    messages.push({ role: 'assistant', content: words })
  }
  return said
}

async function expected(): Promise<number[]> {
  const control = (await Monitor.load({ embedder: await testEmbedder() })).begin('control')
  const likelihoods = []
  for (const { user, assistant } of EXCHANGES) likelihoods.push((await control.addExchange({ user, assistant })).likelihood)
  return likelihoods
}

describe('gabion/ai-sdk', () => {
  it('observes generateText: words unchanged, a verdict an exchange, also in the metadata', async () => {
    const { model, verdicts } = await wrapped()
    const said = await play(async (messages) => {
      const { text, providerMetadata } = await generateText({ model, messages })
      assert.equal(providerMetadata?.gabion?.exchange, verdicts.at(-1)?.exchange)
      return text
    })
    assert.deepEqual(
      said,
      EXCHANGES.map(({ assistant }) => assistant),
    )
    assert.deepEqual(
      verdicts.map(({ likelihood }) => likelihood),
      await expected(),
    )
    assert.equal(new Set(verdicts.map(({ conversation }) => conversation)).size, 1)
  })

  it('observes streamText', async () => {
    const { model, verdicts } = await wrapped({ conversation: () => 'named' })
    await play(async (messages) => await streamText({ model, messages }).text)
    assert.deepEqual(
      verdicts.map(({ likelihood }) => likelihood),
      await expected(),
    )
    assert.ok(verdicts.every(({ conversation }) => conversation === 'named'))
  })

  it('blocks the reply that raises the alert, whole and streamed', async () => {
    for (const streamed of [false, true]) {
      const { model, verdicts } = await wrapped({ onAlert: 'block' })
      const finishes: string[] = []
      const said = await play(async (messages) => {
        const result = streamed ? streamText({ model, system: RULES, messages }) : await generateText({ model, system: RULES, messages })
        finishes.push(await result.finishReason)
        return await result.text
      })
      assert.equal(said.at(-1), REPLACEMENT)
      assert.deepEqual([finishes.at(-1), finishes.at(-2)], ['content-filter', 'stop'])
      assert.deepEqual([verdicts.at(-1)?.alert, verdicts.length], [true, said.length])
    }
  })

  it('cuts a stream where it crosses the alert line, and ends it as filtered', async () => {
    const FORBIDDEN = 'forbidden'
    const detector = new ScriptedDetector(({ assistant }) => (assistant.includes(FORBIDDEN) ? 'alert' : 'calm'))
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector })
    const verdicts: ExchangeVerdict[] = []
    const middleware = gabionMiddleware({
      monitor,
      onAlert: 'cut',
      replacementMessage: REPLACEMENT,
      onVerdict: (verdict) => void verdicts.push(verdict),
    })
    let got = ''
    const chunks = async function* (): AsyncGenerator<LanguageModelV3StreamPart> {
      yield { type: 'stream-start', warnings: [] }
      yield { type: 'text-start', id: '1' }
      for (let word = 0; word < 50; word++) yield { type: 'text-delta', id: '1', delta: `word${String(word)} ` }
      while (!got.includes('word')) await new Promise((resolve) => setImmediate(resolve))
      yield { type: 'text-delta', id: '1', delta: FORBIDDEN }
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve))
        yield { type: 'text-delta', id: '1', delta: 'never ' }
      }
    }
    const doStream = () => Promise.resolve({ stream: ReadableStream.from(chunks()) })
    const result = streamText({ model: wrapLanguageModel({ model: new MockLanguageModelV3({ doStream }), middleware }), prompt: 'hi' })
    for await (const text of result.textStream) got += text
    assert.match(got, /^(word\d+ )+\n\nBlocked\.$/)
    assert.equal(await result.finishReason, 'content-filter')
    assert.equal((await result.providerMetadata)?.gabion?.alert, true)
    assert.deepEqual(
      verdicts.map(({ alert, exchange }) => [alert, exchange]),
      [[true, 1]],
    )
  })

  describe('with calls of tools', () => {
    const FORBIDDEN = 'forbidden'
    const inputOf = (reason: string): string => JSON.stringify({ amount: 900, reason })
    const callOf = (reason: string) => ({ type: 'tool-call' as const, toolCallId: '1', toolName: 'refund', input: inputOf(reason) })
    const answers = async (onAlert: 'cut' | 'block', parts: LanguageModelV3StreamPart[]): Promise<[seen: string[], passed: string[]]> => {
      const seen: string[] = []
      const detector = new ScriptedDetector(({ assistant }) => {
        seen.push(assistant)
        return assistant.includes(FORBIDDEN) ? 'alert' : 'calm'
      })
      const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector })
      const middleware = gabionMiddleware({ monitor, onAlert, replacementMessage: REPLACEMENT })
      const prompt = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'pay me back' }] }]
      const model = new MockLanguageModelV3({ doStream: () => Promise.resolve({ stream: ReadableStream.from(parts) }) })
      const { stream } = await wrapLanguageModel({ model, middleware }).doStream({ prompt })
      const passed: string[] = []
      for await (const part of stream) passed.push(part.type === 'text-delta' ? part.delta.trim() : part.type)
      return [seen, passed]
    }
    const said: LanguageModelV3StreamPart[] = [
      { type: 'text-start', id: '1' },
      { type: 'text-delta', id: '1', delta: 'Of course.' },
      { type: 'text-end', id: '1' },
    ]
    const finish: LanguageModelV3StreamPart = { type: 'finish', finishReason, usage }

    for (const onAlert of ['cut', 'block'] as const) {
      it(`judges them by themselves, and holds back those that raise an alert (${onAlert})`, async () => {
        const [seen, passed] = await answers(onAlert, [...said, callOf('broken bowl'), finish])
        assert.deepEqual(seen.slice(-2), ['Of course.', `refund(${inputOf('broken bowl')})`])
        assert.ok(passed.includes('tool-call') && passed.includes('Of course.'))
        const [, blocked] = await answers(onAlert, [...said, callOf(FORBIDDEN), finish])
        assert.ok(!blocked.includes('tool-call') && blocked.includes(REPLACEMENT))
      })
    }

    it('judges what came before the stream failed, and passes the failure', async () => {
      const failure: LanguageModelV3StreamPart = { type: 'error', error: new Error('overloaded') }
      assert.deepEqual((await answers('block', [...said, callOf(FORBIDDEN), failure]))[1], ['error'])
      assert.deepEqual((await answers('block', [...said, failure]))[1], ['text-start', 'Of course.', 'text-end', 'error'])
      const [, blocked] = await answers('block', [...said, callOf(FORBIDDEN), failure, finish])
      assert.ok(!blocked.includes('tool-call') && blocked.includes(REPLACEMENT))
    })
  })

  it('ends a stream as filtered where only the whole reply raises an alert', async () => {
    class LateDetector extends ScriptedDetector {
      beginReply(): ReplyReading {
        return { read: () => Promise.resolve(null) }
      }
    }
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector: new LateDetector(['alert']) })
    const middleware = gabionMiddleware({ monitor, onAlert: 'cut', replacementMessage: REPLACEMENT })
    const parts: LanguageModelV3StreamPart[] = [
      { type: 'stream-start', warnings: [] },
      { type: 'text-start', id: '1' },
      { type: 'text-delta', id: '1', delta: 'Well.' },
      { type: 'text-end', id: '1' },
      { type: 'finish', finishReason, usage },
    ]
    const doStream = () => Promise.resolve({ stream: ReadableStream.from(parts) })
    const result = streamText({ model: wrapLanguageModel({ model: new MockLanguageModelV3({ doStream }), middleware }), prompt: 'hi' })
    let got = ''
    for await (const text of result.textStream) got += text
    assert.deepEqual([got, await result.finishReason, (await result.usage).inputTokens], [`Well.\n\n${REPLACEMENT}`, 'content-filter', 1])
    assert.equal((await result.providerMetadata)?.gabion?.alert, true)
  })

  it('passes the reply on when judging fails, and tells', async () => {
    const errors: unknown[] = []
    const { model } = await wrapped({ conversation: () => assert.fail('no'), onError: (error) => void errors.push(error) })
    assert.equal((await generateText({ model, prompt: 'Hello' })).text, EXCHANGES[0]?.assistant)
    assert.equal(errors.length, 1)
  })

  it('checks its options by name', async () => {
    await assert.rejects(wrapped({ onAlert: 'explode' as never }), { code: 'INVALID_ARGUMENT', message: /onAlert/ })
  })
})

describe('the embedding model', () => {
  it("gives gabion's vectors to embed and embedMany, with token counts", async () => {
    const embedder = await testEmbedder()
    const model = gabionEmbedding(embedder)
    const { embedding, usage } = await embed({ model, value: 'The kettle is on.' })
    assert.deepEqual(embedding, Array.from(await embedder.embed('The kettle is on.')))
    assert.equal(usage.tokens, embedder.tokenize('The kettle is on.').totalTokenCount)
    const { embeddings, warnings } = await embedMany({ model, values: ['Tea is ready.', 'The kettle is on.', 'word '.repeat(1000)] })
    assert.equal(embeddings.length, 3)
    assert.ok(cosineSimilarity(embeddings[1]!, embedding) > 0.99999)
    assert.match(JSON.stringify(warnings), /text 2 has 1002 tokens and was truncated to 256/)
  })

  it('cuts vectors where it is told to', async () => {
    const embedder = await testEmbedder()
    const { embedding } = await embed({ model: gabionEmbedding(embedder, { dimensions: 32 }), value: 'The kettle is on.' })
    assert.deepEqual(embedding, Array.from(await embedder.embed('The kettle is on.', { dimensions: 32 })))
  })

  it('ends with the signal of the call, and refuses what is no embedder', async () => {
    const model = gabionEmbedding(await testEmbedder())
    await assert.rejects(embed({ model, value: 'x', abortSignal: AbortSignal.abort(), maxRetries: 0 }), { name: 'AbortError' })
    assert.throws(() => gabionEmbedding({} as never), { code: 'INVALID_ARGUMENT', message: /embedder must be an Embedder/ })
  })
})
