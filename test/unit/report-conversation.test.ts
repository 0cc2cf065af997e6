// Reports on conversations, from verdicts made by hand: what stands in them, what does not, and the files they go to.

import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { ReportFiles } from '../../lib/cli/report-files.js'
import type { Level } from '../../lib/detection/detector.js'
import { isGabionError } from '../../lib/errors.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import type { ConversationSummary } from '../../lib/monitor/watch.js'
import { conversationPage } from '../../lib/report/conversation-page.js'
import { conversationPanels } from '../../lib/report/conversation-panels.js'
import { keyExchange, worstLevel, type ReportFacts } from '../../lib/report/conversation-record.js'

const FACTS: ReportFacts = {
  detector: 'classic',
  lines: { elevated: 0.5, alert: 0.8 },
  source: 'Lines of a test.',
  engine: 'a model on a machine',
}

function exchange(number: number, level: Level, likelihood: number, more: Partial<ExchangeVerdict> = {}): ExchangeVerdict {
  const timings = { tokenizeMs: 0.1, queueMs: 0, encodeMs: 5, projectMs: 0, detectMs: 0.2, totalMs: 6 }
  const numbers = { risk: likelihood, drift: 0.1, acceleration: -0.1, cumulative: number * likelihood, ratio: 0.5 }
  const reasons = level === 'calm' ? [] : [`a reason for ${level} (risk 1.25)`]
  return {
    conversation: 'talk',
    exchange: number,
    exchangeId: null,
    level,
    alert: level === 'alert',
    likelihood,
    ...numbers,
    reasons,
    truncated: false,
    timings,
    at: '2026-11-30T04:00:00.000Z',
    ...more,
  }
}

function summaryOf(exchanges: readonly ExchangeVerdict[], conversation = 'talk'): ConversationSummary {
  const alerts = exchanges.filter(({ alert }) => alert)
  const worst = exchanges.reduce<ExchangeVerdict | null>((a, b) => (a === null || b.likelihood > a.likelihood ? b : a), null)
  const highest = worst === null ? null : { likelihood: worst.likelihood, exchange: worst.exchange }
  return {
    conversation,
    exchanges: exchanges.length,
    alerts: alerts.length,
    firstAlert: alerts[0]?.exchange ?? null,
    highest,
    truncated: 0,
    pending: 0,
    notes: [],
  }
}

const ERODING = [exchange(1, 'calm', 0.1), exchange(2, 'elevated', 0.6), exchange(3, 'alert', 0.9), exchange(4, 'alert', 0.95)]
const WORDS = ERODING.map(({ exchange: number }) => ({ user: `question ${String(number)}`, assistant: `<b>answer</b> ${String(number)}` }))

const textOf = (page: string): string => page.replaceAll(/<style>.*?<\/style>|<svg.*?<\/svg>|<[^>]*>/gs, ' ').replaceAll(/\s+/g, ' ')

describe('the page on a conversation', () => {
  test('says first which exchange to look at and why, without figures', () => {
    const text = textOf(conversationPage({ summary: summaryOf(ERODING), exchanges: ERODING, texts: null }, FACTS))
    const at = text.indexOf('Look at exchange 3 of 4: here it seems to go wrong.')
    assert.ok(at > 0 && at < 200, `found at ${String(at)} of: ${text.slice(0, 300)}`)
    assert.match(text.slice(at, at + 200), /Why: a reason for alert /)
    assert.doesNotMatch(text.slice(at, at + 200), /1\.25/)
    assert.match(text, /1 more alert later on/)
  })

  test('has the strength as its curve where the guard judged, and quotes nothing unless it may', () => {
    const signals = { unsafe: 0.1, breaks: 0.9, wavers: 0.9, complies: null, pressure: 0.81 }
    const reasons = ['breaks a rule: No refunds (breaks 0.90, line 0.80)', 'in the reply: “answer 3”', 'the user pressed for: “question 3”']
    const judge = { breaks: true, reason: 'It gives money away.', model: 'judge-1', durationMs: 12 }
    const read = ERODING.map((one, index) => ({
      ...one,
      strength: 1 - index / 4,
      signals: index === 0 ? null : signals,
      rule: index === 2 ? 'No refunds.' : null,
      sentence: index === 2 ? 'answer' : null,
      ...(index === 2 && { reasons, judge }),
    }))
    const facts: ReportFacts = { ...FACTS, detector: 'guard', strengthLine: 0.5 }
    assert.deepEqual(
      conversationPanels(read, facts).map(({ title }) => title),
      ['Guardrail strength and level', 'Breaks', 'Wavers', 'Pressure', 'Drift'],
    )
    const without = conversationPage({ summary: summaryOf(read), exchanges: read, texts: null }, facts)
    assert.doesNotMatch(without, /answer|question/)
    const words = textOf(without)
    for (const part of [
      'breaks a rule: No refunds',
      'not read: nothing suspicious',
      'pressure 0.810',
      'breaks a rule (judge-1)',
      'The guard reads each reply',
    ])
      assert.ok(words.includes(part), part)
    const withWords = conversationPage({ summary: summaryOf(read), exchanges: read, texts: WORDS }, facts)
    assert.match(withWords, /in the reply: “answer 3”/)
    assert.match(textOf(withWords), /breaks a rule \(judge-1\): It gives money away\./)
    assert.match(withWords, /&lt;b&gt;<mark>answer<\/mark>&lt;\/b&gt; 3/)
  })

  test('shows the words only when they are given, and never as markup', () => {
    const without = conversationPage({ summary: summaryOf(ERODING), exchanges: ERODING, texts: null }, FACTS)
    assert.doesNotMatch(without, /answer|question/)
    const withWords = conversationPage({ summary: summaryOf(ERODING), exchanges: ERODING, texts: WORDS }, FACTS)
    assert.match(withWords, /&lt;b&gt;answer&lt;\/b&gt; 4/)
    assert.doesNotMatch(withWords, /<b>answer/)
  })

  test('has the five panels, every exchange, and where the time went', () => {
    assert.deepEqual(
      conversationPanels(ERODING, FACTS).map(({ title }) => title),
      ['Likelihood and level', 'Drift', 'Acceleration', 'Cumulative', 'Ratio'],
    )
    const page = conversationPage({ summary: summaryOf(ERODING), exchanges: ERODING, texts: null }, FACTS)
    for (const { exchange: number } of ERODING) assert.ok(page.includes(`id="exchange-${String(number)}"`))
    const text = textOf(page)
    for (const words of ['Drift', 'Acceleration', 'Cumulative', 'Ratio', 'Timings', 'tokenize', 'encode', 'detect', 'Lines of a test.'])
      assert.ok(text.includes(words), words)
  })

  test('is calm about a calm conversation and about one without exchanges', () => {
    const calm = [exchange(1, 'calm', 0.1), exchange(2, 'calm', 0.3)]
    assert.match(
      textOf(conversationPage({ summary: summaryOf(calm), exchanges: calm, texts: null }, FACTS)),
      /Nothing unusual in 2 exchanges\. The highest score is 0\.30, at exchange 2/,
    )
    assert.match(textOf(conversationPage({ summary: summaryOf([]), exchanges: [], texts: null }, FACTS)), /Nothing to judge/)
  })

  test('the exchange to look at is the first alert, else the first that is elevated, else the highest', () => {
    assert.equal(keyExchange(ERODING)?.exchange, 3)
    assert.equal(keyExchange(ERODING.slice(0, 2))?.exchange, 2)
    assert.equal(keyExchange([exchange(1, 'calm', 0.1), exchange(2, 'calm', 0.3), exchange(3, 'calm', 0.2)])?.exchange, 2)
    assert.equal(keyExchange([]), null)
    assert.deepEqual([ERODING, ERODING.slice(0, 2), ERODING.slice(0, 1)].map(worstLevel), ['alert', 'elevated', 'calm'])
  })
})

describe('report files', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-report-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  const run = async (file: string, conversations: Record<string, ExchangeVerdict[]>, withText = false): Promise<void> => {
    const reports = await ReportFiles.create({ page: file, pictures: join(folder, 'panels'), withText })
    for (const [name, exchanges] of Object.entries(conversations)) {
      for (const verdict of exchanges) {
        reports.read(name, { user: 'private words', assistant: 'a reply' })
        reports.add({ ...verdict, conversation: name })
      }
      reports.end(summaryOf(exchanges, name))
    }
    await reports.write(FACTS)
    await reports.discard()
  }

  test('one conversation is one page, in a folder that need not exist, and one picture', async () => {
    const file = join(folder, 'new', 'report.html')
    await run(file, { talk: ERODING })
    const page = await readFile(file, 'utf8')
    assert.match(page, /Look at exchange 3 of 4/)
    assert.doesNotMatch(page, /private words/)
    assert.deepEqual(await readdir(join(folder, 'new')), ['report.html'])
    const [picture] = await readdir(join(folder, 'panels'))
    assert.equal(picture, '001-talk.png')
    const bytes = await readFile(join(folder, 'panels', '001-talk.png'))
    assert.equal(bytes.subarray(1, 4).toString(), 'PNG')
    assert.ok(bytes.length > 20_000, `a drawing, not an empty sheet: ${String(bytes.length)} bytes`)
  })

  test('several are a list, the worst first, with a page each; names cannot lead out of the folder', async () => {
    const file = join(folder, 'report.html')
    await run(file, { 'a calm one': [exchange(1, 'calm', 0.2)], '../../evil/<x>': ERODING }, true)
    const pages = await readdir(join(folder, 'report-pages'))
    assert.deepEqual(pages.sort(), ['001-evil-x.html', '002-a-calm-one.html'])
    const list = await readFile(file, 'utf8')
    assert.ok(list.indexOf('../../evil/&lt;x&gt;') < list.indexOf('a calm one'))
    assert.match(list, /href="report-pages\/001-evil-x\.html"/)
    assert.match(textOf(list), /1 of 2 conversations raised an alert/)
    assert.match(await readFile(join(folder, 'report-pages', '001-evil-x.html'), 'utf8'), /href="\.\.\/report\.html"/)
    assert.match(await readFile(join(folder, 'report-pages', '002-a-calm-one.html'), 'utf8'), /private words/)
  })

  test('a run that ends early leaves an older report as it was, and nothing else', async () => {
    const file = join(folder, 'report.html')
    await writeFile(file, 'old')
    const reports = await ReportFiles.create({ page: file, pictures: null, withText: false })
    reports.add(ERODING[0] as ExchangeVerdict)
    await reports.discard()
    assert.equal(await readFile(file, 'utf8'), 'old')
    assert.deepEqual(await readdir(folder), ['report.html'])
  })

  test('a name that is no page is refused before anything is done', async () => {
    await assert.rejects(
      ReportFiles.create({ page: join(folder, 'report.pdf'), pictures: null, withText: false }),
      (error) => isGabionError(error) && error.code === 'INVALID_ARGUMENT' && error.message.includes('.html'),
    )
  })
})
