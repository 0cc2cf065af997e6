// Random trees of requests through the proxy against a reference model: which of them are ended, and what is judged how often.

import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { Monitor } from '../../lib/index.js'
import { ScriptedDetector } from '../../lib/testing/scripted-detector.js'
import { REPLACEMENT, startProxy, type ProxyUnderTest, type Said } from './proxy-under-test.js'
import { testEmbedder } from './service-under-test.js'

/** Raises an alert for replies that begin with this word. */
const ALERT = 'ALERT'
const USER = ['hi', 'what is it?', 'and then?']
const REPLIES = ['hello', 'it is a shop', `${ALERT} one`, `${ALERT} two`]
const OWN = [REPLACEMENT, 'a reply of my own', '']

interface Shown {
  readonly user: string
  readonly assistant: string
}

/** One request of a caller: on which chat it is based, how much of that it keeps, what is asked and answered. */
interface Step {
  readonly caller: number
  readonly chat: number
  readonly kept: number
  /** What the client puts in the place of its last reply; null leaves it. */
  readonly changed: number | null
  readonly user: number
  readonly reply: number
  readonly stream: boolean
  readonly time: number
  readonly trims: boolean
}

const step: fc.Arbitrary<Step> = fc.record({
  caller: fc.nat(1),
  chat: fc.nat(50),
  kept: fc.oneof({ weight: 3, arbitrary: fc.constant(99) }, { weight: 1, arbitrary: fc.nat(4) }),
  changed: fc.option(fc.nat(OWN.length - 1), { nil: null, freq: 6 }),
  user: fc.nat(USER.length - 1),
  reply: fc.nat(REPLIES.length - 1),
  stream: fc.boolean(),
  time: fc.nat(1000),
  trims: fc.boolean(),
})

/** The reference: per caller, the replies that were delivered after each history, and those that raised an alert. */
class Model {
  readonly chats: Shown[][] = [[]]
  /** Replies that were judged without an alert, the client's own ones with them. */
  readonly #calm = new Map<string, Set<string>>()
  readonly #alerted = new Set<string>()

  isEnded(history: readonly Shown[], user: string): boolean {
    const asked = [
      ...history.map((shown, index) => ({ ...shown, before: history.slice(0, index) })),
      { user, assistant: null, before: history },
    ]
    return asked.some(({ user, assistant, before }) => {
      const place = JSON.stringify([before, user])
      const isOther = assistant !== null && assistant !== REPLACEMENT && this.#calm.get(place)?.has(assistant) === true
      return this.#alerted.has(place) && !isOther
    })
  }

  answer(history: readonly Shown[], user: string, reply: string): string {
    const alerts = reply.startsWith(ALERT)
    if (alerts) this.#alerted.add(JSON.stringify([history, user]))
    for (const [index, shown] of [...history, ...(alerts ? [] : [{ user, assistant: reply }])].entries()) {
      const place = JSON.stringify([history.slice(0, index), shown.user])
      this.#calm.set(place, (this.#calm.get(place) ?? new Set()).add(shown.assistant))
    }
    const assistant = alerts ? REPLACEMENT : reply
    this.chats.push([...history, { user, assistant }])
    return assistant
  }
}

describe('gabion proxy --on-alert end, random trees', () => {
  let proxy: ProxyUnderTest
  before(async () => {
    const detector = new ScriptedDetector(({ assistant }) => (assistant.startsWith(ALERT) ? 'alert' : 'calm'))
    proxy = await startProxy({ policy: 'end' }, { monitor: await Monitor.load({ embedder: await testEmbedder(), detector }) })
  })

  let run = 0
  it('ends exactly the paths that contain an alert', async () => {
    let ended = 0
    let open = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const models = [new Model(), new Model()]
        run++
        for (const { caller, chat, kept, changed, user: asked, reply: answered, stream, time, trims } of steps) {
          const model = models[caller]!
          const history = model.chats[chat % model.chats.length]!.slice(0, kept)
          if (changed !== null && history.length > 0) history.push({ ...history.pop()!, assistant: OWN[changed]! })
          // An empty reply is none: the next message joins the one before it.
          const unanswered = history.at(-1)?.assistant === ''
          const user = USER[asked]!
          const messages: Said[] = [{ role: 'system', content: `You work in a shop. It is ${time} o'clock.` }]
          for (const shown of history) {
            messages.push({ role: 'user', content: trims ? ` ${shown.user}\n` : shown.user })
            messages.push({ role: 'assistant', content: trims ? `${shown.assistant} ` : shown.assistant })
          }
          messages.push({ role: 'user', content: user })
          const expected = unanswered ? model.isEnded(history.slice(0, -1), history.at(-1)!.user) : model.isEnded(history, user)
          // What follows an empty reply is a path of its own, which the reference does not follow.
          if (unanswered && !expected) continue
          const headers = { authorization: `Bearer caller-${caller}-of-run-${run}` }
          const { status, words } = await proxy.ask(messages, { reply: REPLIES[answered]! }, { stream, headers })
          if (expected) {
            ended++
            assert.deepEqual([status, words], [403, 'CONVERSATION_ENDED'])
          } else {
            open++
            assert.deepEqual([status, words], [200, model.answer(history, user, REPLIES[answered]!)])
          }
        }
      }),
      { numRuns: 60, endOnFailure: true },
    )
    // Both happen often, so that the property says something.
    assert.ok(ended > 50 && open > 200, `${ended} ended, ${open} open`)
  })
})

describe('gabion proxy, trees', () => {
  const judged = new Map<string, number>()
  let proxy: ProxyUnderTest
  before(async () => {
    const detector = new ScriptedDetector(({ user, assistant }) => {
      const key = `${user} ${assistant}`
      judged.set(key, (judged.get(key) ?? 0) + 1)
      return 'calm'
    })
    proxy = await startProxy({ policy: 'hold' }, { monitor: await Monitor.load({ embedder: await testEmbedder(), detector }) })
  })

  async function play(history: Said[], user: string, reply: string): Promise<{ conversation: string; exchange: string | null }> {
    history.push({ role: 'user', content: user })
    const { headers, words } = await proxy.ask(history, { reply })
    history.push({ role: 'assistant', content: words })
    return { conversation: headers.get('x-gabion-conversation')!, exchange: headers.get('x-gabion-exchange') }
  }

  it('stay one conversation of more exchanges than are stored, and judge each exchange once, also where a reply is asked for again', async () => {
    const history: Said[] = []
    const conversations = new Set<string>()
    for (let at = 1; at <= 280; at++) {
      const { conversation, exchange } = await play(history, `long question ${at}`, `answer ${at}`)
      conversations.add(conversation)
      assert.equal(exchange, String(at))
    }
    assert.equal(conversations.size, 1)
    const again = history.slice(0, -2)
    const branch = await play(again, 'long question 280', 'another answer')
    assert.ok(!conversations.has(branch.conversation))
    assert.equal(branch.exchange, '280')
    assert.equal((await play(again, 'long question 281', 'answer 281')).exchange, '281')
    const counts = [...judged].filter(([key]) => key.startsWith('long question'))
    assert.deepEqual([counts.length, counts.filter(([, count]) => count > 1)], [282, []])
  })
})
