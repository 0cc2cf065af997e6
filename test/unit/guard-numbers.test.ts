// The numbers of the guard: refusal features as in training, calibrated signals, strength and level against cases computed by hand.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { GuardLines } from '../../lib/detection/guard/description.js'
import { nextGuardLevel, ORDINARY_EXCHANGES, type GuardLevelStep, type LevelState } from '../../lib/detection/guard/guard-level.js'
import { refusalFeatures } from '../../lib/detection/guard/refusals.js'
import { linearPart, logOdds, signalsOf, type GuardPass } from '../../lib/detection/guard/signals.js'
import { FULL_STRENGTH, nextStrength } from '../../lib/detection/guard/strength.js'
import { bucketsOf, TermModel } from '../../lib/detection/guard/terms.js'
import type { GuardSignals } from '../../lib/detection/verdict.js'
import { GUARD } from './scripted-guard.js'

const close = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) < 1e-9, `${String(actual)} is not ${String(expected)}`)

test('refusal features are those of the training', () => {
  const cases = JSON.parse(readFileSync(new URL('../fixtures/guard-refusals.json', import.meta.url), 'utf8')) as [string, number, number][]
  for (const [reply, opening, anywhere] of cases) assert.deepEqual([reply, ...refusalFeatures(reply)], [reply, opening, anywhere])
})

describe('the linear part', () => {
  test('counts the terms of the training', () => {
    const cases = JSON.parse(readFileSync(new URL('../fixtures/guard-terms.json', import.meta.url), 'utf8')) as [string, number[]][]
    for (const [text, buckets] of cases) assert.deepEqual([text, bucketsOf(text, 17)], [text, buckets])
  })

  test('of a text computed by hand', () => {
    const bucketBits = 17
    const [no, sure, both, again] = bucketsOf('no no sure', bucketBits).slice(1) as [number, number, number, number]
    const idf = new Float32Array(2 ** bucketBits).fill(1)
    const weights = new Float32Array(2 * idf.length)
    idf[sure] = 2
    weights[no] = 3
    weights[idf.length + sure] = -5
    const model = new TermModel({ bucketBits, idf, weights, intercepts: [0.5, 1] })
    // "no" twice: 1 + ln 2; "sure": 2; the pairs "no no" and "no sure": 1 each.
    assert.equal(new Set([no, sure, both, again]).size, 4)
    const [twice, length] = [1 + Math.log(2), Math.sqrt((1 + Math.log(2)) ** 2 + 4 + 1 + 1)]
    const [first, second] = model.scores('No, NO: sure!') as [number, number]
    close(first, 0.5 + (3 * twice) / length)
    close(second, 1 - (5 * 2) / length)
    // A text without words of Latin letters says nothing.
    assert.deepEqual(model.scores('да…'), [0.5, 1])
  })
})

describe('signals', () => {
  // unsafe, breaks, wavers, complies, pressure; flags subtract 2 and 1 from breaks.
  const description = {
    ...GUARD,
    flagWeights: [
      [0, 0],
      [-2, -1],
      [0, 0],
      [0, 0],
      [0, 0],
    ] as const,
    calibration: {
      unsafe: { logits: { unsafe: 1 }, terms: {}, b: 0 },
      breaks: { logits: { breaks: 0.5 }, terms: { breaks: 2 }, b: 1 },
      complies: { logits: { breaks: -1, complies: 0.5 }, terms: { breaks: 1, complies: 2 }, b: 3 },
      pressure: { logits: { pressure: 2 }, terms: {}, b: -1 },
    },
  }

  const pass = (logits: number[], flags: readonly [number, number] = [0, 0]): GuardPass => ({ logits, flags, terms: null })

  test('are calibrated logits, with the refusal features in them', () => {
    const none = signalsOf(description, pass([0, 4, 9, 9, 0.5]))
    close(none.unsafe!, 0.5)
    close(none.breaks!, 1 / (1 + Math.exp(-3)))
    close(none.pressure!, 0.5)
    close(signalsOf(description, pass([0, 4, 9, 9, 9], [1, 1])).breaks!, 1 / (1 + Math.exp(-1.5)))
    close(signalsOf(description, pass([0, 4, 9, 9, 9], [0, 1])).breaks!, 1 / (1 + Math.exp(-2.5)))
  })

  test('add the linear part with a slope of its own', () => {
    const reply = { ...pass([0, 4, 9, 9, 9]), terms: [7, -0.75, 7, 7, 7] }
    close(signalsOf(description, reply).breaks!, 1 / (1 + Math.exp(-(0.5 * 4 - 2 * 0.75 + 1))))
  })

  test('sum logits and linear parts of several outputs, the refusal features in each', () => {
    const reply = { ...pass([0, 4, 9, 2, 9], [0, 1]), terms: [7, -0.75, 7, 0.25, 7] }
    close(signalsOf(description, reply).complies!, 1 / (1 + Math.exp(-(-(4 - 1) + 0.5 * 2 - 0.75 + 2 * 0.25 + 3))))
  })

  test('take the linear part of pressure from the message, that of others from the reply', () => {
    const bucketBits = 4
    const model = new TermModel({
      bucketBits,
      idf: new Float32Array(16).fill(1),
      weights: new Float32Array(5 * 16).fill(1),
      intercepts: [0, 1, 2, 3, 4],
    })
    const [ofUser, ofReply] = [model.scores('do it'), model.scores('no')]
    assert.notEqual(ofUser[4], ofReply[4])
    assert.deepEqual(linearPart(model, description, 'do it', 'no'), [...ofReply.slice(0, 4), ofUser[4]])
    assert.equal(linearPart(null, description, 'do it', 'no'), null)
  })

  test('without calibration, or that the guard does not have, are null', () => {
    assert.equal(signalsOf(description, pass([0, 4, 9, 9, 9])).wavers, null)
    const small = { ...description, outputs: ['breaks' as const], flagWeights: [[0, 0] as const] }
    assert.deepEqual(signalsOf(small, pass([-2])), {
      unsafe: null,
      breaks: 0.5,
      wavers: null,
      complies: null,
      pressure: null,
    })
  })

  test('have finite odds, also when they are certain', () => {
    close(logOdds(0.5), 0)
    assert.ok(Number.isFinite(logOdds(0)))
    close(logOdds(1), -logOdds(0))
  })
})

describe('the strength', () => {
  test('of conversations computed by hand', () => {
    const held = { pressed: 1, wavers: 0, breaks: 0 }
    const wavered = { pressed: 1, wavers: 1, breaks: 0 }
    const broke = { pressed: 1, wavers: 1, breaks: 1 }
    const ordinary = { pressed: 0, wavers: 0, breaks: 0 }
    const play = (...steps: (typeof held)[]): number[] => {
      const path: number[] = []
      for (const step of steps) path.push(nextStrength(path.at(-1) ?? FULL_STRENGTH, step))
      return path
    }
    // Full strength held stays full. Wavering: 1 + .4 (.5 − 1) = .8, then .8 + .4 (.5 − .8) = .68.
    play(held, wavered, wavered).forEach((value, index) => {
      close(value, [1, 0.8, 0.68][index]!)
    })
    // A break at once: 0. Held again: 0 + .4 = .4, then .4 + .4 · .6 = .64. Ordinary talk leaves it.
    play(broke, ordinary, held, ordinary, held).forEach((value, index) => {
      close(value, [0, 0, 0.4, 0.4, 0.64][index]!)
    })
    // A break of probability .5 that is a wavering for certain: v = 1 − (1 + .5) / 2 = .25, r = .5: 1 + .5 (.25 − 1) = .625.
    close(nextStrength(1, { pressed: 0, wavers: 1, breaks: 0.5 }), 0.625)
    // Half pressed and held: r = .2: .5 + .2 · .5 = .6.
    close(nextStrength(0.5, { pressed: 0.5, wavers: 0, breaks: 0 }), 0.6)
  })

  const unit = fc.double({ min: 0, max: 1, noNaN: true })

  test('stays between 0 and 1, holding never lowers it, and a likelier break never leaves it higher', () => {
    fc.assert(
      fc.property(unit, unit, unit, unit, unit, (strength, pressed, wavers, one, other) => {
        const [less, more] = [Math.min(one, other), Math.max(one, other)]
        const at = (breaks: number): number => nextStrength(strength, { pressed, wavers: Math.max(wavers, breaks), breaks })
        assert.ok(at(less) >= 0 && at(less) <= 1)
        assert.ok(nextStrength(strength, { pressed, wavers: 0, breaks: 0 }) >= strength)
        assert.equal(nextStrength(strength, { pressed: 0, wavers: 0, breaks: 0 }), strength)
        if (strength > 1 - (Math.max(wavers, more) + more) / 2) assert.ok(at(more) <= strength)
      }),
    )
  })
})

describe('the level', () => {
  const lines: GuardLines = {
    alert: { breaks: 0.8, unsafe: 0.9, strength: 0.15 },
    elevated: { breaks: 0.5, unsafe: null, wavers: 0.6, strength: 0.5 },
    kept: { wavers: 0.3 },
  }
  const signals = (some: Partial<GuardSignals>): GuardSignals => ({
    unsafe: 0,
    breaks: 0,
    wavers: 0,
    complies: null,
    pressure: null,
    ...some,
  })
  const quiet = { signals: signals({}), pressed: 0, strengthBefore: 1, strength: 1 }

  function play(...steps: Partial<typeof quiet>[]): GuardLevelStep[] {
    const path: GuardLevelStep[] = []
    let state: LevelState = { level: 'calm', quiet: 0 }
    for (const step of steps) {
      const next = nextGuardLevel(state, { ...quiet, ...step }, lines)
      path.push(next)
      state = next
    }
    return path
  }
  const levels = (...steps: Partial<typeof quiet>[]): string =>
    play(...steps)
      .map(({ level }) => level[0])
      .join('')

  const broke = { signals: signals({ breaks: 0.85 }) }
  const wavered = { signals: signals({ wavers: 0.7 }) }
  const held = { pressed: 0.9 }
  const ordinary = (count: number): Partial<typeof quiet>[] => Array.from({ length: count }, () => ({}))

  test('is raised by each line, and the highest one is named', () => {
    assert.equal(levels(broke), 'a')
    assert.equal(levels({ signals: signals({ unsafe: 0.9 }) }), 'a')
    assert.equal(levels({ signals: signals({ unsafe: 0.89 }) }), 'c')
    assert.equal(levels(wavered, broke), 'ea')
    assert.equal(levels({ signals: signals({ breaks: 0.5 }) }), 'e')
    const [step] = play({ signals: signals({ breaks: 0.85, wavers: 0.9 }) })
    assert.deepEqual(step?.reached, { level: 'alert', by: 'breaks', value: 0.85, line: 0.8 })
  })

  test('alerts where it is entered only, and stays while lines are reached', () => {
    const path = play(broke, broke, wavered, broke)
    assert.deepEqual(
      path.map(({ raised }) => raised),
      [true, false, false, false],
    )
    assert.deepEqual(
      path.map(({ level }) => level),
      ['alert', 'alert', 'alert', 'alert'],
    )
  })

  test('is raised by a strength that falls below its line, not by one that lies there', () => {
    assert.equal(levels({ strengthBefore: 0.6, strength: 0.45 }), 'e')
    assert.equal(levels({ strengthBefore: 0.45, strength: 0.45 }), 'c')
    assert.equal(levels({ strengthBefore: 0.45, strength: 0.44 }), 'c')
    assert.equal(levels({ strengthBefore: 0.9, strength: 0.6 }), 'c')
  })

  test('is an alert where the strength falls below the lower line', () => {
    assert.equal(levels({ strengthBefore: 0.3, strength: 0.14 }), 'a')
    assert.equal(levels({ strengthBefore: 0.3, strength: 0.16 }), 'e')
    assert.equal(levels({ strengthBefore: 0.14, strength: 0.13 }), 'c')
    const [step] = play({ strengthBefore: 0.3, strength: 0.14 })
    assert.deepEqual([step?.raised, step?.reached?.by], [true, 'strength'])
  })

  test('does not fall because two replies were harmless', () => {
    assert.equal(levels(broke, {}, {}), 'aaa')
  })

  test('falls by a step where the assistant holds under pressure', () => {
    assert.equal(levels(broke, held, held), 'aec')
    assert.equal(levels(broke, { ...held, ...broke }), 'aa')
  })

  test('does not fall after a reply that may waver, pressed or not', () => {
    const doubtful = { signals: signals({ wavers: 0.3 }) }
    assert.equal(levels(broke, { ...held, ...doubtful }), 'aa')
    assert.equal(levels(broke, ...ordinary(ORDINARY_EXCHANGES - 1), doubtful, {}), 'aaaaaaa')
    assert.equal(levels(broke, { ...held, signals: signals({ wavers: 0.29 }) }), 'ae')
  })

  test('falls by a step after enough ordinary exchanges in a row, so that an old break is forgotten', () => {
    assert.equal(levels(broke, ...ordinary(2 * ORDINARY_EXCHANGES)), `aaaaaeeeeec`)
    assert.equal(levels(broke, ...ordinary(ORDINARY_EXCHANGES - 1), wavered, ...ordinary(ORDINARY_EXCHANGES - 1)), `a${'a'.repeat(9)}`)
  })
})
