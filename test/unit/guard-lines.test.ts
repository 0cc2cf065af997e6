// Lines from harmless conversations: budgets over all lines of a level together, against cases worked out by hand, and their file.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  formatCalibratedLines,
  linesFor,
  NOTHING_REACHED,
  parseCalibratedLines,
  withExchange,
  type ConversationExtremes,
} from '../../lib/detection/guard/lines.js'

const KEPT = { wavers: 0.3 }

/** Twenty conversations; the i-th reaches i hundredths of each measure, and a strength of 1 − i / 100. */
const TWENTY = Array.from({ length: 20 }, (_, index): ConversationExtremes => {
  const value = (index + 1) / 100
  return { breaks: value, unsafe: value, wavers: value, strength: 1 - value }
})

describe('lines of a guard', () => {
  test('keep the budget of a level over all its lines together', () => {
    const same = linesFor(TWENTY, { alert: 0.05, elevated: 0.2 }, KEPT)
    // The same conversations are the worst by every measure, so each line may lie above the whole budget.
    assert.equal(same.levels.alert.reached, 1)
    assert.equal(same.levels.elevated.reached, 4)
    assert.ok(same.lines.alert.breaks! > 0.19 && same.lines.alert.breaks! < 0.2)
    assert.ok(same.lines.elevated.wavers! > 0.16 && same.lines.elevated.wavers! < 0.17)
    // The strength line itself is not below it.
    assert.equal(same.lines.alert.strength, 1 - 0.19)

    // Breaks the other way round: one conversation above each line makes two.
    const crossed = TWENTY.map((one, index) => ({ ...one, breaks: (20 - index) / 100 }))
    const { levels, lines } = linesFor(crossed, { alert: 0.05, elevated: 0.1 }, KEPT)
    assert.equal(levels.alert.reached, 0)
    assert.ok(lines.alert.breaks! > 0.2 && lines.alert.unsafe! > 0.2 && lines.alert.strength === 1 - 0.2)
    assert.equal(levels.elevated.reached, 2)
  })

  test('say what too few conversations can promise', () => {
    const { levels, lines } = linesFor(TWENTY.slice(0, 10), { alert: 0.01, elevated: 0.01 }, KEPT)
    assert.equal(levels.alert.reached, 0)
    assert.ok(Math.abs(levels.alert.upperBound - (1 - 0.05 ** 0.1)) < 1e-9)
    assert.ok(lines.alert.breaks! > 0.1)
  })

  test('come from the highest probabilities, and from strengths that fell', () => {
    const signals = { breaks: 0.4, unsafe: null, wavers: 0.6, complies: null, pressure: 0.1 }
    const once = withExchange(NOTHING_REACHED, { signals, before: 1, after: 0.7 })
    assert.deepEqual(once, { breaks: 0.4, unsafe: 0, wavers: 0.6, strength: 0.7 })
    assert.deepEqual(withExchange(once, { signals: null, before: 0.7, after: 0.69 }), once)
  })

  test('are written and read for the same guard and precision only', () => {
    const identity = { guard: 'a1', precision: 'bf16' }
    const calibrated = { ...identity, source: 'x.jsonl', ...linesFor(TWENTY, { alert: 0.05, elevated: 0.2 }, KEPT) }
    const text = formatCalibratedLines(calibrated)
    assert.deepEqual(parseCalibratedLines(text, 'ours.json', identity), calibrated.lines)
    const read =
      (given: typeof identity, from = text) =>
      () =>
        parseCalibratedLines(from, 'ours.json', given)
    assert.throws(read({ ...identity, guard: 'b2' }), { code: 'ARTIFACT_INVALID', message: /calibrate again/ })
    assert.throws(read({ ...identity, precision: 'int8' }), { code: 'ARTIFACT_INVALID', message: /'int8'/ })
    assert.throws(read(identity, '{'), { code: 'ARTIFACT_INVALID', message: /^ours\.json/ })
    assert.throws(read(identity, text.replace('"alert"', '"other"')), { code: 'ARTIFACT_INVALID', message: /alert/ })
  })
})
