import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { explainFailure } from '../../lib/cli/failure.js'
import { wantsColor } from '../../lib/cli/output.js'
import { formatMs } from '../../lib/cli/wording.js'
import { quantile } from '../../lib/statistics/quantile.js'
import { GabionError } from '../../lib/errors.js'

describe('colours', () => {
  const terminal = { isTTY: true }
  const pipe = { isTTY: false }

  test('only a terminal gets them, and not a dumb one', () => {
    assert.equal(wantsColor(terminal, {}), true)
    assert.equal(wantsColor(terminal, { TERM: 'dumb' }), false)
    assert.equal(wantsColor(pipe, {}), false)
    assert.equal(wantsColor(pipe, { CI: 'true' }), false)
    // What Node gives for a pipe has no such field.
    assert.equal(wantsColor({}, { CI: 'true' }), false)
  })

  test('NO_COLOR and FORCE_COLOR decide, the former first; empty they say nothing', () => {
    assert.equal(wantsColor(terminal, { NO_COLOR: '1' }), false)
    assert.equal(wantsColor(terminal, { NO_COLOR: '' }), true)
    assert.equal(wantsColor(pipe, { FORCE_COLOR: '1' }), true)
    assert.equal(wantsColor(pipe, { FORCE_COLOR: '' }), false)
    assert.equal(wantsColor(terminal, { FORCE_COLOR: '0' }), false)
    assert.equal(wantsColor(pipe, { FORCE_COLOR: '1', NO_COLOR: '1' }), false)
  })
})

describe('failures', () => {
  test('a coded error keeps its code and decides the exit code', () => {
    assert.deepEqual(explainFailure(new GabionError('TRANSCRIPT_INVALID', 'a.json: line 3')), {
      exitCode: 2,
      message: 'error: TRANSCRIPT_INVALID: a.json: line 3',
    })
    assert.equal(explainFailure(new GabionError('RUNTIME_MISSING', 'x')).exitCode, 1)
  })

  test('a file error is wrong input and told in words', () => {
    const error = Object.assign(new Error('ENOENT: no such file or directory, open'), { code: 'ENOENT', path: 'texts.txt' })
    assert.deepEqual(explainFailure(error), { exitCode: 2, message: 'error: INVALID_ARGUMENT: texts.txt: no such file or folder' })
  })

  test('anything else is a fault of ours', () => {
    assert.deepEqual(explainFailure(new TypeError('x is not a function')), { exitCode: 1, message: 'error: INTERNAL: x is not a function' })
    assert.deepEqual(explainFailure('text'), { exitCode: 1, message: 'error: INTERNAL: text' })
  })
})

describe('quantiles', () => {
  test('interpolate between order statistics', () => {
    assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5)
    assert.equal(quantile([10, 20, 30], 0.9), 28)
    assert.equal(quantile([7], 0.99), 7)
    assert.ok(Number.isNaN(quantile([], 0.5)))
  })

  test('lie between the least and the largest value and grow with q', () => {
    const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1 })
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (all, p, q) => {
        const [low, high] = [quantile(all, Math.min(p, q)), quantile(all, Math.max(p, q))]
        assert.ok(Math.min(...all) <= low && low <= high + 1e-9 && high <= Math.max(...all))
      }),
    )
  })

  test('are shown with a unit that fits', () => {
    assert.deepEqual([0.0042, 0.042, 0.42, 4.2, 42, 420].map(formatMs), ['4.2 µs', '42 µs', '0.42 ms', '4.20 ms', '42.0 ms', '420 ms'])
  })
})
