// A conversation without a model: what a detector gets to see of it, when texts are embedded, and what is saved.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MAX_HISTORY_LENGTH, MAX_SYSTEM_LENGTH } from '../../lib/detection/detector.js'
import type { Exchange } from '../../lib/monitor/conversation.js'
import { Monitor } from '../../lib/monitor/monitor.js'
import { FakeEmbedder } from '../../lib/testing/fake-embedder.js'
import { Witness } from './witness-detector.js'

/** Counts the texts that it embeds. */
class CountingEmbedder extends FakeEmbedder {
  readonly texts: string[] = []

  override embedBatch(...args: Parameters<FakeEmbedder['embedBatch']>): ReturnType<FakeEmbedder['embedBatch']> {
    this.texts.push(...args[0])
    return super.embedBatch(...args)
  }
}

const exchange = (number: number): Exchange => ({ user: `question ${String(number)}`, assistant: `answer ${String(number)}` })

describe('a detector sees', () => {
  test('the last three exchanges, in the order of the calls', async () => {
    const detector = new Witness()
    const conversation = (await Monitor.load({ embedder: new FakeEmbedder(), detector })).begin('c')
    await Promise.all([1, 2, 3, 4, 5].map((number) => conversation.addExchange(exchange(number))))
    assert.deepEqual(
      detector.seen.map(({ history }) => history),
      [[], [1], [1, 2], [1, 2, 3], [2, 3, 4]].map((numbers) => numbers.map(exchange)),
    )
  })

  test('the end of a long remembered text, and never half of a character', async () => {
    const detector = new Witness()
    const conversation = (await Monitor.load({ embedder: new FakeEmbedder(), detector })).begin('c')
    await conversation.addExchange({ user: `😀${'x'.repeat(MAX_HISTORY_LENGTH - 1)}`, assistant: `start${'y'.repeat(MAX_HISTORY_LENGTH)}` })
    await conversation.addExchange(exchange(2))
    const [first] = detector.seen[1]?.history ?? []
    assert.deepEqual(first, { user: 'x'.repeat(MAX_HISTORY_LENGTH - 1), assistant: 'y'.repeat(MAX_HISTORY_LENGTH) })
  })

  test('no exchange that failed', async () => {
    const detector = new Witness()
    const conversation = (await Monitor.load({ embedder: new FakeEmbedder(), detector })).begin('c')
    await conversation.addExchange(exchange(1))
    await assert.rejects(conversation.addExchange({ user: 'q', assistant: 'fail' }))
    await conversation.addExchange(exchange(2))
    assert.deepEqual(detector.seen[1]?.history, [exchange(1)])
  })

  test('the system prompt and the rules in force at the call', async () => {
    const detector = new Witness()
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector })
    const conversation = monitor.conversation('c', { system: 'Be brief.', rules: ['No refunds.', ' '] })
    const first = conversation.addExchange(exchange(1))
    monitor.conversation('c', { system: 'Be kind.' })
    await Promise.all([first, conversation.addExchange(exchange(2)), conversation.addExchange(exchange(3), { system: null, rules: [] })])
    await monitor.conversation('c').addExchange(exchange(4))
    assert.deepEqual(
      detector.seen.map(({ system, rules }) => [system, rules]),
      [
        ['Be brief.', ['No refunds.']],
        ['Be kind.', ['No refunds.']],
        [null, []],
        [null, []],
      ],
    )
  })

  test('the beginning of an endless system prompt', async () => {
    const detector = new Witness()
    await (
      await Monitor.load({ embedder: new FakeEmbedder(), detector })
    )
      .begin('c', { system: 'x'.repeat(MAX_SYSTEM_LENGTH + 5) })
      .addExchange(exchange(1))
    assert.equal(detector.seen[0]?.system?.length, MAX_SYSTEM_LENGTH)
  })

  test('nothing of instructions that are none', async () => {
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector: new Witness() })
    assert.throws(() => monitor.begin('c', { system: 5 as never }), { code: 'INVALID_ARGUMENT', message: /^system must be a string/ })
    assert.throws(() => monitor.begin('c', { rules: 'none' as never }), { code: 'INVALID_ARGUMENT', message: /^rules must be a list/ })
    assert.throws(() => monitor.begin('c', { prompt: 'x' } as never), { code: 'INVALID_ARGUMENT', message: /prompt/ })
    await assert.rejects(monitor.begin('c').addExchange(exchange(1), { rules: [1 as never] }), { message: /^rules\[0\] must be a string/ })
  })
})

describe('texts are embedded', () => {
  const embeddedBy = async (options: ConstructorParameters<typeof Witness>[0]): Promise<string[]> => {
    const embedder = new CountingEmbedder()
    await (await Monitor.load({ embedder, detector: new Witness(options) })).begin('c').addExchange(exchange(1))
    return embedder.texts
  }

  test('never for a detector that does not ask', async () => {
    assert.deepEqual(await embeddedBy({}), [])
  })

  test('once for one that asks twice, and its own texts with them', async () => {
    assert.deepEqual(await embeddedBy({ asks: true }), ['question 1', 'answer 1', 'a rule'])
  })

  test('ahead for one that says so', async () => {
    assert.deepEqual(await embeddedBy({ embedsAhead: true }), ['question 1', 'answer 1'])
  })
})

describe('a saved conversation', () => {
  test('continues with its instructions and its history', async () => {
    const detector = new Witness()
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector })
    const conversation = monitor.begin('c', { system: 'Be brief.', rules: ['No refunds.'] })
    await conversation.addExchange(exchange(1))
    const saved: unknown = JSON.parse(JSON.stringify(conversation))
    await monitor.restore(saved).addExchange(exchange(2))
    await monitor.restore(saved, { system: 'Be kind.' }).addExchange(exchange(2))
    const [, same, changed] = detector.seen
    assert.deepEqual(same, { ...exchange(2), system: 'Be brief.', rules: ['No refunds.'], history: [exchange(1)] })
    assert.equal(changed?.system, 'Be kind.')
  })

  test('of the release before continues with its state', async () => {
    const detector = new Witness()
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector })
    const { name, fingerprint } = detector
    const old = { format: 'gabion-conversation', version: 2, id: 'c', detector: { name, fingerprint }, exchanges: 7, state: 7 }
    const conversation = monitor.restore(old)
    assert.equal((await conversation.addExchange(exchange(8))).exchange, 8)
    assert.deepEqual(detector.seen, [{ ...exchange(8), system: null, rules: [], history: [] }])
    assert.equal(conversation.toJSON().state, 8)
  })

  test('of a newer release is refused by name', async () => {
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector: new Witness() })
    const saved = { ...monitor.begin('c').toJSON(), version: 4 }
    assert.throws(() => monitor.restore(saved), {
      code: 'ARTIFACT_INVALID',
      message: /'version' .* got 4: it was saved by a newer release/,
    })
  })

  test('of other settings continues if the detector adopts its state', async () => {
    const load = (fingerprint: string): Promise<Monitor> =>
      Monitor.load({ embedder: new FakeEmbedder(), detector: new Witness({ fingerprint }) })
    const conversation = (await load('one')).begin('c')
    await conversation.addExchange(exchange(1))
    const saved = conversation.toJSON()
    const other = await load('two')
    assert.equal(other.restore(saved).toJSON().state, 1)
    const stranger = { ...saved, detector: { name: 'stranger', fingerprint: 'three' } }
    assert.throws(() => other.restore(stranger), { code: 'ARTIFACT_INVALID', message: /'detector'/ })
  })
})
