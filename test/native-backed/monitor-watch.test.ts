// Many conversations at once, streams, and the examples, over the bundled model.

import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { after, before, describe, test } from 'node:test'
import { Embedder } from '../../lib/embedding/embedder.js'
import { followTranscript } from '../../lib/transcripts/follow.js'
import { Monitor } from '../../lib/monitor/monitor.js'
import { readTranscript, type TranscriptConversation } from '../../lib/transcripts/transcript.js'
import { watchConversations, watchEvents, type WatchItem } from '../../lib/monitor/watch.js'

let embedder: Embedder
let monitor: Monitor
before(async () => {
  embedder = await Embedder.load()
  monitor = await Monitor.load({ embedder, detector: 'classic' })
})
after(() => {
  embedder.dispose()
})

function conversations(count: number): TranscriptConversation[] {
  return Array.from({ length: count }, (_, c) => ({
    id: `c${String(c)}`,
    exchanges: Array.from({ length: c % 4 }, (_, t) => ({
      user: `question ${String(t)} of ${String(c)}`,
      assistant: `an answer to it, ${'with more words '.repeat((c * 7 + t * 3) % 11)}number ${String(t)}`,
      context: [],
    })),
    pending: c % 2 === 0 ? ['one more thing'] : [],
    notes: [],
  }))
}

async function all(items: AsyncIterable<WatchItem>): Promise<WatchItem[]> {
  const list: WatchItem[] = []
  for await (const item of items) list.push(item)
  return list
}

/** Conversation, exchange and likelihood of each item; a summary is its conversation and `end`. */
function outline(items: readonly WatchItem[]): unknown[] {
  return items.map((item) =>
    item.kind === 'verdict'
      ? [item.verdict.conversation, item.verdict.exchange, item.verdict.likelihood]
      : [item.summary.conversation, 'end'],
  )
}

describe('many conversations', () => {
  test('come out in order, with the same verdicts at any number of exchanges in flight', async () => {
    const input = conversations(12)
    const one = await all(watchConversations(monitor, input, { exchangesInFlight: 1 }))
    for (const exchangesInFlight of [2, 7, 64]) {
      assert.deepEqual(outline(await all(watchConversations(monitor, input, { exchangesInFlight }))), outline(one))
    }
    assert.deepEqual(outline(await all(watchConversations(monitor, input))), outline(one))
    assert.deepEqual(
      one.map((item) =>
        item.kind === 'verdict' ? `${item.verdict.conversation}.${String(item.verdict.exchange)}` : `${item.summary.conversation}.end`,
      ),
      input.flatMap(({ id, exchanges }) => [...exchanges.map((_, t) => `${id}.${String(t + 1)}`), `${id}.end`]),
    )
    assert.equal(monitor.size, 0)
  })

  test('are summed up', async () => {
    const input = [
      ...conversations(4).slice(2, 3),
      { id: 'none', exchanges: [], pending: [], notes: ['sorted'] },
      { id: 'long', exchanges: [{ user: 'word '.repeat(400), assistant: 'yes', context: [] }], pending: [], notes: [] },
    ]
    const items = await all(watchConversations(monitor, input))
    const summaries = items.flatMap((item) => (item.kind === 'summary' ? [item.summary] : []))
    const verdicts = items.flatMap((item) => (item.kind === 'verdict' ? [item.verdict] : []))
    const [c2, none, long] = summaries
    const of = verdicts.filter(({ conversation }) => conversation === 'c2')
    const likelihood = Math.max(...of.map((verdict) => verdict.likelihood))
    assert.deepEqual(c2, {
      conversation: 'c2',
      exchanges: 2,
      alerts: of.filter(({ alert }) => alert).length,
      firstAlert: of.find(({ alert }) => alert)?.exchange ?? null,
      highest: { likelihood, exchange: of.find((verdict) => verdict.likelihood === likelihood)?.exchange },
      truncated: 0,
      pending: 1,
      notes: [],
    })
    assert.deepEqual(none, {
      conversation: 'none',
      exchanges: 0,
      alerts: 0,
      firstAlert: null,
      highest: null,
      truncated: 0,
      pending: 0,
      notes: ['sorted'],
    })
    assert.equal(long?.truncated, 1)
  })

  test('of one id stay apart', async () => {
    const [, , one] = conversations(3) as [unknown, unknown, TranscriptConversation]
    const items = outline(await all(watchConversations(monitor, [one, one])))
    assert.equal(items.length, 6)
    assert.deepEqual(items.slice(0, 3), items.slice(3))
  })

  test('an unreadable one ends the run after the verdicts before it', async () => {
    async function* broken(): AsyncGenerator<TranscriptConversation> {
      yield* conversations(3)
      await Promise.resolve()
      throw new Error('unreadable')
    }
    const seen: WatchItem[] = []
    await assert.rejects(async () => {
      for await (const item of watchConversations(monitor, broken())) seen.push(item)
    }, /unreadable/)
    assert.equal(seen.length, 6)
  })

  test('are aborted by the signal', async () => {
    const controller = new AbortController()
    const run = async (): Promise<void> => {
      for await (const _ of watchConversations(monitor, conversations(200), { signal: controller.signal })) controller.abort()
    }
    await assert.rejects(run(), { code: 'ABORTED' })
  })

  test('wrong options are refused', async () => {
    await assert.rejects(all(watchConversations(monitor, [], { exchangesInFlight: 0 })), {
      code: 'INVALID_ARGUMENT',
      message: /exchangesInFlight/,
    })
    await assert.rejects(all(watchConversations(monitor, [], { threads: 0 } as object)), { code: 'INVALID_ARGUMENT', message: /'threads'/ })
  })
})

test('a stream is judged line by line while it stays open, and summed up at its end', async () => {
  const stream = new PassThrough()
  const items = watchEvents(monitor, followTranscript(stream, 'live'))
  const next = async (): Promise<unknown> =>
    outline([(await items.next()).value as WatchItem]).map((item) => (item as unknown[]).slice(0, 2))
  stream.write('{"conversation":"a","user":"hello","assistant":"good day"}\n')
  assert.deepEqual(await next(), [['a', 1]])
  stream.write('{"conversation":"b","user":"hello","assistant":"good day"}\n{"conversation":"a","user":"more","assistant":"here"}\n')
  assert.deepEqual(await next(), [['b', 1]])
  assert.deepEqual(await next(), [['a', 2]])
  stream.end('{"conversation":"b","role":"user","text":"still there?"}\n')
  const rest = await all(items)
  assert.deepEqual(
    rest.map((item) => item.kind === 'summary' && [item.summary.conversation, item.summary.exchanges, item.summary.pending]),
    [
      ['a', 2, 0],
      ['b', 1, 1],
    ],
  )
})

describe('the examples', () => {
  async function states(file: string): Promise<{ levels: string[]; firstAlert: number | null; pending: number }> {
    const example = fileURLToPath(new URL(`../../examples/${file}`, import.meta.url))
    const items = await all(watchConversations(monitor, readTranscript(example)))
    const last = items.at(-1)
    assert.ok(last?.kind === 'summary')
    const { firstAlert, pending } = last.summary
    return { levels: items.flatMap((item) => (item.kind === 'verdict' ? [item.verdict.level] : [])), firstAlert, pending }
  }

  test('the eroding one is calm while the rules hold and alerts at the exchange where they give way', async () => {
    const eroding = await states('shop-refund-eroding.json')
    assert.deepEqual(eroding.levels.slice(0, 4), ['calm', 'calm', 'calm', 'calm'])
    assert.equal(eroding.firstAlert, 5)
    assert.ok(eroding.levels.filter((level) => level === 'alert').length >= 4)
  })

  test('the benign ones stay calm', async () => {
    for (const file of ['bank-card-benign.json', 'bank-address-benign.csv']) {
      const benign = await states(file)
      assert.ok(benign.levels.length >= 7)
      assert.ok(
        benign.levels.every((level) => level === 'calm'),
        `${file}: ${benign.levels.join()}`,
      )
    }
  })

  test('the false alarm is one, as its name says', async () => {
    const harmless = await states('parcel-false-alarm-chat.json')
    assert.equal(harmless.firstAlert, 1)
    assert.equal(harmless.pending, 1)
  })
})
