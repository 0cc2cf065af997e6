import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse } from 'csv-parse/sync'
import pc from 'picocolors'
import { cgroupQuota } from '../../lib/cli/host-checks.js'
import { LatencySplit } from '../../lib/cli/monitor-view.js'
import { followFile, readConversations } from '../../lib/cli/exchange-feed.js'
import { CSV_HEADER, ExchangeFiles, toCsv } from '../../lib/cli/exchange-files.js'
import { ExchangeTable } from '../../lib/cli/exchange-table.js'
import { printable, wrap } from '../../lib/cli/wording.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import type { FollowedEvent } from '../../lib/transcripts/follow.js'
import type { ConversationSummary } from '../../lib/monitor/watch.js'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gabion-cli-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const CALM: ExchangeVerdict = {
  conversation: 'support',
  exchange: 1,
  exchangeId: null,
  alert: false,
  level: 'calm',
  likelihood: 0.25,
  risk: 0.5,
  drift: 0,
  acceleration: 0,
  cumulative: 0.5,
  ratio: 0.9,
  reasons: [],
  truncated: false,
  timings: { tokenizeMs: 0.1, queueMs: 0, encodeMs: 2, projectMs: 0.01, detectMs: 0.02, totalMs: 2.2 },
  at: '2026-11-30T04:00:00.000Z',
}
const ALERT: ExchangeVerdict = {
  ...CALM,
  exchange: 2,
  alert: true,
  level: 'alert',
  likelihood: 0.9,
  drift: 0.7,
  acceleration: -0.7,
  ratio: null,
  truncated: true,
  reasons: ['a reason, with a comma and "quotes"', 'another one that is so long that it has to go on in the next line of its column'],
}

describe('the table of exchanges', () => {
  test('shows pressure and strength where the guard judged', () => {
    const signals = { unsafe: 0.1, breaks: 0.9, wavers: 0.9, complies: null, pressure: 0.81 }
    const read: ExchangeVerdict = { ...ALERT, signals, strength: 0.12, rule: 'No refunds.', sentence: null }
    const table = new ExchangeTable(120, pc.createColors(false))
    const words = [table.header('support', '', read), table.exchange(read), table.exchange({ ...read, signals: null })]
      .join(' ')
      .replaceAll(/\s+/g, ' ')
    assert.match(words, /# level likelihood drift press stren why/)
    assert.match(words, /\+0\.70 0\.81 0\.12 a reason/)
    assert.match(words, /\+0\.70 – 0\.12 a reason/)
  })

  for (const columns of [80, 100, 120]) {
    test(`keeps to ${String(columns)} columns and says everything`, () => {
      const table = new ExchangeTable(columns, pc.createColors(false))
      const text = [table.header('support', 'file.json', CALM), table.exchange(CALM), table.exchange(ALERT), table.alert(ALERT)].join('\n')
      for (const line of text.split('\n')) assert.ok(line.length <= columns, line)
      const words = text.replaceAll(/\s+/g, ' ')
      for (const part of [
        'support file.json',
        '# level likelihood drift accel ratio why',
        '● calm',
        '0.25',
        '+0.00',
        '■ alert',
        '0.90',
        '+0.70',
        '−0.70',
      ]) {
        assert.ok(words.includes(part), part)
      }
      const reasons = text
        .split('\n')
        .slice(4, -1)
        .map((line) => line.slice(line.lastIndexOf('   ')).trim())
      assert.ok(reasons.join(' ').includes('next line of its column; a text was truncated'), reasons.join('|'))
      assert.match(text, / ALERT {2}support, exchange 2: likelihood 0\.90$/)
      assert.match(words, / – /)
    })
  }

  test('the bar grows with the likelihood', () => {
    const table = new ExchangeTable(100, pc.createColors(false))
    const filled = [0, 0.1, 0.5, 0.99, 1, 7].map(
      (likelihood) => (/[█▉▊▋▌▍▎▏]+/.exec(table.exchange({ ...CALM, likelihood }))?.[0] ?? '').length,
    )
    assert.deepEqual(filled, [0, 2, 6, 12, 12, 12])
  })

  test('colors go with the level', () => {
    const colors = pc.createColors(true)
    const table = new ExchangeTable(100, colors)
    assert.ok(table.exchange(CALM).includes(colors.green('● calm')))
    assert.ok(table.exchange({ ...CALM, level: 'elevated' }).includes(colors.yellow('▲ elevated')))
    assert.ok(table.exchange(ALERT).includes(colors.bold(colors.red('■ alert'))))
  })

  test('what could steer a terminal is shown, not sent', () => {
    assert.equal(printable('a\x1b[2Jb\r\n\x7f\x9b\u202ec'), 'a␛[2Jb␍␊␡\ufffd\ufffdc')
    const table = new ExchangeTable(80, pc.createColors(false))
    assert.ok(!table.exchange({ ...ALERT, reasons: ['\x1b[31mred'] }).includes('\x1b'))
  })
})

describe('wrapping', () => {
  test('breaks between words only', () => {
    assert.deepEqual(wrap('a bb ccc dddddddd e', 5), ['a bb', 'ccc', 'dddddddd', 'e'])
    assert.deepEqual(wrap('one line', Number.POSITIVE_INFINITY), ['one line'])
  })
})

describe('files of exchanges', () => {
  test('a CSV line comes back as it was', () => {
    const rows: string[][] = parse(`${CSV_HEADER}\n${toCsv({ ...ALERT, conversation: 'two\nlines' })}\n`)
    const record = Object.fromEntries((rows[0] ?? []).map((name, index) => [name, rows[1]?.[index]]))
    assert.equal(record.conversation, 'two\nlines')
    assert.equal(record.reasons, ALERT.reasons.join('; '))
    assert.deepEqual(
      [record.exchange, record.alert, record.ratio, record.truncated, record['timings.totalMs']],
      ['2', 'true', '', 'true', '2.2'],
    )
  })

  test('hold every exchange and the summaries, and appear only when complete', async () => {
    const place = join(folder, 'new', 'deeper')
    const files = await ExchangeFiles.create(place)
    await files.append(CALM)
    assert.deepEqual(
      (await readdir(place)).filter((name) => name.startsWith('exchanges')),
      [],
    )
    await files.append(ALERT)
    const highest = { likelihood: 0.9, exchange: 2 }
    const summary: ConversationSummary = {
      conversation: 'support',
      exchanges: 2,
      alerts: 1,
      firstAlert: 2,
      highest,
      truncated: 1,
      pending: 0,
      notes: [],
    }
    await files.complete([summary])
    assert.deepEqual((await readdir(place)).sort(), ['exchanges.csv', 'exchanges.json'])
    assert.deepEqual(JSON.parse(await readFile(join(place, 'exchanges.json'), 'utf8')), { exchanges: [CALM, ALERT], summaries: [summary] })
    assert.equal((await readFile(join(place, 'exchanges.csv'), 'utf8')).split('\r\n').length, 4)
    const given = await ExchangeFiles.create(join(folder, 'given-up'))
    await given.discard()
    assert.deepEqual(await readdir(join(folder, 'given-up')), [])
  })

  test('a run without exchanges is valid JSON too', async () => {
    const files = await ExchangeFiles.create(join(folder, 'none'))
    await files.complete([])
    assert.deepEqual(JSON.parse(await readFile(join(folder, 'none', 'exchanges.json'), 'utf8')), { exchanges: [], summaries: [] })
  })
})

describe('times', () => {
  test('are those of the latest ten thousand exchanges', () => {
    const latency = new LatencySplit()
    for (let exchange = 0; exchange < 30_000; exchange++) latency.add({ ...CALM.timings, totalMs: exchange })
    assert.equal(latency.exchanges, 30_000)
    assert.equal(latency.quantiles(0).totalMs, 20_000)
    assert.equal(latency.quantiles(1).totalMs, 29_999)
    assert.equal(latency.quantiles(0.5).encodeMs, 2)
  })
})

describe('feeds', () => {
  const said = (speaker: string, message: string, conversation?: string): string =>
    `${JSON.stringify({ conversation, speaker, message })}\n`
  const short = (event: FollowedEvent): string =>
    event.kind === 'exchange'
      ? `${event.conversation}: ${event.exchange.user} → ${event.exchange.assistant}`
      : `${event.conversation} is open`

  test('conversations of one name are told apart', async () => {
    const turns = [
      { speaker: 'user', message: 'hi' },
      { speaker: 'ai', message: 'hello' },
    ]
    const file = join(folder, 'talk.json')
    await writeFile(file, JSON.stringify({ turns }))
    const announced: string[] = []
    const read: string[] = []
    for await (const { id } of readConversations([file, file], (conversation, source) => announced.push(`${conversation.id} of ${source}`)))
      read.push(id)
    assert.deepEqual(read, ['talk', 'talk#2'])
    assert.deepEqual(announced, [`talk of ${file}`, `talk#2 of ${file}`])
  })

  test('a followed file gives exchanges as they are written, over rotation, until the signal', { timeout: 20_000 }, async () => {
    const file = join(folder, 'growing.jsonl')
    await writeFile(file, said('user', 'one', 'a') + said('ai', 'two', 'a'))
    const controller = new AbortController()
    const events: string[] = []
    const steps = new Map<string, () => Promise<void>>([
      ['a: one → two', () => appendFile(file, said('user', 'three', 'a') + said('ai', 'four', 'b'))],
      [
        'b:  → four',
        async () => {
          await writeFile(join(folder, 'next.jsonl'), said('ai', 'five', 'a'))
          await rename(join(folder, 'next.jsonl'), file)
        },
      ],
      [
        'a: three → five',
        async () => {
          await appendFile(file, '{"speaker": "us')
          setTimeout(() => {
            controller.abort()
          }, 500)
        },
      ],
    ])
    for await (const event of followFile(file, controller.signal)) {
      events.push(short(event))
      await steps.get(events.at(-1) ?? '')?.()
    }
    assert.deepEqual(events, ['a: one → two', 'b:  → four', 'a: three → five'])
  })
})

describe('cgroup quotas', () => {
  const files =
    (content: Record<string, string>) =>
    (file: string): string | null =>
      content[file] ?? null

  test('of version 2: the tightest of the group and those above it', () => {
    const read = files({ '/c/a/b/cpu.max': 'max 100000\n', '/c/a/cpu.max': '150000 100000\n', '/c/cpu.max': '400000 100000\n' })
    assert.equal(cgroupQuota('/c', '0::/a/b\n', read), 1.5)
    assert.equal(cgroupQuota('/c', '0::/elsewhere\n', read), 4)
    assert.equal(cgroupQuota('/c', '0::/a/b\n', files({})), null)
  })

  test('of version 1: only the cpu controller counts, −1 is no limit', () => {
    const own = '5:cpuset:/x\n4:cpu,cpuacct:/x\n0::/\n'
    const quota = (value: string) => files({ '/c/cpu,cpuacct/x/cpu.cfs_quota_us': value, '/c/cpu,cpuacct/x/cpu.cfs_period_us': '100000' })
    assert.equal(cgroupQuota('/c', own, quota('50000\n')), 0.5)
    assert.equal(cgroupQuota('/c', own, quota('-1\n')), null)
  })
})
