// To which conversation the exchanges of a chat belong, where the store has only the latest of them.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { identityOf, judgeReply, readChat, type ChatExchanges, type ChatMessage } from '../../lib/monitor/chat.js'

const MAX_KNOWN = 4

/** Keeps the last ids of each conversation and counts what it judges. */
class MemoryExchanges implements ChatExchanges<number> {
  readonly judged = new Map<string, string[]>()

  exchangeIdsOf(conversation: string): Promise<readonly string[]> {
    return Promise.resolve((this.judged.get(conversation) ?? []).slice(-MAX_KNOWN))
  }

  judge(conversation: string, { id }: { id: string }): Promise<number> {
    const ids = this.judged.get(conversation) ?? []
    this.judged.set(conversation, [...ids, id])
    return Promise.resolve(ids.length + 1)
  }

  get counts(): number[] {
    return [...this.judged.values()].map(({ length }) => length)
  }
}

/** The messages before the reply of the exchange with that index. */
function history(index: number, replyOf = (at: number): string => `answer ${at}`): ChatMessage[] {
  const messages = Array.from({ length: index }, (_, at) => [
    { role: 'user', text: `question ${at}` },
    { role: 'assistant', text: replyOf(at) },
  ]).flat()
  return [...messages, { role: 'user', text: `question ${index}` }]
}

async function play(store: MemoryExchanges, from: number, to: number, replyOf = (at: number): string => `answer ${at}`): Promise<void> {
  for (let at = from; at < to; at++) {
    const messages = history(at, replyOf)
    await judgeReply(store, identityOf(messages, 'caller'), messages, { words: replyOf(at), calls: '' })
  }
}

describe('a chat that is longer than its store', () => {
  test('stays one conversation, and no exchange is judged twice', async () => {
    const store = new MemoryExchanges()
    await play(store, 0, 3 * MAX_KNOWN)
    assert.deepEqual(store.counts, [3 * MAX_KNOWN])
  })

  test('branches where a reply is asked for again', async () => {
    const store = new MemoryExchanges()
    await play(store, 0, 10)
    const other = (at: number): string => (at === 9 ? 'another answer' : `answer ${at}`)
    await play(store, 9, 20, other)
    assert.deepEqual(store.counts, [10, 20])
  })

  test('comes to an end where all of its exchanges are forgotten', async () => {
    const store = new MemoryExchanges()
    await play(store, 0, 10)
    for (const changed of [0, 2, 5])
      for (let round = 0; round < 3; round++) {
        const other = (at: number): string => (at >= changed ? `${changed}/${round}/${at}` : `answer ${at}`)
        await play(store, 3, 12, other)
        await play(store, 9, 10)
      }
    assert.ok(store.judged.size < 40)
  })
})

test('an exchange of a chat has the system prompt in force', async () => {
  const messages = [
    { role: 'system', text: 'be kind' },
    { role: 'developer', text: 'be brief' },
    { role: 'user', text: 'a' },
    { role: 'assistant', text: 'b' },
    { role: 'system', text: 'be gone' },
    { role: 'user', text: 'c' },
    { role: 'assistant', text: 'd' },
  ]
  const systems = async (from: number): Promise<(string | null)[]> =>
    (await readChat({ conversation: 'x', explicit: true }, messages.slice(from))).exchanges.map(({ system }) => system)
  assert.deepEqual(await systems(0), ['be kind\nbe brief', 'be gone'])
  assert.deepEqual(await systems(2), [null, 'be gone'])
})
