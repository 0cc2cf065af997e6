// The erosion detector at run time: the head, the level with its hysteresis, the refusal flags, the explanation.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { EmbeddedExchange, EmbeddedText } from '../../lib/detection/detector.js'
import { parseArtifact, formatArtifact, type ErosionArtifact } from '../../lib/detection/erosion/artifact.js'
import { readArtifact } from '../../lib/detection/erosion/artifact-file.js'
import { ErosionDetector, type ErosionState, type ErosionVerdict } from '../../lib/detection/erosion/erosion.js'
import { scoreExchange, textVector, type HeadWeights } from '../../lib/detection/erosion/head.js'
import { checkErosionState, EROSION_START, nextLevel, type Levels } from '../../lib/detection/erosion/level.js'
import { ENGLISH_REFUSALS, RefusalReader } from '../../lib/detection/erosion/lexicon.js'
import { LiveCalibration } from '../../lib/detection/erosion/live-calibration.js'
import { EROSION_ARTIFACTS } from '../../lib/detection/erosion/load-erosion.js'
import { thresholdFor } from '../../lib/detection/erosion/thresholds.js'
import { lowerBound, upperBound } from '../../lib/statistics/binomial.js'
import { Random } from '../../lib/statistics/random.js'

let artifact: ErosionArtifact
before(async () => {
  artifact = await readArtifact(EROSION_ARTIFACTS.default)
})

const QUIET = { opening: false, anywhere: false }

function unitVector(random: Random, dimensions: number): Float32Array {
  const values = Array.from({ length: dimensions }, () => random.next() - 0.5)
  const length = Math.hypot(...values)
  return Float32Array.from(values, (value) => value / length)
}

function smallHead(random: Random, dimensions: number): HeadWeights {
  const part = (): Float64Array => Float64Array.from({ length: dimensions }, () => 4 * random.next() - 2)
  return { dimensions, reply: part(), user: part(), product: part(), flags: [-1.5, -0.5], intercept: 0.25 }
}

/** Real sentence vectors, as the Python package gives them. */
function realVectors(): Float32Array[] {
  const bytes = readFileSync(new URL('../fixtures/vectors.golden.f32', import.meta.url))
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
  return Array.from({ length: values.length / 384 }, (_, i) => values.subarray(i * 384, (i + 1) * 384))
}

function textOf(text: string, ...vectors: Float32Array[]): EmbeddedText {
  const step = Math.floor(text.length / Math.max(1, vectors.length))
  return { text, windows: vectors.map((vector, i) => ({ vector, projected: null, start: i * step, end: (i + 1) * step })) }
}

/** Exchanges over real vectors; some replies have several windows. */
function someExchanges(count: number, seed = 1): EmbeddedExchange[] {
  const random = new Random(seed)
  const vectors = realVectors()
  return Array.from({ length: count }, () => ({
    user: textOf('a question of some length', random.pick(vectors)),
    assistant: textOf('a reply of some length', ...Array.from({ length: 1 + random.below(3) }, () => random.pick(vectors))),
  }))
}

function judge(
  detector: ErosionDetector,
  exchanges: readonly EmbeddedExchange[],
  from: ErosionState = detector.start(),
): { verdicts: ErosionVerdict[]; state: ErosionState } {
  const verdicts: ErosionVerdict[] = []
  let state = from
  for (const exchange of exchanges) {
    const judged = detector.judgeVectors(state, exchange)
    verdicts.push(judged.verdict)
    state = judged.state
  }
  return { verdicts, state }
}

describe('the head', () => {
  test('scores the worst window, as one by one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), fc.integer({ min: 1, max: 6 }), fc.boolean(), (seed, count, refused) => {
        const random = new Random(seed)
        const head = smallHead(random, 12)
        const user = unitVector(random, 12)
        const windows = Array.from({ length: count }, () => unitVector(random, 12))
        const flags = { opening: refused, anywhere: true }
        const one = windows.map((window) => scoreExchange(head, user, [window], flags).logit)
        const { logit, window } = scoreExchange(head, user, windows, flags)
        assert.ok(Math.abs(logit - Math.max(...one)) < 1e-12)
        assert.equal(window, one.indexOf(Math.max(...one)))
      }),
    )
  })

  test('contributions sum to the logit', () => {
    for (const { verdicts } of [judge(new ErosionDetector({ artifact }), someExchanges(50))]) {
      for (const { contributions, logit } of verdicts) {
        assert.ok(contributions !== null)
        const sum = Object.values(contributions as unknown as Record<string, number>).reduce((total, part) => total + part, 0)
        assert.ok(Math.abs(sum - logit) < 1e-5, `${String(sum)} is not ${String(logit)}`)
      }
    }
  })

  test('a text vector is the unit mean of its windows, zeros without any', () => {
    const random = new Random(5)
    const [one, two] = [unitVector(random, 8), unitVector(random, 8)]
    assert.equal(textVector([one], 8), one)
    const mean = Array.from(textVector([one, two], 8))
    assert.ok(Math.abs(Math.hypot(...mean) - 1) < 1e-12)
    assert.ok(Math.abs(mean[0]! / mean[1]! - (one[0]! + two[0]!) / (one[1]! + two[1]!)) < 1e-6)
    assert.deepEqual(Array.from(textVector([], 3)), [0, 0, 0])
  })

  for (const variant of ['default', 'noUser', 'reference', 'referenceNoUser'] as const) {
    test(`vectors off by a cosine of 0.9999 move a logit of ${variant} by 0.04 at most, 99 times of 100`, async () => {
      const { head } = await readArtifact(EROSION_ARTIFACTS[variant])
      const random = new Random(9)
      const vectors = realVectors()
      const moves = Array.from({ length: 2000 }, () => {
        const [user, reply] = [random.pick(vectors), random.pick(vectors)]
        const exact = scoreExchange(head, user, [reply], QUIET).logit
        return Math.abs(scoreExchange(head, shaken(user, random), [shaken(reply, random)], QUIET).logit - exact)
      }).sort((a, b) => a - b)
      assert.ok(moves[1980]! <= 0.04, `the 99 % point is ${String(moves[1980])}`)
      assert.ok(moves[1980]! > 0.001, 'the noise must be felt at all')
    })
  }
})

/** The vector turned by noise in every direction, dead ones too, to a cosine of 0.9999. */
function shaken(vector: Float32Array, random: Random): Float64Array {
  const gauss = (): number => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
  const noise = Float64Array.from(vector, gauss)
  const along = noise.reduce((sum, value, i) => sum + value * vector[i]!, 0)
  const aside = noise.map((value, i) => value - along * vector[i]!)
  const size = Math.hypot(...aside)
  const angle = Math.acos(0.9999)
  return aside.map((value, i) => Math.cos(angle) * vector[i]! + (Math.sin(angle) * value) / size)
}

describe('the refusal flags', () => {
  const reader = new RefusalReader(ENGLISH_REFUSALS)
  test('know an opening from the rest, typographic apostrophes and word boundaries', () => {
    const cases: [string, boolean, boolean][] = [
      ['I\u2019m sorry, but no.', true, true],
      ["I CAN'T do that", true, true],
      ['Scanning it is unethically fine', false, false],
      [`${'All is well. '.repeat(18)}I cannot go on.`, false, true],
      [`${'x'.repeat(215)} as an ai`, false, true],
      ['Sure, here you go.', false, false],
      ['We apologise', false, false],
      ['', false, false],
    ]
    for (const [text, opening, anywhere] of cases) assert.deepEqual(reader.read(text), { opening, anywhere }, text.slice(0, 30))
  })

  test('another language is a list of phrases', () => {
    const german = new RefusalReader({ language: 'de', opening: 100, patterns: ['tut mir leid', 'kann ich (?:dir|ihnen) nicht helfen'] })
    assert.deepEqual(german.read('Es tut mir leid.'), { opening: true, anywhere: true })
    assert.deepEqual(german.read('Übertut mir leid'), { opening: false, anywhere: false })
  })

  test('a lexicon that cannot be used is refused', () => {
    const wrong = [{ patterns: [] }, { patterns: ['('] }, { opening: 0 }, { language: '' }]
    for (const change of wrong) assert.throws(() => new RefusalReader({ ...ENGLISH_REFUSALS, ...change }), { code: 'ARTIFACT_INVALID' })
  })
})

describe('the level', () => {
  const scale = { median: 0, deviation: 1, p90: 1 }
  const levels: Levels = { aggregate: 'max', elevated: 2, alert: 3 }
  function trace(logits: readonly number[], with_: Levels = levels): string {
    let state = EROSION_START
    return logits
      .map((logit) => {
        const step = nextLevel(state, logit, scale, with_)
        state = step.state
        return `${step.state.level.charAt(0)}${step.raised ? '!' : ''}`
      })
      .join(' ')
  }

  test('rises at once and falls after two calm exchanges in a row', () => {
    assert.equal(trace([0, 2, 0, 0]), 'c e e c')
    assert.equal(trace([0, 3, 0, 0, 3]), 'c a! a c a!')
    assert.equal(trace([2, 3, 4, 3]), 'e a! a a')
    assert.equal(trace([3, 0, 1.8, 0, 0]), 'a! a a a c')
    assert.equal(trace([3, 2.5, 2.5, 0, 0]), 'a! a a a c')
    assert.equal(trace([2, 1.74, 1.74]), 'e e c')
    assert.equal(trace([2, 1.75, 1.75]), 'e e e')
  })

  test('a score that only just reaches a line has reached it', () => {
    assert.equal(trace([1.999999, 2, 2.999999, 3]), 'c e e a!')
  })

  test('ewma halves the past and decayedCusum forgets it', () => {
    const state = [4, 0, 0].reduce((before, logit) => nextLevel(before, logit, scale, levels).state, EROSION_START)
    assert.deepEqual([state.ewma, state.decayedCusum], [0.5, 0])
    assert.equal(trace([3, 3, 3], { ...levels, aggregate: 'ewma' }), 'c e e')
    assert.equal(trace([3, 3, 3], { ...levels, aggregate: 'decayedCusum' }), 'e a! a')
  })
})

describe('the detector', () => {
  test('a score depends on no later exchange', () => {
    const detector = new ErosionDetector({ artifact })
    const exchanges = someExchanges(20)
    const { verdicts } = judge(detector, exchanges)
    for (const length of [1, 7, 19]) assert.deepEqual(judge(detector, exchanges.slice(0, length)).verdicts, verdicts.slice(0, length))
  })

  test('a state that went through JSON goes on the same, stays apart from its copy, and is small', () => {
    const detector = new ErosionDetector({ artifact, aggregate: 'ewma' })
    const exchanges = someExchanges(40)
    const { state } = judge(detector, exchanges.slice(0, 25))
    const text = JSON.stringify(state)
    assert.ok(text.length < 256, `${String(text.length)} bytes`)
    const on = judge(detector, exchanges.slice(25), state)
    assert.deepEqual(judge(detector, exchanges.slice(25), detector.checkState(JSON.parse(text))), on)
    judge(detector, someExchanges(5, 99), state)
    assert.equal(JSON.stringify(state), text)
  })

  test('the state stays small however large the numbers', () => {
    let state = EROSION_START
    for (let exchange = 0; exchange < 100_000; exchange++)
      state = nextLevel(state, 40 * Math.sin(exchange) - 41.123456789, artifact.thresholds.scale, {
        aggregate: 'max',
        elevated: 0,
        alert: 1,
      }).state
    assert.ok(JSON.stringify(state).length < 256)
  })

  test('broken states are refused by field', () => {
    const detector = new ErosionDetector({ artifact })
    const broken: [object | null, RegExp][] = [
      [null, /erosion state/],
      [{ ...EROSION_START, last: NaN }, /last/],
      [{ ...EROSION_START, level: 'panic' }, /level/],
      [{ ...EROSION_START, exchanges: 1.5 }, /exchanges/],
      [{ ...EROSION_START, highestExchange: 3 }, /highestExchange/],
    ]
    for (const [state, message] of broken) assert.throws(() => detector.checkState(state), { code: 'ARTIFACT_INVALID', message })
  })

  test('names the winning window and its place', () => {
    const detector = new ErosionDetector({ artifact })
    const exchanges = someExchanges(30)
    for (const [index, { window, logit }] of judge(detector, exchanges).verdicts.entries()) {
      const { user, assistant } = exchanges[index]!
      const alone = assistant.windows.map(
        (one) => judge(detector, [{ user, assistant: { ...assistant, windows: [one] } }]).verdicts[0]!.logit,
      )
      assert.equal(window.count, assistant.windows.length)
      assert.equal(Math.max(...alone), logit)
      assert.deepEqual([window.start, window.end], [assistant.windows[window.index]!.start, assistant.windows[window.index]!.end])
      assert.equal(alone[window.index], logit)
    }
  })

  test('an empty reply is at the benign median and raises nothing', () => {
    const always = {
      ...artifact.thresholds,
      levels: {
        ...artifact.thresholds.levels,
        max: { ...artifact.thresholds.levels.max, alert: { ...artifact.thresholds.levels.max.alert, value: -99 } },
      },
    }
    const detector = new ErosionDetector({ artifact, thresholds: always })
    const { verdicts } = judge(detector, [{ user: textOf('hello', realVectors()[0]!), assistant: textOf('') }])
    assert.deepEqual([verdicts[0]!.empty, verdicts[0]!.alert, verdicts[0]!.contributions], [true, false, null])
    assert.ok(Math.abs(verdicts[0]!.logit - artifact.thresholds.scale.median) < 1e-6)
  })

  test('an empty user text is scored all the same', () => {
    const detector = new ErosionDetector({ artifact })
    const reply = textOf('a reply', realVectors()[3]!)
    const { verdicts } = judge(detector, [{ user: textOf(''), assistant: reply }])
    assert.equal(verdicts[0]!.contributions?.user, 0)
    assert.equal(verdicts[0]!.empty, false)
  })

  test('thresholds of another precision are refused, another model too', () => {
    const detector = new ErosionDetector({ artifact })
    const info = {
      model: artifact.embedder.model,
      modelHash: artifact.embedder.hash,
      precision: artifact.embedder.precision,
      dimensions: 384,
    }
    detector.checkEmbedder(info)
    assert.throws(() => detector.checkEmbedder({ ...info, precision: 'int8' }), {
      code: 'ARTIFACT_INVALID',
      message: /calibrate --precision int8/,
    })
    assert.throws(() => detector.checkEmbedder({ ...info, modelHash: '00' }), { code: 'ARTIFACT_INVALID' })
    assert.throws(() => detector.checkEmbedder({ ...info, model: 'other' }), { code: 'ARTIFACT_INVALID', message: /train --model other/ })
  })

  test('another head, other thresholds or another aggregate have another fingerprint', async () => {
    const others = [
      new ErosionDetector({ artifact, aggregate: 'ewma' }),
      new ErosionDetector({ artifact, thresholds: { ...artifact.thresholds, source: 'elsewhere' } }),
      new ErosionDetector({ artifact: await readArtifact(EROSION_ARTIFACTS.noUser) }),
    ]
    const prints = [new ErosionDetector({ artifact }), new ErosionDetector({ artifact }), ...others].map(({ fingerprint }) => fingerprint)
    assert.equal(prints[0], prints[1])
    assert.equal(new Set(prints).size, 4)
  })
})

describe('the artifact', () => {
  test('survives its file', () => {
    const text = formatArtifact(artifact)
    assert.equal(formatArtifact(parseArtifact(text, 'memory')), text)
  })

  test('is read in its first version too', () => {
    const text = formatArtifact(artifact)
    const first = text.replace('"version": 2', '"version": 1').replace('"p90":', '"ninth":').replace('"decayedCusum":', '"dcusum":')
    assert.notEqual(first, text)
    assert.equal(formatArtifact(parseArtifact(first.replaceAll('"license":', '"licence":'), 'memory')), text)
    const { decayedCusum, ...state } = EROSION_START
    assert.deepEqual(checkErosionState({ ...state, dcusum: decayedCusum }), EROSION_START)
  })

  test('is refused by field when broken', () => {
    const root = JSON.parse(formatArtifact(artifact)) as Record<string, Record<string, unknown>>
    const broken: [(fields: typeof root) => void, RegExp][] = [
      [(fields) => (fields.format = 'x' as never), /format/],
      [(fields) => (fields.version = 3 as never), /version/],
      [(fields) => (fields.head!.reply = 'AAAA'), /head\.reply/],
      [(fields) => (fields.head!.intercept = null), /head\.intercept/],
      [(fields) => ((fields.thresholds!.scale as Record<string, unknown>).deviation = 0), /thresholds\.scale\.deviation/],
      [(fields) => delete fields.anchors, /anchors/],
      [(fields) => (fields.sets = [{}] as never), /sets\[0\]\.name/],
    ]
    for (const [change, message] of broken) {
      const fields = structuredClone(root)
      change(fields)
      assert.throws(() => parseArtifact(JSON.stringify(fields), 'a.json'), { code: 'ARTIFACT_INVALID', message })
    }
    assert.throws(() => parseArtifact('[', 'a.json'), { code: 'ARTIFACT_INVALID', message: /a\.json/ })
  })
})

describe('thresholds', () => {
  test('let at most the budget reach them, and no threshold lower would', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 20, maxLength: 300 }),
        fc.constantFrom(0.05, 0.1, 0.34),
        (maxima, budget) => {
          const { value, reached } = thresholdFor(maxima, budget)
          const reaching = (line: number): number => maxima.filter((highest) => highest >= line).length
          assert.equal(reaching(value), reached)
          assert.ok(reached <= Math.floor(budget * maxima.length + 1e-9))
          const below = Math.max(...maxima.filter((highest) => highest < value))
          assert.ok(reaching(below) > Math.floor(budget * maxima.length + 1e-9))
        },
      ),
    )
  })

  test('ties fall to the side without alarms', () => {
    const { value, reached } = thresholdFor(
      Array.from({ length: 100 }, (_, i) => (i < 10 ? 7 : 0)),
      0.05,
    )
    assert.ok(value > 7)
    assert.equal(reached, 0)
  })

  test('too few conversations are refused', () => {
    const scores = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
    assert.throws(() => thresholdFor(scores(99), 0.01), { code: 'INVALID_ARGUMENT', message: /at least 100 .* got 99/ })
    assert.throws(() => thresholdFor(scores(19), 0.05), { code: 'INVALID_ARGUMENT', message: /at least 20/ })
    assert.equal(thresholdFor(scores(100), 0.01).reached, 1)
    assert.equal(thresholdFor(scores(20), 0.05).reached, 1)
  })

  test('the upper bound is that of Clopper and Pearson', () => {
    // Closed form for no hit: 1 - 0.05^(1/n); for one hit of two: sqrt(1 - 0.05)
    assert.ok(Math.abs(upperBound(0, 100) - (1 - 0.05 ** 0.01)) < 1e-9)
    assert.ok(Math.abs(upperBound(1, 2) - Math.sqrt(0.95)) < 1e-9)
    assert.equal(upperBound(3, 3), 1)
    assert.ok(Math.abs(lowerBound(100, 100) - 0.05 ** 0.01) < 1e-9)
    assert.equal(lowerBound(0, 9), 0)
  })

  test('that follow traffic move within their bounds and go back', () => {
    const base = artifact.thresholds
    const live = new LiveCalibration(base, 'max', { window: 500, maxRise: 0.5, maxFall: 1 })
    for (let i = 0; i < 99; i++) live.add(50)
    assert.deepEqual(live.thresholds(), base)
    for (let i = 0; i < 400; i++) live.add(50)
    const { alert, elevated } = live.thresholds().levels.max
    assert.ok(Math.abs(alert.value - (base.levels.max.alert.value + 0.5 * base.scale.deviation)) < 1e-9)
    assert.ok(Math.abs(elevated.value - (base.levels.max.elevated.value + 0.5 * base.scale.deviation)) < 1e-9)
    for (let i = 0; i < 600; i++) live.add(-50)
    assert.equal(live.conversations, 500)
    assert.ok(Math.abs(live.thresholds().levels.max.alert.value - (base.levels.max.alert.value - base.scale.deviation)) < 1e-9)
    live.revert()
    assert.deepEqual(live.thresholds(), base)
  })

  test('that follow traffic survive their file, say when a bound holds them, and when the traffic looks fed', () => {
    const base = artifact.thresholds
    const live = new LiveCalibration(base)
    const { alert } = base.levels.max
    // One conversation of a hundred just reaches the alert line: what a budget of 1 % allows.
    for (let i = 0; i < 1000; i++) live.add(i % 100 === 0 ? alert.value + 0.001 : alert.value - 3 * (1 + (i % 7)))
    assert.deepEqual([live.watch().reached, live.watch().suspicious], [10, false])
    for (let i = 0; i < 60; i++) live.add(alert.value + 5)
    const watch = live.watch()
    assert.equal(watch.suspicious, true)
    assert.ok(watch.held.includes('alert'))
    assert.ok(live.thresholds().levels.max.alert.value <= alert.value + 0.5 * base.scale.deviation + 1e-12)
    const back = LiveCalibration.parse(JSON.stringify(live), 'traffic.json')
    assert.deepEqual(back.thresholds(), live.thresholds())
    assert.throws(() => LiveCalibration.parse('{"base": {}}', 'traffic.json'), { code: 'ARTIFACT_INVALID', message: /traffic\.json/ })
    const text = JSON.stringify({ ...live.toJSON(), maxima: [1, null] })
    assert.throws(() => LiveCalibration.parse(text, 'traffic.json'), { code: 'ARTIFACT_INVALID', message: /maxima/ })
  })
})
