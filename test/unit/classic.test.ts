// The classic detector: cases worked out by hand (test/fixtures/classic-golden.md), and what must hold for every conversation.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  CLASSIC_PRESETS,
  ClassicDetector,
  type ClassicDetectorOptions,
  type ClassicPreset,
  type ClassicState,
  type ClassicVerdict,
} from '../../lib/detection/classic.js'
import type { EmbeddedExchange, EmbeddedText } from '../../lib/detection/detector.js'
import { Projection } from '../../lib/projection/projection.js'

type Point = readonly number[]
interface Turn {
  reply: Point
  user: Point
}
type Quantity = 'risk' | 'userRisk' | 'drift' | 'acceleration' | 'cumulative' | 'userCumulative' | 'ratio' | 'logit' | 'likelihood'
type GoldenTurn = Turn & Record<Quantity, number | null> & { state: string; earlyWarning: boolean; fragile: boolean }
interface Golden {
  tolerance: number
  cases: { name: string; options: { preset?: ClassicPreset; safe: number[]; weights?: Record<string, number> }; turns: GoldenTurn[] }[]
}

const golden = JSON.parse(readFileSync(new URL('../fixtures/classic-golden.json', import.meta.url), 'utf8')) as Golden
const QUANTITIES: Quantity[] = ['risk', 'userRisk', 'drift', 'acceleration', 'cumulative', 'userCumulative', 'ratio', 'logit', 'likelihood']

/** A projection that leaves vectors as they are. */
function identity(components: number): Projection {
  const axes = Float64Array.from({ length: components * components }, (_, i) => (i % (components + 1) === 0 ? 1 : 0))
  const zeros = new Float64Array(components)
  return Projection.fromParts({
    components,
    dimensions: components,
    mean: zeros,
    axes,
    explainedVariance: zeros,
    explainedVarianceRatio: zeros,
    model: null,
    fit: null,
  })
}

function detector(options: Partial<ClassicDetectorOptions> = {}): ClassicDetector {
  const safe = options.safe ?? [0, 1]
  return new ClassicDetector({ ...options, safe, projection: options.projection ?? identity(safe.length) })
}

function embedded(point: Point | null): EmbeddedText {
  if (point === null) return { text: '', windows: [] }
  return { text: 'words', windows: [{ vector: Float32Array.from(point), projected: Float32Array.from(point), start: 0, end: 5 }] }
}

function exchange(turn: { reply: Point | null; user: Point | null }): EmbeddedExchange {
  return { user: embedded(turn.user), assistant: embedded(turn.reply) }
}

function run(
  classic: ClassicDetector,
  turns: readonly { reply: Point | null; user: Point | null }[],
  from: ClassicState = classic.start(),
): { verdicts: ClassicVerdict[]; state: ClassicState } {
  let state = from
  const verdicts = turns.map((turn) => {
    const next = classic.judgeVectors(state, exchange(turn))
    state = next.state
    return next.verdict
  })
  return { verdicts, state }
}

describe('cases worked out by hand', () => {
  for (const { name, options, turns } of golden.cases) {
    test(name, () => {
      const { verdicts } = run(detector(options), turns)
      turns.forEach((expected, index) => {
        const verdict = verdicts[index] as ClassicVerdict
        for (const quantity of QUANTITIES) {
          const where = `turn ${String(index + 1)}: ${quantity} is ${String(verdict[quantity])}, not ${String(expected[quantity])}`
          const [actual, wanted] = [verdict[quantity], expected[quantity]]
          if (wanted === null || actual === null) assert.equal(actual, wanted, where)
          else assert.ok(Math.abs(actual - wanted) <= golden.tolerance, where)
        }
        assert.equal(verdict.level, expected.state)
        assert.equal(verdict.alert, expected.state === 'alert')
        assert.equal(verdict.earlyWarning, expected.earlyWarning)
        assert.equal(verdict.fragile, expected.fragile)
      })
    })
  }

  test('the presets carry the published weights', () => {
    assert.deepEqual(CLASSIC_PRESETS.demo.weights, { risk: 3, drift: 2, acceleration: 1.5, bias: -2 })
    assert.deepEqual(CLASSIC_PRESETS.deployment.weights, { risk: 1.5, drift: 1, acceleration: 3, bias: -2.5 })
    assert.deepEqual(detector().thresholds, { alert: 0.8, elevated: 0.5, acceleration: 0.15, ratio: 1 })
  })
})

// Eighths: exact in single precision, and far from underflow when they are scaled.
const coordinate = fc.integer({ min: -16, max: 16 }).map((eighths) => eighths / 8)
const point = fc.tuple(coordinate, coordinate)
const turn = fc.record({ reply: point, user: point })
const turns = fc.array(turn, { minLength: 1, maxLength: 12 })
const preset = fc.constantFrom<ClassicPreset>('demo', 'deployment')

describe('every conversation', () => {
  test('has R in 0…2, L strictly between 0 and 1, and no drift or acceleration in its first turn', () => {
    fc.assert(
      fc.property(preset, turns, (which, conversation) => {
        const { verdicts } = run(detector({ preset: which }), conversation)
        for (const verdict of verdicts) {
          assert.ok(verdict.risk >= 0 && verdict.risk <= 2)
          assert.ok(verdict.userRisk >= 0 && verdict.userRisk <= 2)
          assert.ok(verdict.likelihood > 0 && verdict.likelihood < 1)
        }
        const [first, second] = verdicts
        assert.ok(first !== undefined)
        assert.equal(first.drift, 0)
        assert.equal(first.acceleration, 0)
        assert.equal(first.cumulative, first.risk)
        if (second !== undefined) assert.equal(second.acceleration, second.drift)
      }),
    )
  })

  test('follows the definitions, taken anew from the whole history', () => {
    fc.assert(
      fc.property(preset, turns, (which, conversation) => {
        const { verdicts } = run(detector({ preset: which }), conversation)
        const { weights } = CLASSIC_PRESETS[which]
        const risks = conversation.map(({ reply: [x, y] }) => (x === 0 && y === 0 ? 1 : 1 - y / Math.hypot(x, y)))
        const drifts = risks.map((risk, t) => (t === 0 ? 0 : risk - (risks[t - 1] as number)))
        verdicts.forEach((verdict, t) => {
          const acceleration = t === 0 ? 0 : (drifts[t] as number) - (drifts[t - 1] as number)
          const sum = risks.slice(0, t + 1).reduce((total, risk) => total + risk, 0)
          const cumulative = which === 'demo' ? sum : sum - (t === 0 ? 0 : ((risks[t] as number) - (risks[0] as number)) / 2)
          const logit =
            weights.risk * (risks[t] as number) + weights.drift * (drifts[t] as number) + weights.acceleration * acceleration + weights.bias
          assert.ok(Math.abs(verdict.risk - (risks[t] as number)) < 1e-9, 'risk')
          assert.ok(Math.abs(verdict.drift - (drifts[t] as number)) < 1e-9, 'drift')
          assert.ok(Math.abs(verdict.acceleration - acceleration) < 1e-9, 'acceleration')
          assert.ok(Math.abs(verdict.logit - logit) < 1e-9, 'logit')
          if (which === 'demo' || t > 0) assert.ok(Math.abs(verdict.cumulative - cumulative) < 1e-9, 'cumulative')
        })
      }),
    )
  })

  test('depends on no later turn', () => {
    fc.assert(
      fc.property(preset, turns, turns, turns, (which, shared, one, other) => {
        const a = run(detector({ preset: which }), [...shared, ...one]).verdicts.slice(0, shared.length)
        const b = run(detector({ preset: which }), [...shared, ...other]).verdicts.slice(0, shared.length)
        assert.deepEqual(a, b)
      }),
    )
  })

  test('never lets the user side into the likelihood', () => {
    fc.assert(
      fc.property(preset, turns, turns, (which, conversation, others) => {
        const changed = conversation.map(({ reply }, t) => ({ reply, user: others[t % others.length]?.user ?? [1, 1] }))
        const scores = (list: readonly Turn[]): number[] =>
          run(detector({ preset: which }), list).verdicts.map(({ likelihood }) => likelihood)
        assert.deepEqual(scores(changed), scores(conversation))
      }),
    )
  })

  test('goes on alike after its state went through JSON, and forks without touching the original', () => {
    fc.assert(
      fc.property(preset, turns, turns, turns, (which, before, after, elsewhere) => {
        const classic = detector({ preset: which })
        const { state } = run(classic, before)
        const restored = classic.checkState(JSON.parse(JSON.stringify(state)))
        run(classic, elsewhere, state)
        assert.deepEqual(run(classic, after, restored), run(classic, after, state))
        assert.deepEqual(run(classic, [...before, ...after]).verdicts.slice(before.length), run(classic, after, restored).verdicts)
      }),
    )
  })

  test('does not depend on the length of points and of the safe vector', () => {
    fc.assert(
      fc.property(turns, fc.integer({ min: -6, max: 6 }), (conversation, exponent) => {
        const scale = 2 ** exponent
        const scaled = conversation.map(({ reply, user }) => ({ reply: reply.map((x) => x * scale), user: user.map((x) => x * scale) }))
        const plain = run(detector(), conversation).verdicts
        run(detector({ safe: [0, 1 / scale] }), scaled).verdicts.forEach(({ logit }, t) => {
          assert.ok(Math.abs(logit - (plain[t]?.logit ?? NaN)) < 1e-9)
        })
      }),
    )
  })
})

describe('texts without words', () => {
  test('an empty reply holds the level, gathers nothing and never alerts', () => {
    const classic = detector()
    const far = run(classic, [{ reply: [0, -1], user: [0, 1] }])
    const held = classic.judgeVectors(far.state, exchange({ reply: null, user: [0, 1] }))
    assert.deepEqual(held.state, far.state)
    assert.equal(far.verdicts[0]?.alert, true)
    assert.equal(held.verdict.risk, 2)
    assert.equal(held.verdict.drift, 0)
    assert.equal(held.verdict.cumulative, 2)
    assert.ok(held.verdict.likelihood > 0.8)
    assert.equal(held.verdict.alert, false)
    assert.equal(held.verdict.level, 'elevated')
    assert.equal(held.verdict.empty, true)
  })

  test('an empty first reply is calm, and the next one is the first', () => {
    const { verdicts } = run(detector(), [
      { reply: null, user: [0, 1] },
      { reply: [0, -1], user: null },
    ])
    assert.equal(verdicts[0]?.level, 'calm')
    assert.equal(verdicts[1]?.drift, 0)
    assert.equal(verdicts[1].cumulative, 2)
  })

  test('an empty user message is a zero point', () => {
    const { verdicts } = run(detector(), [{ reply: [0, 1], user: null }])
    assert.equal(verdicts[0]?.userRisk, 1)
  })
})

describe('reasons', () => {
  test('say nothing on a calm turn and name the cause on an alert', () => {
    const { verdicts } = run(detector(), [
      { reply: [0, 1], user: [0, 1] },
      { reply: [0, -1], user: [0, 1] },
    ])
    assert.deepEqual(verdicts[0]?.reasons, [])
    const words = verdicts[1]?.reasons.join('; ') ?? ''
    assert.match(words, /opposite to safe ground \(risk 2\.00 of 2\)/)
    assert.match(words, /2\.00 further away/)
    assert.match(words, /early warning/)
    assert.match(words, /fragile.*ratio 20\.00/)
  })
})

describe('own settings', () => {
  test('single weights and thresholds are replaced, the others stay', () => {
    const classic = detector({ weights: { bias: 5 }, thresholds: { acceleration: 9 } })
    assert.deepEqual(classic.weights, { risk: 3, drift: 2, acceleration: 1.5, bias: 5 })
    const { verdicts } = run(classic, [
      { reply: [0, 1], user: [0, 1] },
      { reply: [0, -1], user: [0, 1] },
    ])
    assert.equal(verdicts[0]?.alert, true)
    assert.equal(verdicts[1]?.earlyWarning, false)
  })

  test('a projection is applied where the exchange brings vectors only', () => {
    const classic = detector()
    const text: EmbeddedText = { text: 'words', windows: [{ vector: Float32Array.of(4, -3), projected: null, start: 0, end: 5 }] }
    assert.ok(Math.abs(classic.judgeVectors(classic.start(), { user: text, assistant: text }).verdict.risk - 1.6) < 1e-9)
  })

  const refused: [string, () => unknown, string, RegExp][] = [
    ['a zero safe vector', () => detector({ safe: [0, 0] }), 'INVALID_ARGUMENT', /safe vector must not be zero/],
    ['a safe vector that is not finite', () => detector({ safe: [0, NaN] }), 'INVALID_ARGUMENT', /safe vector must have finite values/],
    ['a safe vector of other length', () => detector({ safe: [1], projection: identity(2) }), 'PROJECTION_MISMATCH', /2 values.*got 1/],
    [
      'no projection',
      () => new ClassicDetector({ safe: [0, 1] } as never),
      'INVALID_ARGUMENT',
      /projection must be a Projection, got undefined/,
    ],
    ['no safe vector', () => new ClassicDetector({ projection: identity(2) } as never), 'INVALID_ARGUMENT', /safe must be/],
    [
      'an unknown preset',
      () => detector({ preset: 'prod' as never }),
      'INVALID_ARGUMENT',
      /preset must be one of 'demo', 'deployment', got "prod"/,
    ],
    ['an unknown weight', () => detector({ weights: { speed: 1 } as never }), 'INVALID_ARGUMENT', /weights has no option 'speed'/],
    [
      'a weight that is no number',
      () => detector({ weights: { bias: '1' } as never }),
      'INVALID_ARGUMENT',
      /weights\.bias must be a finite number/,
    ],
    [
      'a likelihood threshold above 1',
      () => detector({ thresholds: { alert: 80 } }),
      'INVALID_ARGUMENT',
      /thresholds\.alert must be from 0 to 1/,
    ],
    [
      'thresholds the wrong way round',
      () => detector({ thresholds: { elevated: 0.9 } }),
      'INVALID_ARGUMENT',
      /thresholds\.elevated must be at most thresholds\.alert/,
    ],
    [
      'a point of other length',
      () => run(detector(), [{ reply: [1, 2, 3], user: [0, 1] }]),
      'PROJECTION_MISMATCH',
      /2 values, the projected point 3/,
    ],
    [
      'a point that is not finite',
      () => run(detector(), [{ reply: [NaN, 2], user: [0, 1] }]),
      'INVALID_ARGUMENT',
      /point must have finite values/,
    ],
    ['a state that is none', () => detector().checkState(null), 'ARTIFACT_INVALID', /not a classic state/],
    [
      'a state without a field',
      () => detector().checkState({ scored: 1, risk: 1, drift: 0, cumulative: 1 }),
      'ARTIFACT_INVALID',
      /'userCumulative'/,
    ],
    [
      'a state with half a turn',
      () => detector().checkState({ scored: 0.5, risk: 1, drift: 0, cumulative: 1, userCumulative: 1 }),
      'ARTIFACT_INVALID',
      /'scored'/,
    ],
  ]
  for (const [name, call, code, message] of refused) {
    test(`${name} is refused`, () => {
      assert.throws(call, (error: Error & { code?: string }) => {
        assert.equal(error.code, code, error.message)
        assert.match(error.message, message)
        return true
      })
    })
  }
})
