// Policies on vectors made by hand: the file, the few-shot head, thresholds, role drift, the guarded detector, the built file.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import type { Detector, DetectorVerdict, EmbeddedExchange } from '../../lib/detection/detector.js'
import { GuardedDetector, hasFindings } from '../../lib/detection/policy/guarded-detector.js'
import { formatPolicySet, parsePolicySet } from '../../lib/detection/policy/policy-artifact.js'
import { examinePolicies, overlaps, tryOnLog } from '../../lib/detection/policy/policy-check.js'
import { parsePolicyFile, type PolicyFile } from '../../lib/detection/policy/policy-file.js'
import { fitPolicyHead, scorePolicy, type ExampleVectors } from '../../lib/detection/policy/policy-head.js'
import type { LogConversation, LogExchange, LogReading } from '../../lib/detection/policy/policy-log.js'
import { readyPolicies, type PolicyMaterial, type PolicySet } from '../../lib/detection/policy/policy-set.js'
import { nextRole, ROLE_START } from '../../lib/detection/policy/role-drift.js'
import { Random } from '../../lib/statistics/random.js'
import { isGabionError } from '../../lib/errors.js'
import { exchangeIn } from './exchange-in-conversation.js'

const DIMENSIONS = 24
let random = new Random(11)
// Every test sees the same noise, however much of it the ones before took.
beforeEach(() => {
  random = new Random(11)
})

/** A unit vector near an axis: subjects are axes, wording is noise. */
function near(axis: number, noise = 0.12): Float64Array {
  const vector = Float64Array.from({ length: DIMENSIONS }, (_, i) => (i === axis ? 1 : 0) + noise * (2 * random.next() - 1))
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

const NO_FLAGS = { opening: false, anywhere: false }

function exchange(reply: number, user = 20): LogExchange & ExampleVectors {
  const vector = near(reply)
  return { user: near(user), reply: vector, windows: [vector], flags: NO_FLAGS }
}

const many = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index))
const conversation = (id: string, replies: readonly number[], breaks: readonly string[] | null = []): LogConversation => ({
  id,
  breaks,
  exchanges: replies.map((reply) => exchange(reply)),
})

/** Subjects 10 to 15 are ordinary; policies break on 0 and 1. */
const ORDINARY = many(60, (index) =>
  conversation(`ordinary-${String(index)}`, [10 + (index % 6), 10 + ((index + 1) % 6), 10 + ((index + 2) % 6)]),
)

const FILE: PolicyFile = {
  file: 'policies.yaml',
  assistant: '',
  benign: null,
  budget: 0.05,
  roleAlert: false,
  policies: [],
}

function material(name: string, axis: number, examples = 10): PolicyMaterial {
  const text = {
    name,
    statement: `It does ${name}.`,
    breaks: many(examples, (index) => ({ user: 'asks', reply: `${name} ${String(index)}` })),
    allowed: [{ user: 'asks', reply: 'declines' }],
  }
  return { text, breaks: many(examples, () => exchange(axis)), allowed: [exchange(10)] }
}

const MATERIALS = [material('first', 0), material('second', 1, 4)]
const READING = { store: { dimensions: DIMENSIONS } } as unknown as LogReading

function readySet(): PolicySet {
  return readyPolicies(FILE, MATERIALS, ORDINARY, READING, {
    embedder: { model: 'm', hash: 'h', precision: 'fp32' },
    windows: { size: 254, stride: 200 },
  })
}

describe('a policy file', () => {
  const read = (text: string): PolicyFile => parsePolicyFile(text, 'p.yaml')
  const refused = (text: string, words: RegExp): void => {
    assert.throws(
      () => read(text),
      (error) => isGabionError(error) && error.code === 'ARTIFACT_INVALID' && words.test(error.message),
      text,
    )
  }
  const head = 'format: gabion-policies\nversion: 1\n'
  const policy = '  - name: one\n    statement: It does.\n    breaks: [a, b, {user: u, assistant: c}]\n'

  test('is read with its defaults; sentences are replies without a request', () => {
    const file = read(`${head}benign: log.jsonl\npolicies:\n${policy}`)
    assert.equal(file.budget, 0.02)
    assert.ok(file.benign?.endsWith('/log.jsonl'))
    assert.deepEqual(file.policies[0]?.breaks, [
      { user: '', reply: 'a' },
      { user: '', reply: 'b' },
      { user: 'u', reply: 'c' },
    ])
  })

  test('is refused with file, field and what was expected', () => {
    refused('policies: [', /p\.yaml, line 1: not YAML/)
    refused(`${head}policies:\n${policy}${policy}`, /different names \('one' occurs twice\)/)
    refused(
      `${head}policies:\n${policy.replace('[a, b, {user: u, assistant: c}]', '[a, b]')}`,
      /policies\[0\]\.breaks' must be 3 to 200 examples, got an array of 2/,
    )
    refused(`${head}policies:\n${policy.replace('assistant: c', 'asistant: c')}`, /policies\[0\]\.breaks\[2\]'/)
    refused(`${head}policies:\n${policy}    alowed: []\n`, /field 'policies\[0\]\.alowed' must be one of name, statement, breaks, allowed/)
    refused(`${head}budget: 2\npolicies:\n${policy}`, /'budget' must be a share/)
    refused(`${head}policies:\n${policy}x: &a [1]\ny: *a\n`, /aliases/)
    refused('version: 1\n', /'format' must be/)
    refused('[]', /p\.yaml must hold a mapping of fields/)
    refused(`${head}assistant: ' '\npolicies:\n${policy}`, /'assistant' must be a string that is not blank/)
    refused(`${head}benign:\npolicies:\n${policy}`, /'benign' must be a string, got null/)
    refused(`${head}role: calm\npolicies:\n${policy}`, /'role' must be one of elevated, alert, got "calm"/)
  })

  test('may have policies that are their statement alone', () => {
    const file = read(`${head}policies:\n  - name: one\n    statement: It does.\n`)
    assert.deepEqual(file.policies, [{ name: 'one', statement: 'It does.', breaks: [], allowed: [] }])
    refused(`${head}policies:\n  - name: one\n    statement: It does.\n    breaks: []\n`, /breaks' must be 3 to 200 examples/)
    refused(`${head}policies:\n  - name: one\n    statement: It does.\n    allowed: [a]\n`, /allowed' must be omitted without examples/)
  })

  test('the six examples are valid, and have nothing of the ordinary conversations in them', () => {
    const folder = fileURLToPath(new URL('../../examples/policies/', import.meta.url))
    const file = parsePolicyFile(readFileSync(`${folder}support.yaml`, 'utf8'), `${folder}support.yaml`)
    assert.equal(file.policies.length, 6)
    const ordinary = readFileSync(file.benign ?? '', 'utf8')
    for (const { breaks, allowed } of file.policies) {
      assert.ok(breaks.length >= 8 && allowed.length >= 3)
      for (const { reply } of breaks) assert.ok(!ordinary.includes(reply), reply)
    }
  })
})

describe('a policy', () => {
  test('catches new exchanges like its examples and leaves others alone', () => {
    const { policies } = readySet()
    for (const [index, { head, threshold }] of policies.entries()) {
      const caught = many(30, () => scorePolicy(head, exchange(index)).score >= threshold.value)
      assert.ok(caught.every(Boolean), `policy ${String(index)} catches ${String(caught.filter(Boolean).length)} of 30`)
      const others = many(30, (i) => scorePolicy(head, exchange(10 + (i % 6))).score >= threshold.value)
      assert.ok(others.filter(Boolean).length <= 3)
      assert.ok(scorePolicy(head, exchange(1 - index)).score < threshold.value)
    }
  })

  test('marks no more ordinary conversations than its budget', () => {
    for (const { threshold } of readySet().policies) {
      assert.equal(threshold.conversations, ORDINARY.length)
      assert.ok(threshold.reached <= FILE.budget * ORDINARY.length)
    }
  })

  test('judges a long reply by its worst window and says which', () => {
    const [policy] = readySet().policies
    assert.ok(policy)
    const windows = [near(10), near(0), near(11)]
    const score = scorePolicy(policy.head, { user: near(20), windows, flags: NO_FLAGS })
    assert.equal(score.window, 1)
    const alone = windows.map((window) => scorePolicy(policy.head, { user: near(20, 0), windows: [window], flags: NO_FLAGS }).score)
    assert.equal(Math.max(...alone), alone[1])
  })

  test('is not asked for with fewer ordinary conversations than the budget needs', () => {
    assert.throws(
      () =>
        readyPolicies(FILE, MATERIALS, ORDINARY.slice(0, 19), READING, {
          embedder: { model: '', hash: '', precision: '' },
          windows: { size: 1, stride: 1 },
        }),
      (error) =>
        isGabionError(error) &&
        error.code === 'INVALID_ARGUMENT' &&
        error.message.includes('needs at least 20 ordinary conversations, got 19'),
    )
  })

  test('with three examples it rests on the nearest one', () => {
    const breaks = many(3, () => exchange(0))
    const head = fitPolicyHead(
      breaks,
      [],
      ORDINARY.flatMap(({ exchanges }) => exchanges as (LogExchange & ExampleVectors)[]),
      DIMENSIONS,
    )
    const copy = breaks[2] as LogExchange & ExampleVectors
    const { nearest, similarity } = scorePolicy(head, copy)
    assert.equal(nearest, 2)
    assert.ok(Math.abs(similarity - 1) < 1e-9)
  })
})

describe('the examination of policies', () => {
  test('leaves each example out, and tells of few examples', () => {
    const examined = examinePolicies(MATERIALS, readySet(), ORDINARY, DIMENSIONS)
    assert.deepEqual(
      examined.map(({ name, examples, tooFew }) => [name, examples, tooFew]),
      [
        ['first', 10, false],
        ['second', 4, true],
      ],
    )
    assert.equal(examined[0]?.caughtLeftOut, 10)
  })

  test('finds policies that catch the same, and only those', () => {
    assert.deepEqual(overlaps(MATERIALS, readySet()), [])
    const twins = [material('first', 0), material('twin', 0)]
    const set = readyPolicies(FILE, twins, ORDINARY, READING, {
      embedder: { model: '', hash: '', precision: '' },
      windows: { size: 1, stride: 1 },
    })
    assert.equal(overlaps(twins, set)[0]?.firstCaughtBySecond, 1)
  })

  test('counts what is caught and wrongly caught in a log', () => {
    const log = [
      conversation('a', [10, 0], ['first']),
      conversation('b', [10, 1], ['second']),
      conversation('c', [1], []),
      conversation('d', [0], null),
      conversation('e', [12]),
    ]
    const [first, second] = tryOnLog(readySet(), log)
    assert.deepEqual(
      [first?.breaking, first?.caught, first?.others, first?.wrongly, first?.unknown, first?.caughtUnknown],
      [1, 1, 3, 0, 1, 1],
    )
    assert.deepEqual([second?.caught, second?.wrongly, second?.wrongIds], [1, 1, ['c']])
  })
})

describe('role drift', () => {
  test('grows when a conversation leaves where it began, and not while it stays', () => {
    const walk = (replies: readonly number[], prompt: ArrayLike<number> | null): (number | null)[] => {
      let state = ROLE_START
      return replies.map((reply) => {
        const step = nextRole(state, prompt, null, near(reply, 0.02))
        state = step.state
        return step.distance === null ? null : state.smoothed
      })
    }
    const stays = walk([3, 3, 3, 3], null)
    assert.equal(stays[0], null)
    assert.ok(stays.slice(1).every((distance) => distance !== null && distance < 0.05))
    const leaves = walk([3, 3, 7, 7, 7], null)
    assert.ok((leaves[2] ?? 0) < (leaves[3] ?? 0) && (leaves[4] ?? 0) > 0.8)
    assert.ok((walk([7], near(3, 0.02))[0] ?? 0) > 0.8, 'with a prompt the first exchange is measured too')
  })

  test('goes on the same after a state went through JSON', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(15), { minLength: 1, maxLength: 8 }), (axes) => {
        const replies = axes.map((axis) => near(axis))
        const walk = (through: (state: typeof ROLE_START) => typeof ROLE_START): number =>
          replies.reduce((state, reply) => through(nextRole(state, null, null, reply).state), ROLE_START).smoothed
        assert.equal(
          walk((state) => JSON.parse(JSON.stringify(state)) as typeof ROLE_START),
          walk((state) => state),
        )
      }),
    )
  })
})

describe('policies that are their statement alone', () => {
  const statements = [{ name: 'refunds', statement: 'Never promise a refund.' }]
  const set: PolicySet = { ...readySet(), policies: [], role: null, statements }

  test('are fitted without ordinary conversations, and survive their file', () => {
    const file = { ...FILE, policies: [{ ...statements[0]!, breaks: [], allowed: [] }] }
    const fitted = readyPolicies(file, [], [], READING, { embedder: set.embedder, windows: set.windows })
    assert.deepEqual(fitted, set)
    assert.deepEqual(parsePolicySet(formatPolicySet(set), 'built.json'), set)
  })

  test('are rules for a guard, named where it names them, and need no vectors', async () => {
    const seen: (readonly string[])[] = []
    const guard: Detector<number> = {
      name: 'reader',
      fingerprint: 'reader',
      projection: null,
      readsRules: true,
      start: () => 0,
      judge: (state, { rules, assistant }) => {
        seen.push(rules)
        const rule = assistant === 'breaks' ? rules[0]! : null
        const numbers = { risk: 0, drift: 0, acceleration: 0, cumulative: 0, ratio: null, likelihood: 0.9 }
        return { verdict: { ...numbers, alert: rule !== null, level: rule === null ? 'calm' : 'alert', reasons: [], rule }, state }
      },
      checkState: Number,
    }
    const detector = new GuardedDetector(guard, set)
    assert.equal(detector.embedsAhead, false)
    const judge = async (assistant: string): Promise<readonly string[]> => {
      const text = (words: string): EmbeddedExchange['user'] => ({ text: words, windows: [] })
      const inConversation = exchangeIn({ user: text('u'), assistant: text(assistant) }, { rules: ['Be brief.'] })
      const embedded = (): Promise<never> => Promise.reject(new Error('nothing needs vectors'))
      return (await detector.judge(detector.start(), { ...inConversation, embedded })).verdict.policies
    }
    assert.deepEqual([await judge('keeps'), await judge('breaks')], [[], ['refunds']])
    assert.deepEqual(seen[0], ['Never promise a refund.', 'Be brief.'])
  })

  test('are refused by a detector that reads no rules', () => {
    const blind = { name: 'blind', fingerprint: 'blind', projection: null } as unknown as Detector
    assert.throws(() => new GuardedDetector(blind, set), {
      code: 'INVALID_ARGUMENT',
      message: /policy 'refunds' has no examples: .* the detector is 'blind'/,
    })
  })
})

describe('the guarded detector', () => {
  const calm: DetectorVerdict = {
    alert: false,
    level: 'calm',
    likelihood: 0.1,
    risk: 0,
    drift: 0,
    acceleration: 0,
    cumulative: 0,
    ratio: null,
    reasons: [],
  }
  const base: Detector<number> = {
    name: 'calm',
    fingerprint: 'calm',
    projection: null,
    start: () => 0,
    judge: (state) => ({ verdict: calm, state: state + 1 }),
    checkState: (value) => Number(value),
  }
  const text = (axis: number | null): EmbeddedExchange['user'] => ({
    text: 'words',
    windows: axis === null ? [] : [{ vector: Float32Array.from(near(axis)), projected: null, start: 0, end: 5 }],
  })
  const exchanges = async (
    detector: GuardedDetector<number>,
    replies: readonly (number | null)[],
  ): Promise<ReturnType<GuardedDetector<number>['judge']> extends Promise<infer T> ? T[] : never> => {
    let state = detector.start()
    const results = []
    for (const reply of replies) {
      const result = await detector.judge(state, exchangeIn({ user: text(20), assistant: text(reply) }))
      state = detector.checkState(JSON.parse(JSON.stringify(result.state)))
      results.push(result)
    }
    return results
  }

  test('names the policy in the alert, once for each entry', async () => {
    const results = await exchanges(new GuardedDetector(base, readySet()), [10, 0, 0, 11, 1])
    assert.deepEqual(
      results.map(({ verdict }) => verdict.alert),
      [false, true, false, false, true],
    )
    assert.deepEqual(
      results.map(({ verdict }) => verdict.level),
      ['calm', 'alert', 'alert', 'calm', 'alert'],
    )
    assert.match(results[1]?.verdict.reasons[0] ?? '', /^breaks 'first': It does first; closest to the example “first \d” \(score /)
    assert.match(results[4]?.verdict.reasons[0] ?? '', /^breaks 'second'/)
    const verdict = results[4]?.verdict
    assert.ok(verdict !== undefined && hasFindings(verdict))
    assert.deepEqual(verdict.policies, ['second'])
    assert.deepEqual(
      verdict.findings.map(({ broken }) => broken),
      [false, true],
    )
    assert.equal(results[4]?.state.base, 5)
  })

  test('an empty reply breaks nothing', async () => {
    const results = await exchanges(new GuardedDetector(base, readySet()), [null])
    assert.deepEqual(
      results.map(({ verdict: { alert, policies } }) => ({ alert, policies })),
      [{ alert: false, policies: [] }],
    )
  })

  test('role drift raises the level, or an alert where the file says so, and is named', async () => {
    const set = readySet()
    assert.ok(set.role !== null)
    const watch = { ...set.role, threshold: { ...set.role.threshold, value: 0.3 } }
    const far = [10, 10, 17, 17, 17]
    const [quiet = [], loud = []] = await Promise.all(
      [false, true].map((alert) => exchanges(new GuardedDetector(base, { ...set, policies: [], role: { ...watch, alert } }), far)),
    )
    assert.equal(quiet.at(-1)?.verdict.level, 'elevated')
    assert.match(quiet.at(-1)?.verdict.reasons[0] ?? '', /role drift: the conversation has left/)
    assert.ok(quiet.every(({ verdict }) => !verdict.alert))
    assert.equal(loud.filter(({ verdict }) => verdict.alert).length, 1)
  })

  test('a state that is none is refused by its field', () => {
    const detector = new GuardedDetector(base, readySet())
    for (const [state, field] of [
      [{}, 'broken'],
      [{ broken: [], drifted: 1 }, 'drifted'],
      [{ broken: [], drifted: false, role: { exchanges: -1 } }, 'role.exchanges'],
    ] as const) {
      assert.throws(
        () => detector.checkState(state),
        (error) => isGabionError(error) && error.code === 'ARTIFACT_INVALID' && error.message.includes(field),
      )
    }
  })
})

describe('built policies', () => {
  test('judge like those they were built from', () => {
    const set = readySet()
    const read = parsePolicySet(formatPolicySet(set), 'p.json')
    for (const reply of [0, 1, 10, 12]) {
      const sample = exchange(reply)
      for (const [index, { head }] of set.policies.entries()) {
        assert.ok(Math.abs(scorePolicy(head, sample).score - scorePolicy(read.policies[index]!.head, sample).score) < 1e-3)
      }
    }
    assert.equal(formatPolicySet(read), formatPolicySet(parsePolicySet(formatPolicySet(read), 'p.json')))
  })

  test('are refused by file and field', () => {
    const text = formatPolicySet(readySet())
    for (const [broken, field] of [
      [text.replace('gabion-policy-set', 'other'), 'format'],
      [text.replace('"intercept"', '"intercep"'), 'policies[0].head.intercept'],
      [text.slice(0, 50), 'not a set of policies'],
    ] as const) {
      assert.throws(
        () => parsePolicySet(broken, 'p.json'),
        (error) =>
          isGabionError(error) && error.code === 'ARTIFACT_INVALID' && error.message.includes(field) && error.message.includes('p.json'),
      )
    }
  })
})
