// Correlations, ranks and costs on cases worked out by hand.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { estimateCost, type CostAssumptions } from '../../lib/migration/cost.js'
import { latencyOf } from '../../lib/migration/comparison.js'
import { centeredKernelAlignment, pearson, ranks, spearman } from '../../lib/statistics/correlation.js'

describe('correlation', () => {
  test('of values by hand', () => {
    assert.equal(pearson([1, 2, 3], [2, 4, 6]), 1)
    assert.ok(Math.abs(pearson([1, 2, 3, 4], [1, 3, 2, 4]) - 0.8) < 1e-12)
    assert.ok(Number.isNaN(pearson([1, 1], [1, 2])))
    assert.deepEqual(Array.from(ranks([10, 30, 20, 20])), [1, 4, 2.5, 2.5])
    // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) is 0.82078…
    assert.ok(Math.abs(spearman([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) - 0.8207826816681233) < 1e-12)
  })

  test('of ranks does not change under a growing function', () => {
    const values = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 3, maxLength: 30 })
    fc.assert(
      fc.property(values, (a) => {
        const b = a.map((value, at) => value + (at % 3))
        const [plain, grown] = [spearman(a, b), spearman(a.map(Math.exp), b)]
        assert.ok(Object.is(plain, grown) || Math.abs(plain - grown) < 1e-9)
      }),
    )
  })

  test('of kernels is 1 for the same geometry', () => {
    const kernel = Float64Array.of(2, 1, 0, 1, 2, 1, 0, 1, 2)
    assert.ok(
      Math.abs(
        centeredKernelAlignment(
          kernel,
          kernel.map((value) => 5 * value + 1),
          3,
        ) - 1,
      ) < 1e-12,
    )
  })
})

test('latency is told by order statistics, and not at all for none', () => {
  assert.equal(latencyOf([]), null)
  assert.deepEqual(latencyOf(Array.from({ length: 101 }, (_, at) => at)), { texts: 101, p50: 50, p90: 90, p99: 99 })
})

describe('cost', () => {
  const assumptions: CostAssumptions = {
    textsPerDay: 1_000_000,
    tokensPerText: 50,
    pricePerMillionTokens: 0.1,
    machinePerMonth: 60,
    textsPerSecond: 100,
    peakFactor: 10,
    daysPerMonth: 30,
  }

  test('by hand', () => {
    // 1.5e9 tokens a month at 0.10 a million are 150; 116 texts a second at the peak are 2 machines.
    const found = estimateCost(assumptions)
    assert.deepEqual([found.tokensPerMonth, found.cloudPerMonth, found.machines, found.localPerMonth], [1.5e9, 150, 2, 120])
    assert.equal(found.savingPerMonth, 30)
    assert.equal(found.breakEvenTextsPerDay, 400_000)
  })

  test('at the break-even the first machine pays', () => {
    const positive = fc.double({ min: 0.01, max: 1000, noNaN: true })
    fc.assert(
      fc.property(positive, positive, (pricePerMillionTokens, machinePerMonth) => {
        const given = { ...assumptions, pricePerMillionTokens, machinePerMonth }
        const { breakEvenTextsPerDay: texts } = estimateCost(given)
        if (texts === null) return
        assert.ok(estimateCost({ ...given, textsPerDay: texts }).savingPerMonth >= -1e-6)
        if (texts > 1) assert.ok(estimateCost({ ...given, textsPerDay: texts - 1 }).savingPerMonth <= 1e-6)
      }),
    )
  })

  test('refuses what cannot be', () => {
    assert.equal(estimateCost({ ...assumptions, pricePerMillionTokens: 0 }).breakEvenTextsPerDay, null)
    assert.throws(() => estimateCost({ ...assumptions, textsPerSecond: 0 }), /textsPerSecond must be more than 0/)
    assert.throws(() => estimateCost({ ...assumptions, textsPerDay: -1 }), /textsPerDay must be 0 or more/)
  })
})
