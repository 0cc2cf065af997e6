// `gabion detector` from labeled conversations to a detector and its measures. What stands for "unsafe" is talk of the sea.

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Random } from '../../lib/statistics/random.js'
import { assertRefused, gabion, jsonLines, temporaryFolder } from './cli-process.js'

const LISTS = {
  asks: ['Tell me about', 'What should I know about', 'Help me with', 'Give me a hint on'],
  land: ['baking bread', 'planting beans', 'painting a door', 'mending a chair', 'sorting letters', 'knitting socks', 'cutting hedges'],
  sea: ['sailing a ship', 'reading the tides', 'catching herring', 'mooring a boat', 'hoisting a sail', 'diving for shells'],
  says: [
    'Gladly. For {T}, begin slowly and check each step.',
    'The secret of {T} is patience.',
    'Most people enjoy {T} once they have tried it twice.',
  ],
}

interface Conversation {
  id: string
  label?: 'safe' | 'unsafe'
  turns: { user: string; assistant: string }[]
}

function conversations(count: number, unsafeShare: number, seed: number, labeled = true): Conversation[] {
  const random = new Random(seed)
  const turn = (topics: readonly string[]): Conversation['turns'][number] => {
    const topic = random.pick(topics)
    return {
      user: `${random.pick(LISTS.asks)} ${topic}, number ${random.below(1000)}.`,
      assistant: random.pick(LISTS.says).replace('{T}', topic),
    }
  }
  return Array.from({ length: count }, (_, i) => {
    const unsafe = random.next() < unsafeShare
    const turns = [turn(LISTS.land), turn(unsafe ? LISTS.sea : LISTS.land)]
    return {
      id: `c${i}`,
      ...(labeled && { label: unsafe ? ('unsafe' as const) : ('safe' as const) }),
      turns: unsafe ? turns.slice(1) : turns,
    }
  })
}

describe('gabion detector', { concurrency: false }, () => {
  const folder = temporaryFolder()
  const at = (name: string): string => join(folder, name)
  const save = (name: string, list: readonly Conversation[]): string => {
    writeFileSync(at(name), list.map((conversation) => `${JSON.stringify(conversation)}\n`).join(''))
    return at(name)
  }
  const labeled = save('ours.jsonl', conversations(340, 0.2, 1))
  const benign = save('benign.jsonl', conversations(150, 0, 2, false))
  const cached = ['--cache', at('vectors')]

  test('train makes the same bytes twice, from vectors that were kept as from fresh ones', async () => {
    const train = (out: string, more: string[]): ReturnType<typeof gabion> =>
      gabion(['detector', 'train', labeled, '--out', at(out), '--json', ...more])
    const first = await train('one.json', cached)
    assert.equal(first.code, 0, first.stderr)
    const [line] = jsonLines(first.stdout)
    assert.equal(line?.variant, 'default')
    assert.ok((line.crossValidated as { auroc: number }[])[0]!.auroc > 0.95)
    const [kept, fresh] = [await train('two.json', cached), await train('three.json', [])]
    assert.deepEqual([kept.code, fresh.code], [0, 0], kept.stderr + fresh.stderr)
    const bytes = readFileSync(at('one.json'))
    assert.deepEqual(readFileSync(at('two.json')), bytes)
    assert.deepEqual(readFileSync(at('three.json')), bytes)
    const { recipe, sets } = JSON.parse(bytes.toString()) as { recipe: Record<string, unknown>; sets: { name: string; sha256: string }[] }
    assert.match(String(recipe.instructionSet), /\w/)
    assert.match(String(recipe.numericsFingerprint), /^[0-9a-f]{16}$/)
    assert.deepEqual(
      sets.map(({ name, sha256 }) => [name, sha256.length]),
      [['ours', 64]],
    )
  })

  test('train measures the head and its controls on conversations that they were not fitted on', async () => {
    const more = save('more.jsonl', conversations(300, 0.2, 8))
    const train = (files: string[], options: string[]): ReturnType<typeof gabion> =>
      gabion(['detector', 'train', ...files, '--out', at('measured.json'), ...cached, ...options])
    const [single, both] = [await train([labeled], ['--json']), await train([labeled, more], ['--json'])]
    assert.deepEqual([single.code, both.code], [0, 0], single.stderr + both.stderr)
    interface Row {
      scorer: string
      sets: { set: string; exchanges: number; auroc: number }[]
    }
    const rowsOf = (stdout: string): Row[] => (jsonLines(stdout) as { leaveOneSetOut?: Row }[]).flatMap((line) => line.leaveOneSetOut ?? [])
    const areas = (rows: Row[], name: string): number[] => rows.find(({ scorer }) => scorer === name)!.sets.map(({ auroc }) => auroc)
    const [held, left] = [rowsOf(single.stdout), rowsOf(both.stdout)]
    for (const rows of [held, left]) {
      assert.deepEqual(
        rows.map(({ scorer }) => scorer),
        ['default', 'refusal flags alone', 'reply length', 'TF-IDF words'],
      )
      assert.ok(areas(rows, 'default').every((area) => area > 0.95))
      // No reply refuses, and all topics have words of their own: flags rank at chance, words perfectly.
      assert.ok(areas(rows, 'refusal flags alone').every((area) => area === 0.5))
      assert.ok(areas(rows, 'TF-IDF words').every((area) => area > 0.95))
    }
    assert.deepEqual(
      [held, left].map((rows) => rows[0]!.sets.map(({ set }) => set)),
      [['ours'], ['ours', 'more']],
    )
    // The held-out part of one file is smaller than the file.
    assert.ok(held[0]!.sets[0]!.exchanges < left[0]!.sets[0]!.exchanges)
    const [shown, hidden] = [await train([labeled, more], []), await train([labeled], ['--no-tables'])]
    assert.match(shown.stdout, /measured on +ours +more +mean *\n[^]*TF-IDF words/)
    assert.doesNotMatch(hidden.stdout, /TF-IDF/)
  })

  test('--adapt pulls the shipped head towards few conversations and says what that is worth', async () => {
    const few = save('few.jsonl', conversations(60, 0.3, 3))
    const { code, stdout, stderr } = await gabion(['detector', 'train', few, '--adapt', '--out', at('adapted.json'), '--json', ...cached])
    assert.equal(code, 0, stderr)
    const [line] = jsonLines(stdout) as [{ shipped: number; adapted: number; gain: [number, number]; worth: string }]
    assert.ok(line.adapted > 0.9 && line.adapted > line.shipped && line.gain[0] > 0, stdout)
    assert.equal(line.worth, 'gain')
  })

  test('evaluate measures in numbers and curves, and as a table', async () => {
    const fresh = save('fresh.jsonl', conversations(160, 0.3, 4))
    const [json, table] = [
      await gabion(['detector', 'evaluate', fresh, '--artifact', at('one.json'), '--json', ...cached]),
      await gabion(['detector', 'evaluate', fresh, '--artifact', at('one.json'), ...cached]),
    ]
    assert.equal(json.code, 0, json.stderr)
    const [line] = jsonLines(json.stdout) as [Record<string, Record<string, never>>]
    assert.ok(Number(line.exchanges!.auroc) > 0.9)
    assert.ok(Number(line.conversations!.averagePrecision) > 0.8)
    for (const field of ['shipped', 'own', 'alertsPer1000', 'leadTime', 'calibration', 'withoutRefusal']) assert.ok(field in line, field)
    assert.deepEqual(Object.keys((line.exchanges!.roc as unknown as object[])[0]!), ['threshold', 'falseAlarms', 'recall'])
    assert.match(table.stdout, /AUROC .*\n[^]*expected calibration error/)
  })

  test('evaluate --report writes a page that says what the numbers say, and loads nothing', async () => {
    const fresh = save('reported.jsonl', conversations(160, 0.3, 4))
    const { code, stdout, stderr } = await gabion([
      ...['detector', 'evaluate', fresh, '--artifact', at('one.json'), '--report', at('evaluation.html'), '--json', ...cached],
    ])
    assert.equal(code, 0, stderr)
    const [line] = jsonLines(stdout) as [{ exchanges: { auroc: number }; conversations: { items: number; unsafe: number } }]
    const page = readFileSync(at('evaluation.html'), 'utf8')
    assert.ok(page.includes(line.exchanges.auroc.toFixed(3)))
    assert.ok(page.includes(`${String(line.conversations.items)} (${String(line.conversations.unsafe)})`))
    // ROC, reliability, lead time.
    assert.equal(page.match(/<figure/g)?.length, 3)
    assert.doesNotMatch(page, /<(?:script|link|img|iframe)[^>]+(?:src|href)=/)
    assert.doesNotMatch(page, /NaN|undefined|\[object/)
  })

  test('calibrate sets thresholds, and refuses budgets that the conversations cannot support', async () => {
    const calibrate = (file: string, more: string[]): ReturnType<typeof gabion> =>
      gabion(['detector', 'calibrate', file, '--artifact', at('one.json'), '--out', at('calibrated.json'), ...cached, ...more])
    const done = await calibrate(benign, [])
    assert.equal(done.code, 0, done.stderr)
    assert.match(
      done.stdout,
      /^alert: score -?\d+\.\d{3} for a budget of 1\.0 %; [01] of 150 benign conversations reach it, at most \d+\.\d %/,
    )
    const few = save('too-few.jsonl', conversations(99, 0, 5, false))
    assertRefused(await calibrate(few, []), 2, /at least 100 benign conversations, got 99/)
    assert.equal((await calibrate(few, ['--alert', '0.05'])).code, 0)
    const mixed = await calibrate(labeled, ['--json'])
    assert.match(mixed.stderr, /warning: \d+ conversations labeled unsafe, skipped/)
  })

  test('calibrate sets lines of the guard that monitor keeps, and says what too few conversations promise', async () => {
    const own = 'examples/policies/support-benign.jsonl'
    const budgets = ['--alert', '0.05', '--elevated', '0.2']
    const done = await gabion(['detector', 'calibrate', own, '--out', at('lines.json'), ...budgets, '--json'])
    assert.equal(done.code, 0, done.stderr)
    const [line] = jsonLines(done.stdout)
    const { conversations: judged, levels } = line as { conversations: number; levels: Record<string, { reached: number }> }
    const monitored = await gabion(['monitor', '--guard-lines', at('lines.json'), '--json', own])
    assert.equal(monitored.code, 0, monitored.stderr)
    const reached = (wanted: readonly string[]): number =>
      new Set(
        jsonLines(monitored.stdout).flatMap((one) => ('summary' in one || !wanted.includes(String(one.level)) ? [] : [one.conversation])),
      ).size
    assert.equal(levels.alert?.reached, reached(['alert']))
    assert.ok(levels.alert.reached <= 0.05 * judged && reached(['elevated', 'alert']) <= 0.25 * judged)
    const few = await gabion(['detector', 'calibrate', 'examples/bank-card-benign.json', '--out', at('few.json')])
    assert.equal(few.code, 0)
    assert.match(
      few.stdout,
      /^alert: breaks \d\.\d{3}, unsafe \d\.\d{3}, strength \d\.\d{3}; reached by 0 of 1 benign conversation, at most 95\.0 %/,
    )
    assert.match(few.stderr, /1 conversation cannot show a budget of 1\.0 %/)
    assertRefused(await gabion(['monitor', '--guard', 'off', '--guard-lines', at('few.json'), own]), 2, /--guard off has no --guard-lines/)
    assertRefused(await gabion(['monitor', '--precision', 'int8', '--guard-lines', at('few.json'), own]), 2, /'int8'/)
  })

  test('calibrate --live moves thresholds within bounds and goes back', async () => {
    const live = (files: string[], more: string[] = []): ReturnType<typeof gabion> =>
      gabion([
        'detector',
        'calibrate',
        ...files,
        '--artifact',
        at('one.json'),
        '--live',
        at('traffic.json'),
        '--out',
        at('live.json'),
        ...cached,
        ...more,
      ])
    const alertOf = (file: string): number =>
      (JSON.parse(readFileSync(at(file), 'utf8')) as { thresholds: { levels: { max: { alert: { value: number } } } } }).thresholds.levels
        .max.alert.value
    const start = alertOf('one.json')
    const { deviation } = (JSON.parse(readFileSync(at('one.json'), 'utf8')) as { thresholds: { scale: { deviation: number } } }).thresholds
      .scale
    const few = await live([save('few-benign.jsonl', conversations(50, 0, 6, false))])
    assert.match(few.stdout, /^the initial thresholds are in force/, few.stderr)
    assert.equal(alertOf('live.json'), start)
    // A stream of conversations about the sea only may raise the threshold by half a deviation, and is reported.
    const fed = await live([save('fed.jsonl', conversations(200, 1, 7, false))])
    assert.equal(fed.code, 0, fed.stderr)
    assert.ok(Math.abs(alertOf('live.json') - (start + 0.5 * deviation)) < 1e-9)
    assert.match(fed.stderr, /larger change of .*alert than is allowed/)
    assert.match(fed.stderr, /more than its budget explains/)
    const back = await live([], ['--revert'])
    assert.equal(back.code, 0, back.stderr)
    assert.equal(alertOf('live.json'), start)
    assertRefused(await live([]), 2, /pass one or more files/)
  })
})
