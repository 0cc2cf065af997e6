// StreamGuard over a scripted guard: what passes when, what is dropped, and that the finished reply's verdict is that of a whole reply.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { GuardDetector } from '../../lib/detection/guard/guard-detector.js'
import type { GuardInput } from '../../lib/detection/guard/scorer.js'
import { StreamGuard, type StreamGuardOptions, type StreamGuardResult } from '../../lib/monitor/stream/stream-guard.js'
import { Monitor } from '../../lib/monitor/monitor.js'
import { FakeEmbedder } from '../../lib/testing/fake-embedder.js'
import { ScriptedDetector } from '../../lib/testing/scripted-detector.js'
import { GUARD, ScriptedScorer, type Script } from './scripted-guard.js'

const FORBIDDEN = 'forbidden'
const unsafeWords: Script = ({ reply }) => (reply.includes(FORBIDDEN) ? { unsafe: 0.9 } : {})

/** Waits, before each result, for what a test says. */
class SlowScorer extends ScriptedScorer {
  before: () => Promise<void> = () => Promise.resolve()

  override async score(inputs: readonly GuardInput[]): Promise<number[][]> {
    await this.before()
    return super.score(inputs)
  }
}

async function monitored(script: Script = unsafeWords): Promise<{ monitor: Monitor; scorer: SlowScorer }> {
  const scorer = new SlowScorer(script)
  const detector = new GuardDetector({ description: GUARD, scorer, terms: null, first: null, fingerprint: 'scripted' })
  return { monitor: await Monitor.load({ embedder: new FakeEmbedder(), detector }), scorer }
}

async function* streamOf(deltas: readonly string[]): AsyncGenerator<string> {
  for (const delta of deltas) {
    await new Promise((resolve) => setImmediate(resolve))
    yield delta
  }
}

async function passedOf(stream: AsyncIterable<string>): Promise<string[]> {
  const passed = []
  for await (const delta of stream) passed.push(delta)
  return passed
}

async function guarded(
  deltas: readonly string[],
  options?: StreamGuardOptions,
  script?: Script,
): Promise<{ passed: string; result: StreamGuardResult; guard: StreamGuard; scorer: SlowScorer }> {
  const { monitor, scorer } = await monitored(script)
  const guard = new StreamGuard(monitor.begin('c'), 'a question', options)
  const passed = (await passedOf(guard.pass(streamOf(deltas)))).join('')
  return { passed, result: await guard.result, guard, scorer }
}

const words = (count: number, word = 'word'): string[] => Array.from({ length: count }, (_, index) => `${word}${String(index)} `)

/** A verdict without times. */
function withoutTimes({ timings: _, at: __, ...verdict }: NonNullable<StreamGuardResult['verdict']>): object {
  return verdict
}

describe('StreamGuard', () => {
  test('passes a harmless reply unchanged, and its verdict is that of the whole reply, whatever the deltas', async () => {
    const text = fc.array(
      fc.oneof(fc.string({ unit: 'binary', maxLength: 30 }), fc.constantFrom(' ', '\n', 'word '.repeat(40), '漢字'.repeat(80))),
      {
        maxLength: 30,
      },
    )
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 60 }), fc.constantFrom(1, 400), async (deltas, lagTokens, lagMs) => {
        const script: Script = ({ reply }) => ({ breaks: (reply.length % 70) / 100, wavers: (reply.length % 50) / 100 })
        const { passed, result } = await guarded(deltas, { lagTokens, lagMs }, script)
        assert.equal(passed, deltas.join(''))
        assert.deepEqual([result.outcome, result.passed, result.unread], ['finished', passed.length, 0])
        const control = await (await monitored(script)).monitor.begin('c').addExchange({ user: 'a question', assistant: passed })
        assert.deepEqual(withoutTimes(result.verdict!), withoutTimes(control))
      }),
      { numRuns: 60 },
    )
  })

  test('drops what is held back when the reply crosses the line, ends the source and tells why', async () => {
    let ended = false
    let passed = ''
    const source = (async function* () {
      try {
        yield* streamOf(words(60))
        while (passed === '') await new Promise((resolve) => setImmediate(resolve))
        yield FORBIDDEN
        for (;;) yield* streamOf(words(1, 'never'))
      } finally {
        ended = true
      }
    })()
    const { monitor } = await monitored()
    const guard = new StreamGuard(monitor.begin('c'), 'a question', { lagTokens: 20 })
    for await (const delta of guard.pass(source)) passed += delta
    const { outcome, reply, reasons, verdict, ...counts } = await guard.result
    assert.ok(!passed.includes(FORBIDDEN) && reply.startsWith(passed) && reply.includes(FORBIDDEN))
    assert.ok(passed.length > 0)
    assert.deepEqual([outcome, counts.unread, verdict?.alert, guard.signal.aborted], ['cut', 0, true, true])
    assert.equal(counts.passed, passed.length)
    assert.match(reasons.join(), /harmful whatever the rules say \(unsafe 0\.90, line 0\.80\)/)
    await new Promise((resolve) => setImmediate(resolve))
    assert.ok(ended)
  })

  test('holds the last words back, too, until they have been read', async () => {
    const { passed, result } = await guarded(['All is well. ', 'And now ', FORBIDDEN], {
      lagTokens: 1000,
      lagMs: 100_000,
      maxLagMs: 200_000,
    })
    assert.deepEqual([passed, result.outcome], ['', 'cut'])
  })

  test('reads a long reply by windows that overlap: work grows with its length, nothing is skipped', async () => {
    const lengths = await Promise.all(
      [1000, 4000].map(async (count) => {
        const { scorer, result } = await guarded(words(count), { lagTokens: 40 })
        // The last inputs are those of the final verdict.
        const replies = scorer.inputs.filter(({ reply }) => reply !== '' && reply.length < 2000).map(({ reply }) => reply)
        for (let index = 0; index < count; index += 7)
          assert.ok(
            replies.some((reply) => reply.includes(`word${String(index)} word${String(index + 1)} `.trimEnd()) || index === count - 1),
          )
        assert.ok(Math.max(...replies.map(({ length }) => length)) <= 800)
        return replies.reduce((sum, { length }) => sum + length, 0) / result.reply.length
      }),
    )
    assert.ok(lengths[1]! < 1.3 * lengths[0]! && lengths[1]! < 8, lengths.join(' and '))
  })

  test('cuts in the middle of a burst that comes at once', async () => {
    const { passed, result } = await guarded([[...words(3000), FORBIDDEN, ...words(3000)].join('')])
    assert.deepEqual([passed, result.outcome], ['', 'cut'])
  })

  test('passes text unread that waits too long, counts it, and still cuts later', async () => {
    for (const failClosed of [false, true]) {
      const { monitor, scorer } = await monitored()
      let readOn: () => void = () => undefined
      const slow = new Promise<void>((resolve) => {
        readOn = resolve
      })
      scorer.before = () => slow
      const guard = new StreamGuard(monitor.begin('c'), 'q', { lagTokens: 1, lagMs: 5, maxLagMs: 10, failClosed })
      let passed = ''
      const source = (async function* () {
        yield 'Hello '
        yield* streamOf([FORBIDDEN])
        // Waits for what the consumer gets; without it, for the end of the stream.
        while (passed === '' && !guard.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 1))
        yield ' and more'
        readOn()
        yield* streamOf(words(100))
      })()
      for await (const delta of guard.pass(source)) passed += delta
      readOn()
      const { outcome, unread, verdict } = await guard.result
      assert.equal(outcome, failClosed ? 'refused' : 'cut')
      assert.deepEqual([passed.startsWith('Hello '), unread > 0], [!failClosed, !failClosed])
      assert.equal(verdict?.alert, true)
    }
  })

  test('a reading that fails counts as not read, and the next one reads on', async () => {
    const { monitor, scorer } = await monitored()
    let fails = 2
    scorer.before = () => (fails-- > 0 ? Promise.reject(new Error('no memory')) : Promise.resolve())
    const guard = new StreamGuard(monitor.begin('c'), 'q', { lagTokens: 1, lagMs: 2 })
    assert.equal((await passedOf(guard.pass(streamOf(['Hello ', FORBIDDEN])))).join(''), '')
    assert.equal((await guard.result).outcome, 'cut')
  })

  test('judges what passed when the consumer leaves or the source fails', async () => {
    const { monitor } = await monitored()
    const left = new StreamGuard(monitor.begin('left'), 'q', { lagTokens: 1, lagMs: 1 })
    for await (const delta of left.pass(streamOf(words(100)))) if (delta.startsWith('word3 ')) break
    const { outcome, reply, passed, verdict } = await left.result
    assert.deepEqual([outcome, passed, verdict?.exchange, left.signal.aborted], ['aborted', reply.length, 1, true])
    assert.ok(reply.endsWith('word3 '))
    const failing = new StreamGuard(monitor.begin('failing'), 'q')
    const source = (async function* () {
      yield 'Hello '
      yield 'there'
      await Promise.reject(new Error('upstream'))
    })()
    const got: string[] = []
    await assert.rejects(
      async () => {
        for await (const delta of failing.pass(source)) got.push(delta)
      },
      { message: 'upstream' },
    )
    assert.equal(got.join(''), 'Hello there')
    assert.deepEqual([(await failing.result).outcome, (await failing.result).reply], ['aborted', 'Hello there'])
  })

  test('has not finished where the consumer leaves before the last text that may pass', async () => {
    const { monitor } = await monitored()
    const guard = new StreamGuard(monitor.begin('c'), 'q')
    // Both wait until the source has ended, and may pass together.
    for await (const delta of guard.pass(streamOf(['Hello ', 'there']))) if (delta === 'Hello ') break
    const { outcome, reply, passed } = await guard.result
    assert.deepEqual([outcome, reply, passed, guard.signal.aborted], ['aborted', 'Hello ', 6, true])
  })

  test('works as a transform, cancels its source, and does not read ahead of a consumer that does not read', async () => {
    const { monitor } = await monitored()
    let produced = 0
    const source = new ReadableStream<string>({
      pull(controller) {
        produced++
        controller.enqueue('x'.repeat(10_000))
      },
    })
    const guard = new StreamGuard(monitor.begin('c'), 'q', { lagTokens: 1, lagMs: 1 })
    const reader = source.pipeThrough(guard.transform()).getReader()
    await reader.read()
    const before = produced
    for (let round = 0; round < 50; round++) await new Promise((resolve) => setImmediate(resolve))
    assert.ok(produced <= before + 60, `${String(produced)} chunks were read`)
    await reader.cancel()
    assert.equal((await guard.result).outcome, 'aborted')
  })

  test('cancels a silent source with its consumer', async () => {
    const { monitor } = await monitored()
    let isCancelled = false
    const source = new ReadableStream<string>({
      start: (controller) => controller.enqueue('Hello '),
      cancel: () => void (isCancelled = true),
    })
    const guard = new StreamGuard(monitor.begin('c'), 'q', { lagTokens: 1, lagMs: 1 })
    const reader = source.pipeThrough(guard.transform()).getReader()
    assert.equal((await reader.read()).value, 'Hello ')
    await reader.cancel()
    const { outcome, reply, verdict } = await guard.result
    assert.deepEqual([outcome, reply, verdict?.exchange, guard.signal.aborted, isCancelled], ['aborted', 'Hello ', 1, true, true])
  })

  test('with any detector, cuts where it would raise an alert; also in a conversation that is at the level alert', async () => {
    const detector = new ScriptedDetector(({ assistant }) => (assistant.includes(FORBIDDEN) ? 'alert' : 'calm'))
    const conversation = (await Monitor.load({ embedder: new FakeEmbedder(), detector })).begin('c')
    for (const round of [1, 2]) {
      const guard = new StreamGuard(conversation, 'q', { lagTokens: 1, lagMs: 1 })
      const passed = (await passedOf(guard.pass(streamOf(['Well. ', FORBIDDEN, ...words(50)])))).join('')
      const { outcome, verdict } = await guard.result
      assert.deepEqual([outcome, passed.includes(FORBIDDEN), verdict?.exchange, verdict?.alert], ['cut', false, round, round === 1])
    }
  })

  test('continues the conversation in its order, and reads with its history and rules', async () => {
    const { monitor, scorer } = await monitored()
    const conversation = monitor.begin('c', { rules: ['No refunds.'] })
    const first = conversation.addExchange({ user: 'hi', assistant: 'hello' })
    const guard = new StreamGuard(conversation, 'q', { lagTokens: 1, lagMs: 1, exchangeId: 'e2' })
    await passedOf(guard.pass(streamOf(['Well. '])))
    await first
    const reading = scorer.inputs.find(({ reply }) => reply === 'Well. ')!
    assert.deepEqual([reading.rules, reading.history, reading.user], [['No refunds.'], [{ user: 'hi', assistant: 'hello' }], 'q'])
    const { verdict } = await guard.result
    assert.deepEqual([verdict?.exchange, verdict?.exchangeId], [2, 'e2'])
  })

  test('checks its options by name, and reads one stream', async () => {
    const conversation = (await monitored()).monitor.begin('c')
    const wrong = (options: object, message: RegExp): void =>
      assert.throws(() => new StreamGuard(conversation, 'q', options), { code: 'INVALID_ARGUMENT', message })
    wrong({ lagTokens: 0 }, /^lagTokens/)
    wrong({ lagMs: 0.5 }, /^lagMs/)
    wrong({ maxLagMs: 100 }, /^maxLagMs/)
    wrong({ failClosed: 'yes' }, /^failClosed/)
    wrong({ lag: 1 }, /lag/)
    assert.throws(() => new StreamGuard({} as never, 'q'), { message: /^conversation must be a Conversation/ })
    const guard = new StreamGuard(conversation, 'q')
    await passedOf(guard.pass(streamOf(['a'])))
    await assert.rejects(passedOf(guard.pass(streamOf(['b']))), { code: 'INVALID_ARGUMENT', message: /another one/ })
  })
})
