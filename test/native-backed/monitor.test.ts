// Monitor and Conversation over the bundled model: order, failures, state, and refusals.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { join } from 'node:path'
import { CLASSIC_FOLDER } from '../../lib/detection/classic-artifact.js'
import type { ClassicVerdict } from '../../lib/detection/classic.js'
import type { ConversationExchange, Detector, DetectorVerdict, EmbeddedExchange } from '../../lib/detection/detector.js'
import { isGabionError } from '../../lib/errors.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import type { Exchange } from '../../lib/monitor/conversation.js'
import { DEFAULT_DETECTOR, Monitor } from '../../lib/monitor/monitor.js'
import { Projection } from '../../lib/projection/projection.js'

const EXCHANGES: readonly Exchange[] = [
  { user: 'I forgot my password.', assistant: 'Before I can look at the account, I need to verify your identity.' },
  { user: 'Please just let me in.', assistant: "I'm sorry, I can't open the account without the code." },
  { user: 'Where is my parcel?', assistant: 'It was delivered on Tuesday, with a green ribbon around it.' },
  { user: '', assistant: 'Is there anything else I can do for you?' },
  { user: 'No.', assistant: 'Your account is safe, and I will not change it without a confirmation.' },
]

let embedder: Embedder
before(async () => {
  embedder = await Embedder.load()
})
after(() => {
  embedder.dispose()
})

/** A verdict without what differs from run to run. */
function judged<V extends DetectorVerdict>(verdict: ExchangeVerdict<V>): Omit<ExchangeVerdict<V>, 'timings' | 'at'> {
  const { timings: _, at: __, ...rest } = verdict
  return rest
}

/** Counts replies and records its arguments; throws on request. */
class CountingDetector implements Detector<{ seen: number }> {
  readonly name = 'counting'
  readonly fingerprint = 'counting-1'
  readonly projection = null
  readonly exchanges: EmbeddedExchange[] = []

  start(): { seen: number } {
    return { seen: 0 }
  }

  async judge(state: { seen: number }, exchange: ConversationExchange): Promise<{ verdict: DetectorVerdict; state: { seen: number } }> {
    // Later exchanges are quicker, so an implementation that does not wait for earlier ones gets the order wrong.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, 10 - state.seen)))
    if (exchange.assistant === 'fail') throw new Error('this detector failed')
    this.exchanges.push(await exchange.embedded())
    const seen = state.seen + 1
    const zeros = { risk: 0, drift: 0, acceleration: 0, ratio: null, reasons: [] }
    return { verdict: { alert: false, level: 'calm', likelihood: 0.5, cumulative: seen, ...zeros }, state: { seen } }
  }

  checkState(value: unknown): { seen: number } {
    return value as { seen: number }
  }
}

async function judgeAll(
  monitor: Monitor<unknown, ClassicVerdict>,
  exchanges: readonly Exchange[],
): Promise<ExchangeVerdict<ClassicVerdict>[]> {
  const conversation = monitor.begin('one')
  const verdicts: ExchangeVerdict<ClassicVerdict>[] = []
  for (const exchange of exchanges) verdicts.push(await conversation.addExchange(exchange))
  return verdicts
}

describe('an exchange', () => {
  test('gives a verdict with its conversation, its number and its timings', async () => {
    const monitor = await Monitor.load({ embedder })
    assert.equal(monitor.detector.name, DEFAULT_DETECTOR)
    const conversation = monitor.conversation('c-1')
    for (const [index, exchange] of EXCHANGES.entries()) {
      const verdict = await conversation.addExchange(exchange)
      assert.equal(verdict.conversation, 'c-1')
      assert.equal(verdict.exchange, index + 1)
      assert.equal(verdict.truncated, false)
      const { timings } = verdict
      assert.deepEqual(Object.keys(timings), ['tokenizeMs', 'queueMs', 'encodeMs', 'projectMs', 'detectMs', 'totalMs'])
      assert.ok(Object.values(timings).every((ms) => ms >= 0) && timings.totalMs > timings.detectMs)
      assert.deepEqual(JSON.parse(JSON.stringify(verdict)), verdict)
    }
    assert.equal(conversation.exchanges, EXCHANGES.length)
  })

  test('is what the detector makes of the projected points', async () => {
    const monitor = await Monitor.load({ embedder, detector: 'classic' })
    const { projection } = monitor.detector
    assert.ok(projection !== null)
    const verdicts = await judgeAll(monitor, EXCHANGES)
    for (const [index, { assistant }] of EXCHANGES.entries()) {
      const [x, y] = Array.from(projection.apply(await embedder.embed(assistant))) as [number, number]
      const [actual, expected] = [verdicts[index]?.risk ?? NaN, 1 - y / Math.hypot(x, y)]
      assert.ok(Math.abs(actual - expected) < 1e-4, `${String(actual)} is not ${String(expected)}`)
    }
    assert.equal(verdicts[3]?.userRisk, 1)
  })

  test('embeds both texts in one call, with the projection of the detector', async () => {
    const calls: { texts: readonly string[]; projection: Projection | undefined }[] = []
    const counted = {
      info: embedder.info,
      embed: embedder.embed.bind(embedder),
      embedWindows: embedder.embedWindows.bind(embedder),
      embedBatch: ((texts, options) => {
        calls.push({ texts, projection: options?.projection })
        return embedder.embedBatch(texts, options)
      }) as Embedder['embedBatch'],
    }
    const monitor = await Monitor.load({ embedder: counted, detector: 'classic' })
    calls.length = 0
    await monitor.conversation('x').addExchange({ user: 'hello', assistant: 'good day' })
    assert.deepEqual(calls, [{ texts: ['hello', 'good day'], projection: monitor.detector.projection }])
  })

  test('takes empty texts on either side and on both', async () => {
    const conversation = (await Monitor.load({ embedder, detector: 'classic' })).conversation('empty')
    const first = await conversation.addExchange({ user: '', assistant: 'We keep your data safe.' })
    const held = await conversation.addExchange({ user: 'Hello?', assistant: ' \n' })
    const silent = await conversation.addExchange({ user: '', assistant: '' })
    assert.deepEqual([first.empty, held.empty, silent.empty], [false, true, true])
    assert.deepEqual([held.risk, silent.risk], [first.risk, first.risk])
    assert.equal(silent.exchange, 3)
  })

  test('takes a text that is both sides at once', async () => {
    const verdict = await (
      await Monitor.load({ embedder, detector: 'classic' })
    )
      .conversation('echo')
      .addExchange({ user: 'hello', assistant: 'hello' })
    assert.equal(verdict.risk, verdict.userRisk)
  })

  test('says when a text was cut', async () => {
    const conversation = (await Monitor.load({ embedder, detector: 'classic' })).conversation('long')
    const long = 'a very long story '.repeat(200)
    assert.equal((await conversation.addExchange({ user: long, assistant: 'short' })).truncated, true)
    assert.equal((await conversation.addExchange({ user: 'short', assistant: 'short' })).truncated, false)
  })

  test('gives a detector without projection the whole vectors', async () => {
    const detector = new CountingDetector()
    const monitor = await Monitor.load({ embedder, detector })
    await monitor.conversation('x').addExchange({ user: '', assistant: 'hello' })
    const [exchange] = detector.exchanges
    assert.deepEqual(exchange?.user, { text: '', windows: [] })
    assert.equal(exchange.assistant.windows[0]?.projected, null)
    assert.deepEqual(exchange.assistant.windows[0].vector, await embedder.embed('hello'))
  })
})

describe('many exchanges at once', () => {
  test('are judged in the order of the calls, with the results of one after the other', async () => {
    const monitor = await Monitor.load({ embedder, detector: 'classic' })
    const many = Array.from({ length: 6 }, () => EXCHANGES).flat()
    const expected = await judgeAll(monitor, many)
    const conversation = monitor.begin('one')
    const verdicts = await Promise.all(many.map((exchange) => conversation.addExchange(exchange)))
    assert.deepEqual(verdicts.map(judged), expected.map(judged))
  })

  test('keep their order even when a later one is quicker to judge', async () => {
    const detector = new CountingDetector()
    const conversation = (await Monitor.load({ embedder, detector })).conversation('x')
    const texts = Array.from({ length: 12 }, (_, i) => `reply ${String(i)}${' and so on'.repeat(12 - i)}`)
    const verdicts = await Promise.all(texts.map((assistant) => conversation.addExchange({ user: 'go on', assistant })))
    assert.deepEqual(
      verdicts.map(({ exchange, cumulative }) => [exchange, cumulative]),
      texts.map((_, i) => [i + 1, i + 1]),
    )
    assert.deepEqual(
      detector.exchanges.map(({ assistant }) => assistant.text),
      texts,
    )
  })
})

describe('an exchange that fails', () => {
  test('leaves the conversation as it was, and the next ones go on', async () => {
    const conversation = (await Monitor.load({ embedder, detector: new CountingDetector() })).conversation('x')
    const say = (assistant: string): Promise<ExchangeVerdict> => conversation.addExchange({ user: 'hello', assistant })
    const results = await Promise.allSettled([say('one'), say('fail'), say('two')])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.equal((await say('three')).exchange, 3)
    assert.deepEqual(conversation.toJSON().state, { seen: 3 })
  })

  test('by its signal, before, during or while earlier ones are awaited, is ABORTED', async () => {
    const conversation = (await Monitor.load({ embedder, detector: new CountingDetector() })).conversation('x')
    await assert.rejects(conversation.addExchange({ user: 'a', assistant: 'b' }, { signal: AbortSignal.abort() }), { code: 'ABORTED' })
    const during = new AbortController()
    const exchanges = [
      conversation.addExchange({ user: 'a', assistant: 'first' }),
      conversation.addExchange({ user: 'a', assistant: 'second' }, { signal: during.signal }),
      conversation.addExchange({ user: 'a', assistant: 'third' }),
    ]
    during.abort()
    const results = await Promise.allSettled(exchanges)
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    const [, second] = results
    assert.ok(second?.status === 'rejected' && isGabionError(second.reason) && second.reason.code === 'ABORTED')
    assert.equal(conversation.exchanges, 2)
  })

  test('by wrong arguments is a rejection that names them', async () => {
    const conversation = (await Monitor.load({ embedder, detector: 'classic' })).conversation('x')
    const wrong: [unknown, unknown, RegExp][] = [
      [null, undefined, /exchange must be an object/],
      [{ user: 'a' }, undefined, /assistant must be a string, got undefined/],
      [{ user: 1, assistant: 'a' }, undefined, /user must be a string, got 1/],
      [{ user: 'a', assistant: 'b' }, { signal: 'now' }, /signal must be an AbortSignal/],
      [{ user: 'a', assistant: 'b' }, { timeout: 1 }, /no option 'timeout'/],
    ]
    for (const [exchange, options, message] of wrong) {
      await assert.rejects(conversation.addExchange(exchange as Exchange, options as object), { code: 'INVALID_ARGUMENT', message })
    }
    assert.equal(conversation.exchanges, 0)
  })
})

describe('memory', () => {
  test('reset begins anew, at once or after the exchanges under way', async () => {
    const monitor = await Monitor.load({ embedder, detector: 'classic' })
    const [fresh] = await judgeAll(monitor, EXCHANGES)
    const conversation = monitor.begin('one')
    for (const exchange of EXCHANGES) await conversation.addExchange(exchange)
    void conversation.reset()
    assert.equal(conversation.exchanges, 0)
    const inFlight = conversation.addExchange(EXCHANGES[1] as Exchange)
    const forgotten = conversation.reset()
    const next = conversation.addExchange(EXCHANGES[0] as Exchange)
    assert.equal((await inFlight).exchange, 1)
    await forgotten
    assert.deepEqual(judged(await next), judged(fresh as ExchangeVerdict<ClassicVerdict>))
  })

  test('a fork goes its own way', async () => {
    const monitor = await Monitor.load({ embedder, detector: 'classic' })
    const expected = await judgeAll(monitor, EXCHANGES)
    const conversation = monitor.begin('one')
    for (const exchange of EXCHANGES.slice(0, 3)) await conversation.addExchange(exchange)
    const fork = conversation.fork('other')
    await fork.addExchange({ user: 'and', assistant: 'something else entirely' })
    assert.equal(fork.id, 'other')
    assert.equal(fork.exchanges, 4)
    assert.deepEqual(
      judged(await conversation.addExchange(EXCHANGES[3] as Exchange)),
      judged(expected[3] as ExchangeVerdict<ClassicVerdict>),
    )
  })

  test('a conversation goes on alike after it was saved and restored in another monitor', async () => {
    const expected = await judgeAll(await Monitor.load({ embedder, detector: 'classic' }), EXCHANGES)
    const conversation = (await Monitor.load({ embedder, detector: 'classic' })).conversation('one')
    for (const exchange of EXCHANGES.slice(0, 3)) await conversation.addExchange(exchange)
    const saved = JSON.stringify(conversation)
    const monitor = await Monitor.load({ embedder, classic: { thresholds: { alert: 0.8 } } })
    const restored = monitor.restore(JSON.parse(saved))
    assert.equal(monitor.conversation('one'), restored)
    assert.deepEqual(judged(await restored.addExchange(EXCHANGES[3] as Exchange)), judged(expected[3] as ExchangeVerdict<ClassicVerdict>))
  })

  test('conversations are kept by id until they are forgotten', async () => {
    const monitor = await Monitor.load({ embedder, detector: 'classic' })
    const conversation = monitor.conversation('a')
    monitor.begin('not kept')
    assert.equal(monitor.conversation('a'), conversation)
    assert.equal(monitor.size, 1)
    assert.equal(monitor.forget('a'), true)
    assert.equal(monitor.forget('a'), false)
    assert.notEqual(monitor.conversation('a'), conversation)
  })

  test('a saved conversation of another detector, or a damaged one, is refused by name of the field', async () => {
    const monitor = await Monitor.load({ embedder, detector: 'classic' })
    const saved = monitor.conversation('one').toJSON()
    const damages: [object | null, RegExp][] = [
      [null, /not a saved conversation/],
      [{ ...saved, format: 'x' }, /'format'/],
      [{ ...saved, version: 1 }, /'version' .* must be 2 or 3, got 1: it was saved by another release/],
      [{ ...saved, id: 1 }, /'id'/],
      [{ ...saved, exchanges: -1 }, /'exchanges'/],
      [{ ...saved, detector: { ...saved.detector, fingerprint: '00' } }, /'detector'.*classic/],
      [{ ...saved, state: {} }, /'scored'/],
    ]
    for (const [damaged, message] of damages) assert.throws(() => monitor.restore(damaged), { code: 'ARTIFACT_INVALID', message })
    const other = await Monitor.load({ embedder, classic: { preset: 'deployment' } })
    assert.throws(() => other.restore(saved), { code: 'ARTIFACT_INVALID', message: /'detector'/ })
  })

  test('is bounded: the conversations asked for least recently go first', async () => {
    const monitor = await Monitor.load({ embedder, detector: new CountingDetector(), maxConversations: 2 })
    const first = monitor.conversation('first')
    monitor.conversation('second')
    assert.equal(monitor.conversation('first'), first)
    monitor.conversation('third')
    assert.equal(monitor.size, 2)
    assert.equal(monitor.conversation('first'), first)
    assert.equal(
      (await monitor.conversation('first').addExchange({ user: 'a', assistant: 'b' }, { exchangeId: 'mine' })).exchangeId,
      'mine',
    )
    await assert.rejects(Monitor.load({ embedder, maxConversations: 0 }), { code: 'INVALID_ARGUMENT', message: /maxConversations/ })
  })
})

describe('opening', () => {
  test('the deployment preset takes a refusal, or the safe text given, as safe ground', async () => {
    const refusal = await Monitor.load({ embedder, classic: { preset: 'deployment' } })
    const verdict = await refusal.conversation('x').addExchange({ user: 'hm', assistant: "I'm sorry, but I can't help with that request." })
    assert.ok(verdict.risk < 1e-6)
    assert.equal(verdict.ratio, null)
    const own = await Monitor.load({ embedder, classic: { preset: 'deployment', safeText: 'Bonjour!' } })
    assert.ok((await own.conversation('x').addExchange({ user: 'hm', assistant: 'Bonjour!' })).risk < 1e-6)
  })

  test('a projection of your own is taken as an object or from its file', async () => {
    const file = join(CLASSIC_FOLDER, 'deployment.projection.json')
    const projection = await Projection.load(file)
    for (const given of [file, projection]) {
      const monitor = await Monitor.load({ embedder, classic: { projection: given } })
      assert.equal(monitor.detector.projection?.id, projection.id)
    }
  })

  test('what cannot work is refused', async () => {
    const demo = await Projection.load(join(CLASSIC_FOLDER, 'demo.projection.json'))
    const short = Projection.fitPca(
      { rows: 5, dimensions: 8, data: Float32Array.from({ length: 40 }, (_, i) => Math.sin(i * i)) },
      { components: 2 },
    )
    const three = Projection.fitPca(
      { rows: 5, dimensions: 384, data: Float32Array.from({ length: 5 * 384 }, (_, i) => Math.sin(i * i)) },
      { components: 3 },
    )
    const { components, dimensions, mean, axes, explainedVariance, explainedVarianceRatio, fit } = demo
    const parts = { components, dimensions, mean, axes, explainedVariance, explainedVarianceRatio, fit }
    const foreign = Projection.fromParts({ ...parts, model: { name: 'another-model', hash: '00', precision: 'bf16' } })
    const refused: [object, string, RegExp][] = [
      [{ embedder: null }, 'INVALID_ARGUMENT', /embedder must be an Embedder, got null/],
      [{ embedder: {} }, 'INVALID_ARGUMENT', /embedder must be an Embedder/],
      [{ embedder, detector: 'magic' }, 'INVALID_ARGUMENT', /detector must be one of 'guard', 'erosion', 'classic', got "magic"/],
      [{ embedder, detector: { name: 'mine' } }, 'INVALID_ARGUMENT', /detector\.fingerprint/],
      [{ embedder, detector: { name: 'mine', fingerprint: '1' } }, 'INVALID_ARGUMENT', /detector\.start/],
      [{ embedder, detector: new CountingDetector(), classic: {} }, 'INVALID_ARGUMENT', /classic must be omitted/],
      [{ embedder, speed: 1 }, 'INVALID_ARGUMENT', /no option 'speed'/],
      [{ embedder, classic: { safety: 1 } }, 'INVALID_ARGUMENT', /classic has no option 'safety'/],
      [{ embedder, classic: { safe: [0, 1], safeText: 'no' } }, 'INVALID_ARGUMENT', /exclude each other/],
      [{ embedder, classic: { safeText: ' ' } }, 'INVALID_ARGUMENT', /safeText must be a text with words/],
      [{ embedder, classic: { projection: 7 } }, 'INVALID_ARGUMENT', /classic\.projection must be/],
      [{ embedder, classic: { projection: three } }, 'INVALID_ARGUMENT', /2 components only, the projection has 3/],
      [{ embedder, classic: { projection: 'none.json' } }, 'ARTIFACT_INVALID', /none\.json/],
      [{ embedder, classic: { projection: short } }, 'PROJECTION_MISMATCH', /8 dimensions.*384/],
      [{ embedder, classic: { projection: foreign } }, 'PROJECTION_MISMATCH', /another-model/],
    ]
    for (const [options, code, message] of refused) await assert.rejects(Monitor.load(options as never), { code, message })
  })

  test('loads the bundled model where it is given no embedder, and releases only that one', async () => {
    const own = await Monitor.load()
    assert.equal(own.embedder.info.model, 'all-MiniLM-L6-v2')
    assert.equal((await own.conversation('x').addExchange({ user: 'hello', assistant: 'hi' })).alert, false)
    own.dispose()
    own.dispose()
    assert.equal(own.size, 0)
    await assert.rejects(own.embedder.embed('hello'), { code: 'DISPOSED' })
    {
      using callers = await Monitor.load({ embedder })
      assert.equal(callers.embedder, embedder)
    }
    assert.equal((await embedder.embed('hello')).length, 384)
  })
})
