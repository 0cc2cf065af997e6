// Conversations in a real Redis: any instance takes any exchange, and nothing acknowledged is lost when one is killed, nor when Redis is.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Monitor } from '../../lib/index.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import { RedisStore } from '../../lib/server/conversations/redis-store.js'
import type { RunningService } from '../../lib/server/serve.js'
import { until } from './ending.js'
import { startGabion, type GabionProcess } from './gabion-process.js'
import { RedisServer } from './redis-server.js'
import { get, memoryLog, post, startService, testEmbedder } from './service-under-test.js'

const EXCHANGES = Array.from({ length: 12 }, (_, i) => ({
  user: `Could you tell me about delivery number ${i}?`,
  assistant: `Delivery number ${i} left the house on day ${i} and will be with you soon.`,
}))

/** The verdicts of the library alone, without what differs from run to run. */
async function expectedVerdicts(): Promise<object[]> {
  const conversation = (await Monitor.load({ embedder: await testEmbedder() })).begin('control')
  const verdicts = []
  for (const exchange of EXCHANGES) verdicts.push(coreOf(await conversation.addExchange(exchange)))
  return verdicts
}

function coreOf({
  exchange,
  alert,
  level,
  likelihood,
  risk,
  drift,
  acceleration,
  cumulative,
}: Omit<ExchangeVerdict, 'exchangeId' | 'at' | 'timings'>): object {
  return { exchange, alert, level, likelihood, risk, drift, acceleration, cumulative }
}

describe('Conversations in Redis', () => {
  let redis: RedisServer
  const open = (ttlMs = 3_600_000): Promise<RedisStore> =>
    RedisStore.open({ url: redis.url, prefix: 'test', ttlMs, logger: memoryLog().logger })
  const instance = async (): Promise<RunningService> => startService({ store: await open(), grpcPort: null })
  before(async () => {
    redis = await RedisServer.start()
  })
  after(() => redis.remove())

  it('go on at another instance, which also tells of it', async () => {
    const [a, b] = [await instance(), await instance()]
    const events = await fetch(`${b.url}/v1/conversations/shared/events`)
    const verdicts: object[] = []
    for (const [index, exchange] of EXCHANGES.entries()) {
      const { url } = index % 2 === 0 ? a : b
      verdicts.push(coreOf((await post<ExchangeVerdict>(`${url}/v1/conversations/shared/exchanges`, exchange)).body))
    }
    assert.deepEqual(verdicts, await expectedVerdicts())
    const list = await get<{ conversations: { exchanges: number }[] }>(`${a.url}/v1/conversations`)
    assert.equal(list.body.conversations[0]?.exchanges, EXCHANGES.length)
    b.service.stop()
    assert.equal((await events.text()).match(/event: exchange/g)?.length, EXCHANGES.length)
    assert.equal((await fetch(`${a.url}/v1/conversations/shared`, { method: 'DELETE' })).status, 200)
    assert.equal(await redis.command('EXISTS', '{test}:conversation:shared'), 0)
    await Promise.all([a.stop(), b.stop()])
  })

  it('keep their order and lose no exchange when instances write at once; an exchange id counts once', async () => {
    const [a, b] = [await instance(), await instance()]
    const sent = EXCHANGES.flatMap((exchange, i) =>
      [a, b].map(({ url }) => post<ExchangeVerdict>(`${url}/v1/conversations/race/exchanges`, { ...exchange, exchangeId: `t${i}` })),
    )
    const answers = await Promise.all(sent)
    assert.ok(answers.every(({ status }) => status === 200))
    for (const [i] of EXCHANGES.entries()) assert.deepEqual(answers[2 * i]?.body, answers[2 * i + 1]?.body)
    const { body } = await get<{ exchanges: number; history: ExchangeVerdict[] }>(`${a.url}/v1/conversations/race`)
    assert.deepEqual(
      body.history.map(({ exchange }) => exchange),
      EXCHANGES.map((_, i) => i + 1),
    )
    await Promise.all([a.stop(), b.stop()])
  })

  it('are forgotten after their time', async () => {
    const store = await open(2000)
    const service = await startService({ store, grpcPort: null })
    await post(`${service.url}/v1/conversations/brief/exchanges`, EXCHANGES[0])
    for (const key of ['{test}:conversation:brief', '{test}:recent']) {
      const left = Number(await redis.command('PTTL', key))
      assert.ok(left > 0 && left <= 2000, `${key}: ${String(left)} ms`)
    }
    await new Promise((resolve) => setTimeout(resolve, 2050))
    assert.equal((await get(`${service.url}/v1/conversations/brief`)).status, 404)
    await service.stop()
  })

  it('lose nothing acknowledged when an instance is killed between two exchanges', async () => {
    interface Ready {
      url: string
    }
    const args = ['serve', '--port', '0', '--no-grpc', '--redis', redis.url, '--redis-prefix', 'killed']
    const first: GabionProcess<Ready> = await startGabion<Ready>(args)
    const second = await startGabion<Ready>(args)
    const verdicts: object[] = []
    for (const [index, exchange] of EXCHANGES.entries()) {
      if (index === 5) await first.stop('SIGKILL')
      const { url } = (index < 5 ? first : second).ready
      verdicts.push(
        coreOf((await post<ExchangeVerdict>(`${url}/v1/conversations/k/exchanges`, { ...exchange, exchangeId: String(index) })).body),
      )
    }
    assert.deepEqual(verdicts, await expectedVerdicts())
    await second.stop()
  })

  it('lose nothing acknowledged when Redis is killed, which is told as UNAVAILABLE until it is back', async () => {
    const service = await instance()
    const exchanges = `${service.url}/v1/conversations/restart/exchanges`
    for (const exchange of EXCHANGES.slice(0, 4)) assert.equal((await post(exchanges, exchange)).status, 200)
    await redis.kill()
    const away = await post(exchanges, EXCHANGES[4])
    assert.deepEqual([away.status, away.body.error.code, away.headers.get('retry-after')], [503, 'UNAVAILABLE', '1'])
    assert.equal((await get(`${service.url}/ready`)).status, 503)
    assert.equal((await get(`${service.url}/health`)).status, 200)
    assert.equal((await post(`${service.url}/v1/embeddings`, { input: 'vectors need no Redis' })).status, 200)
    await redis.start()
    const answer = await until('Redis is found again', async () => {
      const one = await post<ExchangeVerdict>(exchanges, EXCHANGES[4])
      return one.status === 503 ? null : one
    })
    assert.equal(answer.body.exchange, 5)
    assert.deepEqual(coreOf(answer.body), (await expectedVerdicts())[4])
    await service.stop()
  })

  it('need a Redis that is there', async () => {
    const nowhere = RedisStore.open({ url: 'redis://127.0.0.1:1', prefix: 'x', ttlMs: 1, logger: memoryLog().logger })
    await assert.rejects(nowhere, { code: 'UNAVAILABLE', message: /127\.0\.0\.1:1/ })
    await assert.rejects(RedisStore.open({ url: 'http://x', prefix: 'x', ttlMs: 1, logger: memoryLog().logger }), {
      code: 'INVALID_ARGUMENT',
    })
  })
})
