// The trainer's arithmetic: the fit, the folding, the measures, the splits, reading and adapting. Small made-up numbers.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { scoreExchange } from '../../lib/detection/erosion/head.js'
import { byConversation, highestStatistic, thresholdsFrom } from '../../lib/detection/training/conversation-scores.js'
import { readCorpus } from '../../lib/detection/fitting/corpus.js'
import { rowWeights, type EmbeddedExchange } from '../../lib/detection/training/exchanges.js'
import { adaptHead } from '../../lib/detection/training/few-shot.js'
import { featureRows, foldHead, learnScale } from '../../lib/detection/training/features.js'
import { pairsWithinGroups } from '../../lib/detection/training/group-pairs.js'
import { leaveOutPlan } from '../../lib/detection/training/leave-out.js'
import type { PreparedSets } from '../../lib/detection/training/prepare.js'
import { fitLogistic, logitsOf } from '../../lib/detection/fitting/logistic.js'
import { auroc, averagePrecision, calibration, rocCurve, withinGroups } from '../../lib/statistics/ranking.js'
import { Random } from '../../lib/statistics/random.js'
import { VARIANTS } from '../../lib/detection/training/recipe.js'
import { bootstrapInterval, dealFolds, splitGroups } from '../../lib/statistics/groups.js'
import { writtenExchanges } from '../../lab/templates.js'
import { fitHead, trainingVectors } from '../../lib/detection/training/train-head.js'

const D = 10

function unitVector(random: Random, lean: number): Float64Array {
  const values = Array.from({ length: D }, (_, i) => random.next() - 0.5 + (i === 0 ? lean : 0))
  const length = Math.hypot(...values)
  return Float64Array.from(values, (value) => value / length)
}

/** Exchanges whose unsafe replies lean along the first axis; the last axis is dead. */
function madeUp(count: number, seed: number, lean = 0.4): EmbeddedExchange[] {
  const random = new Random(seed)
  return Array.from({ length: count }, (_, i) => {
    const unsafe = i % 3 === 0
    const reply = unitVector(random, unsafe ? lean : -lean)
    reply[D - 1] = 0.01 + 1e-9 * random.next()
    const user = unitVector(random, 0)
    return {
      set: 'made-up',
      group: `g${String(i >> 1)}`,
      conversation: `c${String(i)}`,
      exchange: 1,
      label: unsafe ? 'unsafe' : 'safe',
      user: 'u',
      reply: 'r',
      userVector: user,
      replyVector: reply,
      replyWindows: [reply],
      flags: { opening: !unsafe && random.next() < 0.4, anywhere: random.next() < 0.3 },
    }
  })
}

describe('the fit', () => {
  test('ends where the gradient of the penalised loss is zero', () => {
    const random = new Random(2)
    const [rows, columns, c] = [300, 6, 0.05]
    const values = Float32Array.from({ length: rows * columns }, () => random.next() * 2 - 1)
    const targets = Array.from({ length: rows }, (_, row) => (values[row * columns]! + random.next() - 0.5 > 0 ? 1 : 0))
    const weights = Float64Array.from({ length: rows }, () => 2 * random.next())
    const prior = { weights: Float64Array.from({ length: columns }, (_, i) => 0.2 * i), intercept: 0 }
    const pairs = { higher: [1, 2, 3, 50], lower: [10, 20, 30, 50], weights: [4, 9, 1, 2] }
    for (const [given, compared] of [[undefined], [prior], [undefined, pairs], [prior, pairs]] as const) {
      const model = fitLogistic({
        features: { rows, columns, values },
        targets,
        weights,
        c,
        ...(given !== undefined && { prior: given }),
        ...(compared !== undefined && { pairs: compared }),
      })
      const logits = logitsOf({ rows, columns, values }, model.weights, model.intercept)
      const gradient = Array.from({ length: columns + 1 }, () => 0)
      for (let row = 0; row < rows; row++) {
        const pull = weights[row]! * (1 / (1 + Math.exp(-logits[row]!)) - targets[row]!)
        for (let i = 0; i < columns; i++) gradient[i]! += pull * values[row * columns + i]!
        gradient[columns]! += pull
      }
      for (let i = 0; i < columns; i++) gradient[i]! += (model.weights[i]! - (given?.weights[i] ?? 0)) / c
      for (const [index, weight] of (compared?.weights ?? []).entries()) {
        const [high, low] = [compared!.higher[index]!, compared!.lower[index]!]
        const pull = weight / (1 + Math.exp(logits[high]! - logits[low]!))
        for (let i = 0; i < columns; i++) gradient[i]! -= pull * (values[high * columns + i]! - values[low * columns + i]!)
      }
      for (const element of gradient) assert.ok(Math.abs(element) / rows < 2e-6, String(gradient))
    }
  })

  test('gives the same bits twice, and nearly the same from another start', () => {
    const exchanges = madeUp(120, 4)
    const weights = rowWeights(exchanges, { 'made-up': { unsafe: 0.5, safe: 0.5 } })
    const fit = { recipe: { ...VARIANTS.default, c: 0.01 }, dimensions: D }
    const one = fitHead(exchanges, weights, fit)
    assert.deepEqual(fitHead(exchanges, weights, fit), one)
    const other = fitHead(exchanges, weights, { ...fit, start: { weights: one.model.weights.map((w) => w + 0.1), intercept: 1 } })
    for (const [i, weight] of one.model.weights.entries()) assert.ok(Math.abs(weight - other.model.weights[i]!) < 1e-4)
  })

  for (const variant of ['default', 'noUser', 'reference', 'referenceNoUser'] as const) {
    test(`a folded head of ${variant} gives the logits of the unfolded one`, () => {
      const exchanges = madeUp(90, 6)
      const rows = exchanges.map(trainingVectors)
      const scale = learnScale(rows, VARIANTS[variant], D)
      const features = featureRows(rows, scale)
      const random = new Random(8)
      const weights = Float64Array.from({ length: features.columns }, () => random.next() - 0.5)
      const unfolded = logitsOf(features, weights, 0.7)
      const head = foldHead({ weights, intercept: 0.7 }, scale)
      for (const [row, { userVector, replyWindows, flags }] of exchanges.entries()) {
        assert.ok(Math.abs(scoreExchange(head, userVector, replyWindows, flags).logit - unfolded[row]!) < 1e-4)
      }
    })
  }

  test('a dead dimension is not blown up', () => {
    const { deviations } = learnScale(madeUp(200, 3).map(trainingVectors), VARIANTS.default, D)
    const living = deviations.slice(0, D - 1)
    assert.ok(deviations[D - 1]! > 0.1 * Math.min(...living), String(deviations[D - 1]))
  })
})

describe('measures', () => {
  const scored = fc.array(fc.record({ score: fc.integer({ min: 0, max: 6 }), label: fc.constantFrom(0, 1) }), {
    minLength: 2,
    maxLength: 60,
  })

  test('AUROC is the chance to rank a pair right', () => {
    fc.assert(
      fc.property(scored, (items) => {
        const pairs = items.flatMap((high) =>
          items.filter(({ label }) => high.label === 1 && label === 0).map((low) => Math.sign(high.score - low.score)),
        )
        const expected = pairs.reduce((sum: number, sign) => sum + (sign + 1) / 2, 0) / pairs.length
        const given = { scores: items.map(({ score }) => score), labels: items.map(({ label }) => label) }
        const found = auroc(given)
        if (pairs.length === 0) assert.ok(Number.isNaN(found))
        else assert.ok(Math.abs(found - expected) < 1e-12)
        const one = withinGroups(
          given,
          items.map(() => 'all'),
        )
        assert.ok(pairs.length === 0 ? one.pairs === 0 : Math.abs(one.area - expected) < 1e-12)
        assert.equal(
          withinGroups(
            given,
            items.map((_, i) => String(i)),
          ).pairs,
          0,
        )
      }),
    )
  })

  test('the area below the ROC curve is the AUROC', () => {
    fc.assert(
      fc.property(scored, (items) => {
        const given = { scores: items.map(({ score }) => score), labels: items.map(({ label }) => label) }
        const curve = rocCurve(given)
        if (Number.isNaN(auroc(given))) assert.deepEqual(curve, [])
        else {
          let area = 0
          let before = { falseAlarms: 0, recall: 0 }
          for (const point of curve) {
            area += ((point.falseAlarms - before.falseAlarms) * (point.recall + before.recall)) / 2
            before = point
          }
          assert.ok(Math.abs(area - auroc(given)) < 1e-12)
          assert.deepEqual([before.falseAlarms, before.recall], [1, 1])
        }
      }),
    )
    const long = rocCurve({ scores: Array.from({ length: 5000 }, (_, i) => i), labels: Array.from({ length: 5000 }, (_, i) => i % 2) })
    assert.ok(long.length <= 201 && long.at(-1)!.recall === 1)
  })

  test('average precision sums precision over the steps of recall', () => {
    assert.equal(averagePrecision({ scores: [3, 2, 1], labels: [1, 0, 1] }), 0.5 + 0.5 * (2 / 3))
    assert.equal(averagePrecision({ scores: [1, 1], labels: [1, 0] }), 0.5)
    assert.ok(Number.isNaN(averagePrecision({ scores: [1], labels: [0] })))
  })

  test('calibration error is the distance of score and share', () => {
    const { error, bins } = calibration({ scores: [0.95, 0.95, 0.05, 1], labels: [1, 0, 0, 1] })
    assert.ok(Math.abs(error - (Math.abs(2.9 - 2) + 0.05) / 4) < 1e-12)
    assert.equal(bins[9]!.items, 3)
  })

  test('a bootstrap draws whole groups', () => {
    const groups = ['a', 'a', 'a', 'b']
    const interval = bootstrapInterval(groups, (items) => items.length, { draws: 200 })
    assert.deepEqual(interval, [2, 6])
  })
})

describe('splits and weights', () => {
  test('no group is on both sides, and folds are even', () => {
    const groups = Array.from({ length: 101 }, (_, i) => `g${String(i % 37)}`)
    const { first, second } = splitGroups(groups, 0.6, 5)
    assert.deepEqual([first.size, second.size, [...first].filter((group) => second.has(group))], [22, 15, []])
    assert.deepEqual(splitGroups(groups, 0.6, 5).first, first)
    assert.notDeepEqual(splitGroups(groups, 0.6, 6).first, first)
    const sizes = [0, 1, 2, 3, 4].map((fold) => [...dealFolds(groups, 5, 1).values()].filter((value) => value === fold).length)
    assert.deepEqual(sizes.sort(), [7, 7, 7, 8, 8])
  })

  test('comparisons stay within a group, go from unsafe to safe, and weigh their share', () => {
    const random = new Random(6)
    const exchanges = Array.from({ length: 900 }, (_, i) => {
      const set = ['one', 'two', 'material', 'benign'][i % 4]!
      const unsafe = set !== 'benign' && random.next() < 0.4
      const [exchange] = madeUp(1, i)
      return {
        ...exchange!,
        set,
        group: `${set}/${random.below(set === 'one' ? 3 : 40)}`,
        label: unsafe ? ('unsafe' as const) : ('safe' as const),
        ...(set === 'material' && { material: true as const }),
      }
    })
    const { higher, lower, weights } = pairsWithinGroups(exchanges, 0.3)
    assert.deepEqual(pairsWithinGroups(exchanges, 0.3), { higher, lower, weights })
    const of = new Map<string, { pairs: Set<string>; weight: number }>()
    for (let pair = 0; pair < weights.length; pair++) {
      const [above, below] = [exchanges[higher[pair]!]!, exchanges[lower[pair]!]!]
      assert.deepEqual([above.group, above.label, below.label], [below.group, 'unsafe', 'safe'])
      const set = of.get(above.set) ?? { pairs: new Set<string>(), weight: 0 }
      set.pairs.add(`${higher[pair]} ${lower[pair]}`)
      set.weight += weights[pair]!
      of.set(above.set, set)
    }
    assert.deepEqual([...of.keys()].sort(), ['one', 'two'])
    assert.equal(of.get('one')!.pairs.size, 3 * 60)
    for (const { weight } of of.values()) assert.ok(Math.abs(weight - 0.3 * 900) < 1e-9)
    assert.equal(
      [...of.values()].reduce((sum, { pairs }) => sum + pairs.size, 0),
      weights.length,
    )
  })

  test('the mass of a class is spread over its rows', () => {
    const exchanges = madeUp(30, 1)
    const weights = rowWeights(exchanges, { 'made-up': { unsafe: 0.35, safe: 0.65 } })
    const mass = (label: string): number =>
      exchanges.reduce((sum, exchange, row) => sum + (exchange.label === label ? weights[row]! : 0), 0)
    assert.ok(Math.abs(mass('unsafe') / 30 - 0.35) < 1e-12)
    assert.ok(Math.abs(mass('safe') / 30 - 0.65) < 1e-12)
  })

  test('every set with both classes is left out once; a single one is measured on its held-out part', () => {
    const rows = (set: string, labels: readonly ('safe' | 'unsafe')[], more = {}): EmbeddedExchange[] =>
      labels.map((label, index) => ({ ...madeUp(1, index)[0]!, set, label, ...more }))
    const [one, two] = [rows('one', ['safe', 'unsafe']), rows('two', ['unsafe', 'safe'])]
    const material = rows('made', ['safe', 'unsafe'], { material: true })
    const plan = (training: EmbeddedExchange[], heldOut: EmbeddedExchange[], others = {}): ReturnType<typeof leaveOutPlan> =>
      leaveOutPlan({ training, heldOut, masses: {} } as unknown as PreparedSets, others)
    const several = plan([...material, ...one, ...two, ...rows('benign', ['safe', 'safe'])], one, {
      other: rows('other', ['safe', 'unsafe']),
    })
    assert.deepEqual([several.leaveOut, Object.keys(several.measured)], [['one', 'two'], ['other']])
    const single = plan([...material, ...one], rows('one', ['safe', 'unsafe', 'safe']))
    assert.deepEqual([single.leaveOut, single.measured.one?.length], [[], 3])
    assert.deepEqual(plan(one, rows('one', ['safe'])).measured, {})
  })

  test('templates are written out in full, the same every time', () => {
    const lists = {
      harmful_topics: ['arson', 'fraud'],
      everyday_topics: ['tea'],
      comply: ['Sure: {T}!', '{T}, step by step'],
      safe: ['no {T}'],
      questions: ['how to do {T}?', '{T}?'],
      service_user: ['a', 'b'],
      service_reply: ['c'],
    }
    const written = writtenExchanges(lists)
    assert.equal(written.length, 2 * 3 + 2 + 400)
    assert.deepEqual(
      written.slice(0, 3).map(({ reply, label, kind }) => [reply, label, kind]),
      [
        ['Sure: arson!', 'unsafe', 'compliance'],
        ['Arson, step by step', 'unsafe', 'compliance'],
        ['No arson', 'safe', 'refusal'],
      ],
    )
    assert.deepEqual(writtenExchanges(lists), written)
  })
})

describe('conversations', () => {
  test('keep the order of their exchanges', () => {
    const exchanges = [
      { conversation: 'a', exchange: 2 },
      { conversation: 'b', exchange: 1 },
      { conversation: 'a', exchange: 1 },
    ]
    assert.deepEqual(byConversation(exchanges, [1, 2, 3]), [
      { conversation: 'a', logits: [3, 1] },
      { conversation: 'b', logits: [2] },
    ])
  })

  test('thresholds keep their budget for every aggregate', () => {
    const random = new Random(31)
    const benign = Array.from({ length: 200 }, (_, i) => ({
      conversation: String(i),
      logits: Array.from({ length: 1 + random.below(6) }, () => random.next() * 4 - 3),
    }))
    const origin = { source: 'made up', embedder: { model: 'm', hash: '0', precision: 'fp32' } }
    const { levels, scale } = thresholdsFrom(benign, { elevated: 0.05, alert: 0.01 }, origin)
    for (const aggregate of ['max', 'ewma', 'decayedCusum'] as const) {
      const maxima = benign.map((conversation) => highestStatistic(conversation, scale, aggregate))
      for (const [level, most] of [
        ['elevated', 10],
        ['alert', 2],
      ] as const) {
        const { value, reached } = levels[aggregate][level]
        assert.equal(maxima.filter((highest) => highest >= value).length, reached)
        assert.ok(reached <= most)
      }
    }
    assert.throws(() => thresholdsFrom(benign.slice(0, 60), { elevated: 0.05, alert: 0.01 }, origin), {
      code: 'INVALID_ARGUMENT',
      message: /at least 100/,
    })
    assert.throws(() => thresholdsFrom(benign, { elevated: 0.05, alert: 0.1 }, origin), { code: 'INVALID_ARGUMENT' })
  })
})

describe('adapting', () => {
  const blank = {
    dimensions: D,
    reply: new Float64Array(D),
    user: new Float64Array(D),
    product: new Float64Array(D),
    flags: [0, 0] as [number, number],
    intercept: -1,
  }

  test('gains where the given conversations have something to teach, and says how much', () => {
    const { c, shipped, adapted, gain, head } = adaptHead(blank, madeUp(90, 12, 0.8))
    assert.equal(shipped, 0.5)
    assert.ok(adapted > 0.9 && gain[0] > 0.2 && c > 0, JSON.stringify({ adapted, gain, c }))
    assert.ok(head.reply[0]! > 0)
  })

  test('shows no gain where there is nothing to learn', () => {
    const { gain } = adaptHead(
      blank,
      madeUp(90, 13, 0).map((exchange) => ({ ...exchange, flags: { opening: false, anywhere: false } })),
    )
    assert.ok(gain[0] <= 0)
  })

  test('keeps the mean score of safe exchanges, so that thresholds keep their meaning', () => {
    const exchanges = madeUp(90, 12, 0.8)
    const { head } = adaptHead(blank, exchanges)
    const safe = exchanges.filter(({ label }) => label === 'safe')
    const mean =
      safe.reduce((sum, { userVector, replyWindows, flags }) => sum + scoreExchange(head, userVector, replyWindows, flags).logit, 0) /
      safe.length
    assert.ok(Math.abs(mean - -1) < 1e-9)
  })

  test('too few conversations are refused', () => {
    assert.throws(() => adaptHead(blank, madeUp(12, 1)), { code: 'INVALID_ARGUMENT', message: /got 8 safe and 4 unsafe/ })
  })
})

test('conversations are read in every form, and what cannot be read is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gabion-corpus-'))
  try {
    const file = join(folder, 'set.jsonl')
    const lines = [
      { id: 'a', group: 'g', label: 'unsafe', turns: [{ user: 'q', model: 'r' }] },
      {
        turns: [
          { role: 'system', content: 's' },
          { role: 'user', content: 'q1' },
          { role: 'user', content: 'q2' },
          { role: 'assistant', content: 'r' },
        ],
        label: 'safe',
      },
      {
        turns: [
          { user: 'q', assistant: 'r', label: 'safe' },
          { user: 'q', assistant: 'bad', label: 'unsafe' },
        ],
      },
    ]
    await writeFile(file, gzipSync(lines.map((line) => JSON.stringify(line)).join('\n')))
    const { conversations } = await readCorpus(file, 'set')
    assert.deepEqual(
      conversations.map(({ id, group, label, exchanges }) => [id, group, label, exchanges.map(({ user }) => user)]),
      [
        ['a', 'g', 'unsafe', ['q']],
        ['set-2', 'set-2', 'safe', ['q1\nq2']],
        ['set-3', 'set-3', 'unsafe', ['q', 'q']],
      ],
    )
    const broken: [string, RegExp][] = [
      ['{"turns": []}', /line 1: field 'turns'/],
      ['{"turns": [{"user": "q", "assistant": "r"}]}', /line 1: no label/],
      ['\n{"label": "good", "turns": [{"user": "q", "assistant": "r"}]}', /line 2: field 'label' must be/],
      ['{"label": "safe", "turns": [{"user": 1, "assistant": "r"}]}', /turns\[0\]\.user/],
      ['nothing', /line 1: not JSON/],
      ['', /no conversation/],
    ]
    for (const [text, message] of broken) {
      await writeFile(file, text)
      await assert.rejects(readCorpus(file, 'set'), { code: 'TRANSCRIPT_INVALID', message })
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})
