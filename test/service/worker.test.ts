// Workers on a real Redis stream: load sharing, order, and that a killed worker loses no exchange.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Monitor } from '../../lib/index.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import { until } from './ending.js'
import { startGabion, type GabionProcess } from './gabion-process.js'
import { RedisServer } from './redis-server.js'
import { testEmbedder } from './service-under-test.js'

interface Ready {
  consumer: string
  metricsPort: number
}

interface Verdict {
  entry: string
  conversation: string
  verdict?: ExchangeVerdict
  error?: { code: string; message: string }
}

describe('gabion worker', () => {
  let redis: RedisServer
  before(async () => {
    redis = await RedisServer.start()
  })
  after(() => redis.remove())

  const start = (prefix: string, ...more: string[]): Promise<GabionProcess<Ready>> => {
    const names = ['--redis', redis.url, '--redis-prefix', prefix]
    return startGabion<Ready>(['worker', ...names, '--metrics-port', '0', '--claim-after-ms', '400', ...more])
  }

  const textsOf = (conversation: number, exchange: number): { user: string; assistant: string } => ({
    user: `Conversation ${conversation}, question ${exchange}: when will the parcel come?`,
    assistant: `This is answer ${exchange} in conversation ${conversation}: it is on its way.`,
  })

  async function send(prefix: string, conversations: number, exchanges: number, first = 1): Promise<void> {
    for (let exchange = first; exchange < first + exchanges; exchange++) {
      for (let conversation = 0; conversation < conversations; conversation++) {
        const { user, assistant } = textsOf(conversation, exchange)
        const fields = ['conversation', `c${conversation}`, 'user', user, 'assistant', assistant]
        await redis.command('XADD', `{${prefix}}:exchanges`, '*', ...fields)
      }
    }
  }

  async function verdicts(prefix: string, wanted: number): Promise<Verdict[]> {
    const ask = async (): Promise<Verdict[] | null> => {
      const entries = (await redis.command('XRANGE', `{${prefix}}:verdicts`, '-', '+')) as [string, string[]][]
      return entries.length < wanted ? null : entries.map(([, fields]) => parse(fields))
    }
    return await until(`${wanted} verdicts`, ask, 50)
  }

  function parse(list: string[]): Verdict {
    const fields = Object.fromEntries(list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1]]] : [])))
    return {
      entry: fields.entry ?? '',
      conversation: fields.conversation ?? '',
      ...(fields.verdict !== undefined && { verdict: JSON.parse(fields.verdict) as ExchangeVerdict }),
      ...(fields.error !== undefined && { error: JSON.parse(fields.error) as { code: string; message: string } }),
    }
  }

  /** Every exchange once, in order, with the verdict of the library alone. */
  async function assertWhole(found: Verdict[], conversations: number, exchanges: number): Promise<void> {
    assert.equal(found.length, conversations * exchanges)
    const monitor = await Monitor.load({ embedder: await testEmbedder() })
    for (let number = 0; number < conversations; number++) {
      const own = found.filter(({ conversation }) => conversation === `c${number}`)
      assert.deepEqual(
        own.map(({ verdict }) => verdict?.exchange),
        Array.from({ length: exchanges }, (_, i) => i + 1),
      )
      const control = monitor.begin('control')
      for (const { verdict } of own) {
        const expected = await control.addExchange(textsOf(number, verdict!.exchange))
        assert.deepEqual([verdict?.likelihood, verdict?.cumulative], [expected.likelihood, expected.cumulative])
      }
    }
  }

  it('shares the load among workers, and says how far behind they are', async () => {
    await send('shared', 6, 5)
    const workers = await Promise.all([start('shared', '--concurrency', '2'), start('shared', '--concurrency', '2')])
    await assertWhole(await verdicts('shared', 30), 6, 5)
    const judged = await Promise.all(
      workers.map(async ({ ready }) => {
        const text = await (await fetch(`http://127.0.0.1:${ready.metricsPort}/metrics`)).text()
        assert.match(text, /gabion_stream_lag 0/)
        assert.match(text, /gabion_stream_pending 0/)
        const levels = Array.from(text.matchAll(/gabion_exchanges_total\{level="\w+"\} (\d+)/g), ([, count]) => Number(count))
        return levels.reduce((sum, count) => sum + count, 0)
      }),
    )
    assert.equal(
      judged.reduce((sum, count) => sum + count, 0),
      30,
    )
    await send('shared', 6, 1)
    await verdicts('shared', 36)
    assert.deepEqual(await Promise.all(workers.map((worker) => worker.stop())), [143, 143])
    const [group] = (await redis.command('XINFO', 'GROUPS', '{shared}:exchanges')) as unknown[][]
    assert.equal(group?.[group.indexOf('consumers') + 1], 0)
  })

  it('loses no exchange when a worker is killed: another takes over what it held, in order', async () => {
    const doomed = await start('killed', '--concurrency', '8')
    await send('killed', 8, 3)
    await verdicts('killed', 4)
    const other = await start('killed')
    await doomed.stop('SIGKILL')
    await assertWhole(await verdicts('killed', 24), 8, 3)
    const pending = (await redis.command('XPENDING', '{killed}:exchanges', 'gabion')) as unknown[]
    assert.equal(pending[0], 0)
    await other.stop()
  })

  it('takes over entries of a consumer that died before it did anything, before it goes on with later ones', async () => {
    const worker = await start('dead')
    // The first exchanges of both conversations go, in one step with their coming, to a consumer that never does anything.
    const taken = `
      redis.call('XADD', KEYS[1], '*', 'conversation', ARGV[1], 'user', ARGV[2], 'assistant', ARGV[3])
      local reply = redis.call('XREADGROUP', 'GROUP', 'gabion', 'ghost', 'COUNT', 1, 'STREAMS', KEYS[1], '>')
      redis.call('RPUSH', KEYS[2], reply[1][2][1][1])`
    for (const number of [0, 1]) {
      const { user, assistant } = textsOf(number, 1)
      await redis.command('EVAL', taken, '2', '{dead}:exchanges', `{dead}:order:c${number}`, `c${number}`, user, assistant)
    }
    await send('dead', 2, 1, 2)
    await assertWhole(await verdicts('dead', 4), 2, 2)
    await worker.stop()
  })

  it('answers what it cannot judge with a code, and goes on', async () => {
    const worker = await start('wrong')
    await redis.command('XADD', '{wrong}:exchanges', '*', 'nothing', 'useful')
    await redis.command('XADD', '{wrong}:exchanges', '*', 'conversation', 'c0', 'user', 'a')
    await send('wrong', 1, 1)
    const found = await verdicts('wrong', 3)
    assert.deepEqual(found.map(({ error, verdict }) => error?.code ?? verdict?.exchange).sort(), [
      1,
      'INVALID_ARGUMENT',
      'INVALID_ARGUMENT',
    ])
    await worker.stop()
  })

  it('survives Redis being killed: nothing acknowledged is lost and the rest is done when it is back', async () => {
    const worker = await start('restart')
    await send('restart', 4, 2)
    await verdicts('restart', 3)
    await redis.kill()
    await redis.start()
    await assertWhole(await verdicts('restart', 8), 4, 2)
    await worker.stop()
  })
})
