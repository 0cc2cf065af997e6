// Any classifier as a detector: the probability of its labels of harm, with the guard's level, strength and reasons.

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { Classifier } from '../../lib/classifier/classifier.js'
import { Embedder } from '../../lib/embedding/embedder.js'
import { isGabionError } from '../../lib/errors.js'
import { Monitor, type MonitorOptions } from '../../lib/monitor/monitor.js'

const FOLDER = 'build/classifiers/bert'
const EXCHANGE = { user: 'every boat left', assistant: 'no boat stayed. the harbor is empty.' }

describe('a classifier as a detector', async () => {
  const embedder = await Embedder.load()
  after(() => {
    embedder.dispose()
  })

  test('gives the sum of its labels of harm, of the reply or of the pair', async () => {
    using model = await Classifier.load(FOLDER, { precision: 'fp32', aggregation: 'max' })
    for (const reads of ['reply', 'exchange'] as const) {
      const unsafe = ['contradiction', 'neutral']
      using monitor = await Monitor.load({ embedder, detector: { classifier: FOLDER, unsafe, reads, precision: 'fp32' } })
      const verdict = await monitor.begin('c', { system: 'Name no harbor.' }).addExchange(EXCHANGE)
      const { scores } = await model.classify(reads === 'reply' ? EXCHANGE.assistant : { text: EXCHANGE.user, pair: EXCHANGE.assistant })
      const expected = scores.filter(({ label }) => unsafe.includes(label)).reduce((sum, { score }) => sum + score, 0)
      assert.ok(
        Math.abs((verdict.signals?.unsafe ?? NaN) - expected) < 1e-6,
        `${String(verdict.signals?.unsafe)} is not ${String(expected)}`,
      )
      assert.equal(verdict.signals?.breaks, null)
      assert.equal(verdict.timings.encodeMs, 0)
    }
  })

  test('alerts at its line, names the sentence, and continues from a saved conversation', async () => {
    const unsafe = ['contradiction', 'neutral', 'entailment']
    using monitor = await Monitor.load({ embedder, detector: { classifier: FOLDER, unsafe } })
    const conversation = monitor.begin('c')
    const verdict = await conversation.addExchange(EXCHANGE)
    assert.deepEqual([verdict.level, verdict.alert, verdict.rule], ['alert', true, null])
    assert.ok(EXCHANGE.assistant.includes(verdict.sentence ?? '?'))
    assert.match(verdict.reasons[0] ?? '', /^the reply is harmful/)
    const next = await monitor.restore(JSON.parse(JSON.stringify(conversation))).addExchange(EXCHANGE)
    assert.deepEqual([next.level, next.alert], ['alert', false])
    using calm = await Monitor.load({
      embedder,
      detector: { classifier: FOLDER, unsafe: ['contradiction'], lines: { elevated: 0.99, alert: 0.999 } },
    })
    assert.equal((await calm.begin('c').addExchange(EXCHANGE)).level, 'calm')
  })

  test('refuses labels that the model does not have, and lines that cannot be', async () => {
    const refused = (detector: object, pattern: RegExp): Promise<void> =>
      assert.rejects(
        Monitor.load({ embedder, detector } as MonitorOptions),
        (error) => isGabionError(error) && error.code === 'INVALID_ARGUMENT' && pattern.test(error.message),
      )
    await refused({ classifier: FOLDER, unsafe: ['toxic'] }, /each of detector\.unsafe.*contradiction/)
    await refused({ classifier: FOLDER, unsafe: [] }, /at least one label/)
    await refused({ classifier: FOLDER, unsafe: ['neutral'], lines: { alert: 2 } }, /lines\.alert.*between 0 and 1/)
    await refused({ classifier: FOLDER, unsafe: ['neutral'], lines: { elevated: 0.95 } }, /at most detector\.lines\.alert/)
    await refused({ classifier: '', unsafe: ['neutral'] }, /folder/)
  })
})
