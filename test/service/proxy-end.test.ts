// `--on-alert end`: over is the conversation that contains the alert, however its history is sent, and no other.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { RedisStore } from '../../lib/server/conversations/redis-store.js'
import { BAD, EXCHANGES, GOOD, REPLACEMENT, said, startProxy, system, type ProxyUnderTest, type Said } from './proxy-under-test.js'
import { RedisServer } from './redis-server.js'
import { memoryLog } from './service-under-test.js'

const ENDED = 'CONVERSATION_ENDED'
const GREETING = { user: 'hi', assistant: 'Hello! How can I help you today?' }
const user = (content: string): Said => ({ role: 'user', content })
const assistant = (content: unknown): Said => ({ role: 'assistant', content })

describe('gabion proxy --on-alert end', () => {
  let proxy: ProxyUnderTest
  before(async () => {
    proxy = await startProxy({ policy: 'end' })
  })

  /** Plays a conversation up to its alert; the messages before the alerted exchange. */
  async function alerted(stream: boolean, before: readonly { user: string; assistant: string }[] = [GREETING]): Promise<Said[]> {
    const history = [system(), ...said(...before)]
    const { words } = await proxy.ask([...history, user(BAD.user)], { reply: BAD.assistant }, { stream })
    assert.equal(words, REPLACEMENT)
    return history
  }

  for (const stream of [false, true]) {
    describe(stream ? 'streamed' : 'whole', () => {
      const words = async (messages: readonly Said[], reply = GOOD.assistant): Promise<string> =>
        (await proxy.ask(messages, { reply }, { stream })).words

      it('ends where an ordinary client keeps what it was shown', async () => {
        const messages = [system()]
        const seen: string[] = []
        for (const exchange of EXCHANGES) {
          messages.push(user(exchange.user))
          const answer = await proxy.ask(messages, { reply: exchange.assistant }, { stream })
          seen.push(answer.words)
          if (answer.status !== 200) break
          messages.push(assistant(answer.words))
        }
        assert.deepEqual(seen.slice(-2), [REPLACEMENT, ENDED])
      })

      it('ends with the reply, the replacement message, an empty or another reply in the history', async () => {
        const history = await alerted(stream)
        for (const reply of [
          BAD.assistant,
          REPLACEMENT,
          ` ${REPLACEMENT}\n`,
          '',
          null,
          'Something else.',
          [{ type: 'text', text: REPLACEMENT }],
        ]) {
          const shown = JSON.stringify(reply)
          assert.equal(await words([...history, user(BAD.user), assistant(reply), user('And the jacket?')]), ENDED, shown)
        }
      })

      it('ends where the exchange is dropped and the same message is sent again, or the reply is asked for again', async () => {
        const history = await alerted(stream)
        assert.equal(await words([...history, user(BAD.user)]), ENDED)
        assert.equal(await words([...history, user(BAD.user)], `${BAD.assistant} Sure.`), ENDED)
        assert.equal(await words([...history, user(BAD.user), user('And the jacket?')]), ENDED)
      })

      it('ends where the alert was in the first exchange', async () => {
        const history = await alerted(stream, [])
        assert.equal(await words([...history, user(BAD.user)]), ENDED)
        assert.equal(await words([...history, user(BAD.user), assistant(REPLACEMENT), user('And the jacket?')]), ENDED)
      })

      it('stays ended however often it is tried, and much later in the history', async () => {
        const history = [...(await alerted(stream)), user(BAD.user), assistant(REPLACEMENT)]
        for (let more = 0; more < 4; more++) {
          history.push(user(`And now, number ${more}?`))
          assert.equal(await words(history), ENDED)
          history.push(assistant('Fine.'))
        }
      })

      it('does not end a chat that begins alike and has no such exchange', async () => {
        const history = await alerted(stream)
        assert.equal(await words([...history, user('Do you have tulip bulbs?')]), GOOD.assistant)
        assert.equal(
          await words([...history, ...said({ user: 'Do you have tulip bulbs?', assistant: GOOD.assistant }), user('In red?')]),
          GOOD.assistant,
        )
        assert.equal(await words([history[0]!, user('Good morning')]), GOOD.assistant)
        assert.equal(await words([...history.slice(0, 2)], GREETING.assistant), GREETING.assistant)
      })

      it('ends where the alert came in a branch: a reply that was asked for again', async () => {
        const history = [system(), ...said(GREETING)]
        assert.equal(await words([...history, user(BAD.user)]), GOOD.assistant)
        assert.equal(await words([...history, user(BAD.user)], BAD.assistant), REPLACEMENT)
        assert.equal(await words([...history, user(BAD.user), assistant(REPLACEMENT), user('And the jacket?')]), ENDED)
      })

      it('ends where the alert is first met in a history that was played elsewhere', async () => {
        const history = [system(), ...said(GREETING, BAD)]
        await words([...history, user(GOOD.user)])
        assert.equal(await words([...history, ...said(GOOD), user('And the jacket?')]), ENDED)
      })
    })
  }

  it('tells callers apart by each of their credentials, and keeps their conversations apart', async () => {
    for (const name of ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key']) {
      const history = [system(), ...said(GREETING)]
      const ask = async (value: string, messages: readonly Said[], reply: string): Promise<string> =>
        (await proxy.ask(messages, { reply }, { headers: { [name]: value } })).words
      assert.equal(await ask('Bearer one', [...history, user(BAD.user)], BAD.assistant), REPLACEMENT)
      assert.equal(await ask('Bearer two', [...history, user(BAD.user)], GOOD.assistant), GOOD.assistant, name)
      assert.equal(await ask('Bearer one', [...history, user(BAD.user)], GOOD.assistant), ENDED, name)
    }
  })

  it('lets no caller end the named conversation of another', async () => {
    const ask = async (caller: string, name: string, messages: readonly Said[], reply: string): Promise<[string, string | null]> => {
      const headers = { authorization: `Bearer ${caller}`, 'x-gabion-conversation': name }
      const answer = await proxy.ask(messages, { reply }, { headers })
      return [answer.words, answer.headers.get('x-gabion-conversation')]
    }
    const [, owners] = await ask('owner', 'ticket-1', [user('hi')], GOOD.assistant)
    assert.equal((await ask('other', 'ticket-1', [user(BAD.user)], BAD.assistant))[0], REPLACEMENT)
    // Nor by the name that is answered, which is the owner's with a mark of the owner's credentials.
    assert.match(decodeURIComponent(owners!), /^ticket-1@[0-9a-f]{16}$/)
    assert.equal((await ask('other', decodeURIComponent(owners!), [user(BAD.user)], BAD.assistant))[0], REPLACEMENT)
    assert.equal(
      (await ask('owner', 'ticket-1', [...said({ user: 'hi', assistant: GOOD.assistant }), user('And?')], GOOD.assistant))[0],
      GOOD.assistant,
    )
    assert.equal((await ask('other', 'ticket-1', [user('Good morning')], GOOD.assistant))[0], ENDED)
    assert.equal((await ask('other', 'ticket-2', [user(BAD.user)], GOOD.assistant))[0], GOOD.assistant)
  })

  it('ends no more what was deleted', async () => {
    const history = await alerted(false)
    const { conversations } = (await (await fetch(`${proxy.running.url}/gabion/v1/conversations`)).json()) as {
      conversations: { conversation: string; firstAlert: number | null }[]
    }
    const ended = conversations.find(({ firstAlert }) => firstAlert !== null)!
    const url = `${proxy.running.url}/gabion/v1/conversations/${encodeURIComponent(ended.conversation)}`
    assert.equal((await fetch(url, { method: 'DELETE' })).status, 200)
    assert.equal((await proxy.ask([...history, user(BAD.user)], { reply: GOOD.assistant })).words, GOOD.assistant)
  })

  it('asks the upstream nothing for a conversation that is over', async () => {
    const history = await alerted(false)
    const asked = proxy.upstream.requests.length
    const { status } = await proxy.ask([...history, user(BAD.user)])
    assert.deepEqual([status, proxy.upstream.requests.length], [403, asked])
  })
})

describe('gabion proxy --on-alert end with Redis', () => {
  let redis: RedisServer
  before(async () => {
    redis = await RedisServer.start()
  })
  after(() => redis.remove())

  it('ends a conversation at every instance', async () => {
    const open = (): Promise<RedisStore> => RedisStore.open({ url: redis.url, prefix: 'end', ttlMs: 3_600_000, logger: memoryLog().logger })
    const [a, b] = [
      await startProxy({ policy: 'end' }, { store: await open() }),
      await startProxy({ policy: 'end' }, { store: await open() }),
    ]
    const history = [system(), ...said(GREETING)]
    assert.equal((await a.ask([...history, user(BAD.user)], { reply: BAD.assistant })).words, REPLACEMENT)
    assert.equal((await b.ask([...history, user(BAD.user), assistant(REPLACEMENT), user('And?')], { reply: 'x' })).words, ENDED)
    assert.equal((await b.ask([...history, user('And the bulbs?')], { reply: GOOD.assistant })).words, GOOD.assistant)
    await Promise.all([a.running.stop(), b.running.stop()])
  })
})
