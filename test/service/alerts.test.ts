// Alerts of real services: somebody is told, once at least, also when the process or Redis is killed; they are listed, acknowledged, deleted.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { alertBody } from '../../lib/alerts/alert-body.js'
import type { Alert } from '../../lib/alerts/alert.js'
import { DiskQueue } from '../../lib/alerts/disk-queue.js'
import { Webhook } from '../../lib/alerts/webhook.js'
import { MemoryStore } from '../../lib/server/conversations/memory-store.js'
import { RedisStore } from '../../lib/server/conversations/redis-store.js'
import type { ConversationStore } from '../../lib/server/conversations/store.js'
import type { AlertPage } from '../../lib/server/conversations/status.js'
import { until } from './ending.js'
import { startGabion } from './gabion-process.js'
import { BAD as BAD_EXCHANGE, GOOD } from './proxy-under-test.js'
import { RedisServer } from './redis-server.js'
import { erosionMonitor, get, memoryLog, post, startService } from './service-under-test.js'
import { startReceiver, type Receiver } from './webhook-receiver.js'

/** Its alert in the example needs no system prompt. */
const EROSION = ['--detector', 'erosion']
const BAD = { user: BAD_EXCHANGE.user, assistant: BAD_EXCHANGE.assistant }

const send = async (method: string, url: string, body?: unknown): Promise<{ status: number; body: unknown }> => {
  const response = await fetch(url, {
    method,
    ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  return { status: response.status, body: await response.json() }
}

interface Ready {
  url: string
}

describe('Alerts', () => {
  let redis: RedisServer
  let folder: string
  before(async () => {
    redis = await RedisServer.start()
    folder = await mkdtemp(join(tmpdir(), 'gabion-alerts-'))
  })
  after(async () => {
    await redis.remove()
    await rm(folder, { recursive: true, force: true })
  })

  const hook = ({ url }: Receiver): Webhook =>
    new Webhook({ url, format: 'json', label: 'webhook 1', secret: null, allowPrivate: true, dashboard: () => 'http://desk' })

  it('are delivered with id and link, logged in one line, and counted', async () => {
    const receiver = await startReceiver()
    const { logger, lines } = memoryLog()
    const service = await startService({
      monitor: await erosionMonitor(),
      grpcPort: null,
      logger,
      alerting: { destinations: [hook(receiver)], queue: new DiskQueue(join(folder, 'one')), details: false },
    })
    const said = { ...BAD, caller: 'k1' }
    await post(`${service.url}/v1/conversations/shop/exchanges`, GOOD)
    const { body: verdict } = await post<Alert>(`${service.url}/v1/conversations/shop/exchanges`, said)
    const got = await until('the alert arrives', () => receiver.got[0])
    const alert = JSON.parse(got.body) as Alert & { link: string }
    assert.deepEqual([alert.conversation, alert.exchange, alert.likelihood, alert.caller], ['shop', 2, verdict.likelihood, 'k1'])
    assert.equal(alert.link, 'http://desk/#conversation=shop&exchange=2')
    assert.equal(got.headers['webhook-id'], alert.id)
    const logged = lines.map((line) => JSON.parse(line) as { msg: string; alert?: Alert }).filter(({ msg }) => msg === 'alert')
    assert.deepEqual(
      logged.map((line) => line.alert?.id),
      [alert.id],
    )
    for (const text of [got.body, JSON.stringify(logged)]) {
      for (const words of [BAD.user, BAD.assistant]) assert.ok(!text.includes(words.slice(0, 20)))
    }
    const metrics = await (await fetch(`${service.url}/metrics`)).text()
    assert.match(metrics, /gabion_alert_deliveries_total\{destination="webhook 1",outcome="delivered"\} 1/)
    assert.match(metrics, /gabion_alerts_total 1/)
    await service.stop()
  })

  const stores: Record<string, () => Promise<ConversationStore>> = {
    memory: () => Promise.resolve(new MemoryStore({ maxBytes: 1e8, ttlMs: 3_600_000 })),
    redis: () => RedisStore.open({ url: redis.url, prefix: 'listed', ttlMs: 3_600_000, logger: memoryLog().logger }),
  }
  for (const [kind, openStore] of Object.entries(stores)) {
    it(`are listed newest first, acknowledged once, and deleted with their conversation, caller or tenant (${kind})`, async () => {
      const service = await startService({ monitor: await erosionMonitor(), store: await openStore(), grpcPort: null })
      const { url } = service
      const events = await fetch(`${url}/v1/events`)
      for (const [id, caller] of [
        ['a', 'anna'],
        ['b', 'ben'],
        ['c', 'anna'],
      ] as const) {
        await post(`${url}/v1/conversations/${id}/exchanges`, { ...BAD, caller })
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      await post(`${url}/v1/conversations/b/exchanges`, GOOD)
      const list = async (query = ''): Promise<AlertPage> => (await get<AlertPage>(`${url}/v1/alerts${query}`)).body
      const all = await list()
      assert.deepEqual(
        all.alerts.map(({ conversation, exchange, caller, acknowledged }) => [conversation, exchange, caller, acknowledged]),
        [
          ['c', 1, 'anna', null],
          ['b', 1, 'ben', null],
          ['a', 1, 'anna', null],
        ],
      )
      assert.deepEqual([all.total, all.open], [3, 3])
      assert.deepEqual((await list('?limit=1&offset=1')).alerts, [all.alerts[1]])

      const acknowledgement = `${url}/v1/conversations/b/exchanges/1/acknowledgement`
      const first = await send('PUT', acknowledgement, { by: 'me' })
      assert.deepEqual(await send('PUT', acknowledgement, { by: 'somebody else' }), first)
      assert.equal((first.body as { acknowledged: { by: string } }).acknowledged.by, 'me')
      assert.equal((await send('PUT', `${url}/v1/conversations/b/exchanges/2/acknowledgement`, {})).status, 404)
      const open = await list('?open=true')
      assert.deepEqual([open.alerts.map(({ conversation }) => conversation), open.total, open.open], [['c', 'a'], 3, 2])
      assert.equal((await list()).alerts[1]!.acknowledged?.by, 'me')

      assert.deepEqual((await send('DELETE', `${url}/v1/callers/anna`)).body, { status: 'deleted', conversations: 2 })
      const left = await list()
      assert.deepEqual([left.alerts.map(({ conversation }) => conversation), left.total, left.open], [['b'], 1, 0])
      assert.equal((await get(`${url}/v1/conversations/a`)).status, 404)
      assert.equal((await send('DELETE', `${url}/v1/conversations/b`)).status, 200)
      assert.deepEqual(await list(), { alerts: [], total: 0, open: 0 })
      assert.deepEqual((await send('DELETE', `${url}/v1/tenants/nobody`)).body, { status: 'deleted', conversations: 0 })
      if (kind === 'redis') {
        // Of a deleted conversation nothing is left but the streams' own keys.
        assert.deepEqual(await redis.command('XLEN', '{listed}:outbox'), 0)
        assert.deepEqual(
          ((await redis.command('KEYS', '{listed}:*')) as string[]).filter((key) => !key.endsWith(':outbox')),
          [],
        )
      }
      service.service.stop()
      const text = await events.text()
      assert.equal(text.match(/"alert":\{"id"/g)?.length, 3)
      assert.equal(text.match(/event: acknowledged/g)?.length, 1)
      await service.stop()
    })
  }

  it('reach the webhook although gabion and Redis were killed after the verdict was stored', async () => {
    const receiver = await startReceiver()
    receiver.answer = () => 503
    const args = [
      'serve',
      ...EROSION,
      '--port',
      '0',
      '--no-grpc',
      '--redis',
      redis.url,
      '--redis-prefix',
      'killed',
      '--alert-webhook',
      receiver.url,
    ]
    const first = await startGabion<Ready>([...args, '--alert-webhook-private'])
    const { status, body } = await post<{ alert: boolean }>(`${first.ready.url}/v1/conversations/k/exchanges`, BAD)
    assert.deepEqual([status, body.alert], [200, true])
    await first.stop('SIGKILL')
    await redis.kill()
    receiver.answer = () => 200
    const tried = receiver.got.length
    await redis.start()
    const second = await startGabion<Ready>([...args, '--alert-webhook-private'])
    const got = await until('the alert arrives', () => receiver.got[tried])
    assert.equal((JSON.parse(got.body) as Alert).conversation, 'k')
    // What everybody has got is not kept.
    await until('the queue is empty', async () => (await redis.command('XLEN', '{killed}:outbox')) === 0)
    await second.stop()
  })

  it('are kept in Redis until the last destination has them', async () => {
    const receivers = [await startReceiver(), await startReceiver()] as const
    receivers[1].answer = () => 503
    const args = ['serve', ...EROSION, '--port', '0', '--no-grpc', '--redis', redis.url, '--redis-prefix', 'two', '--alert-webhook-private']
    const service = await startGabion<Ready>([...args, ...receivers.flatMap(({ url }) => ['--alert-webhook', url])])
    await post(`${service.ready.url}/v1/conversations/k/exchanges`, BAD)
    await until('one has it, the other refuses', () => receivers[0].got.length > 0 && receivers[1].got.length > 1)
    assert.equal(await redis.command('XLEN', '{two}:outbox'), 1)
    receivers[1].answer = () => 200
    await until('the queue is empty', async () => (await redis.command('XLEN', '{two}:outbox')) === 0)
    assert.equal(receivers[0].got.length, 1)
    await service.stop()
  })

  it('reach the webhook although gabion was killed, from the disk without Redis', async () => {
    const receiver = await startReceiver()
    receiver.answer = () => 503
    const args = ['serve', ...EROSION, '--port', '0', '--no-grpc', '--alert-webhook', receiver.url, '--alert-webhook-private']
    const queue = ['--alert-queue', join(folder, 'killed')]
    const first = await startGabion<Ready>([...args, ...queue])
    await post(`${first.ready.url}/v1/conversations/k/exchanges`, BAD)
    await first.stop('SIGKILL')
    receiver.answer = () => 200
    const tried = receiver.got.length
    const second = await startGabion<Ready>([...args, ...queue])
    const got = await until('the alert arrives', () => receiver.got[tried])
    assert.equal((JSON.parse(got.body) as Alert).conversation, 'k')
    await second.stop()
  })

  it('of a worker are delivered too, with the details that were asked for', async () => {
    const receiver = await startReceiver()
    const command = [
      'worker',
      ...EROSION,
      '--redis',
      redis.url,
      '--redis-prefix',
      'worker',
      '--alert-webhook',
      receiver.url,
      '--alert-webhook-private',
    ]
    const worker = await startGabion<Ready>([...command, '--alert-details', '--dashboard-url', 'https://desk.example/gabion'])
    await redis.command(
      'XADD',
      '{worker}:exchanges',
      '*',
      'conversation',
      'w',
      'user',
      BAD.user,
      'assistant',
      BAD.assistant,
      'caller',
      'k9',
    )
    const got = await until('the alert arrives', () => receiver.got[0])
    const { caller, details, link } = JSON.parse(got.body) as Alert & { link: string }
    assert.equal(caller, 'k9')
    assert.ok(details !== null && details.reasons.length > 0)
    assert.equal(link, 'https://desk.example/gabion/#conversation=w&exchange=1')
    await worker.stop()
  })

  it('are tried by "gabion alert test", which refuses addresses that are not public', async () => {
    const receiver = await startReceiver()
    const run = async (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
      await promisify(execFile)(process.execPath, ['dist/cli/main.js', 'alert', 'test', ...args], {
        env: { ...process.env, GABION_ALERT_SECRET: 'a secret of more than 24 bytes' },
      }).then(
        (done) => ({ code: 0, ...done }),
        (error: unknown) => error as { code: number; stdout: string; stderr: string },
      )
    const sent = await run('--alert-webhook', receiver.url, '--alert-slack', receiver.url, '--alert-webhook-private')
    assert.deepEqual([sent.code, sent.stdout.match(/delivered, id/g)?.length], [0, 2])
    assert.match(String(receiver.got[0]?.headers['webhook-signature']), /^v1,[\w+/]+=$/)
    assert.deepEqual(Object.keys(JSON.parse(receiver.got[1]?.body ?? '') as object), ['text', 'blocks'])
    const refused = await run('--alert-webhook', receiver.url)
    assert.deepEqual([refused.code, receiver.got.length], [2, 2])
    assert.match(refused.stderr, /127\.0\.0\.1, which is not public \(loopback\); --alert-webhook-private allows it/)
    const failing = await run('--alert-command', 'exit 3')
    assert.deepEqual([failing.code, failing.stdout.trim()], [1, 'command 1: not delivered: the command ended with 3'])
    assert.equal((await run()).code, 2)
  })

  it('of a followed file are delivered before the command ends', async () => {
    const receiver = await startReceiver()
    const monitor = spawn(process.execPath, [
      ...[
        'dist/cli/main.js',
        'monitor',
        ...EROSION,
        '--json',
        '--quiet',
        '--follow',
        '-',
        '--alert-webhook',
        receiver.url,
        '--alert-webhook-private',
      ],
      ...['--alert-queue', join(folder, 'followed')],
    ])
    monitor.stdin.end(`${JSON.stringify({ conversation: 'f', ...BAD })}\n`)
    const [code] = (await once(monitor, 'exit')) as [number]
    assert.deepEqual([code, receiver.got.map(({ body }) => (JSON.parse(body) as Alert).conversation)], [0, ['f']])
  })

  it('have one form in requests and in lists', () => {
    const alert = { details: null, id: 'x' } as unknown as Alert
    assert.deepEqual(JSON.parse(alertBody(alert, 'json', null)), { type: 'alert', id: 'x', link: null })
  })
})
