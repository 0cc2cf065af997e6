// Alerts: what they say and what they never say, their signature, the addresses that they may reach, the queue on disk, retries.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { pino } from 'pino'
import { alertBody } from '../../lib/alerts/alert-body.js'
import type { Alert } from '../../lib/alerts/alert.js'
import { alertOf, testAlert } from '../../lib/alerts/new-alert.js'
import { guardedLookup, refusalOf, type Resolver } from '../../lib/alerts/address-guard.js'
import { AlertCommand } from '../../lib/alerts/command.js'
import { AlertDelivery } from '../../lib/alerts/delivery.js'
import { DiskQueue } from '../../lib/alerts/disk-queue.js'
import { SigningSecret } from '../../lib/alerts/signature.js'
import { Webhook, type WebhookOptions } from '../../lib/alerts/webhook.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import { wordless } from '../../lib/detection/wordless.js'
import { startReceiver, type Received } from '../service/webhook-receiver.js'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

const VERDICT: ExchangeVerdict = {
  conversation: 'c',
  exchange: 3,
  exchangeId: null,
  alert: true,
  level: 'alert',
  likelihood: 0.93,
  risk: 1,
  drift: 0,
  acceleration: 0,
  cumulative: 1,
  ratio: null,
  reasons: [],
  truncated: false,
  timings: { tokenizeMs: 0, queueMs: 0, encodeMs: 0, projectMs: 0, detectMs: 0, totalMs: 0 },
  at: '2026-01-02T03:04:05.006Z',
}

const webhook = (options: Partial<WebhookOptions> & { url: string }): Webhook =>
  new Webhook({ format: 'json', label: 'webhook 1', secret: null, allowPrivate: true, dashboard: () => null, ...options })

const never = new AbortController().signal
const silent = pino({ level: 'silent' })

describe('An alert', () => {
  const words = fc.string({ minLength: 4, maxLength: 60 }).filter((text) => /\p{L}{3}/u.test(text))

  it('never carries words of conversation, rules, policies or judge, unless asked', () => {
    fc.assert(
      fc.property(words, words, words, words, words, (rule, sentence, user, statement, example) => {
        const mark = (text: string): string => `SECRET${text}SECRET`
        const named = mark(rule)
        const verdict: ExchangeVerdict = {
          ...VERDICT,
          rule: named,
          sentence: mark(sentence),
          policies: ['refunds'],
          judge: { breaks: true, reason: mark(user), model: 'm', durationMs: 1 },
          reasons: [
            `breaks 'refunds': ${mark(statement)}; closest to the example “${mark(example)}” (score 1.00, line 0.50)`,
            `breaks a rule: ${named.replace(/[.!]$/, '')} (breaks 0.90, line 0.80)`,
            `in the reply: “${mark(sentence)}”`,
            `the user pressed for: “${mark(user)}”`,
            `the judge finds a break: ${mark(user)}`,
            'guardrail strength 1.00 → 0.60',
          ],
        }
        const alert = alertOf(verdict, {}, false)!
        assert.doesNotMatch(JSON.stringify(alert), /SECRET/)
        const finding = { policy: 'refunds', statement: mark(statement), score: 1, threshold: 0.5, broken: true, nearest: mark(example) }
        assert.doesNotMatch(JSON.stringify(wordless({ ...verdict, findings: [finding] })), /SECRET/)
        for (const format of ['json', 'slack'] as const) assert.doesNotMatch(alertBody(alert, format, 'http://x'), /SECRET/)
        assert.deepEqual(alert.reasons, [
          "breaks 'refunds' (score 1.00, line 0.50)",
          'breaks a rule (breaks 0.90, line 0.80)',
          'guardrail strength 1.00 → 0.60',
        ])
        assert.deepEqual(alertOf(verdict, {}, true)!.details, { reasons: verdict.reasons, rule: verdict.rule, sentence: verdict.sentence })
      }),
    )
  })

  it('is none for a verdict without an alert', () => {
    assert.equal(alertOf({ ...VERDICT, alert: false }, {}, false), null)
  })

  it('says where, why, how sure, what happened to the reply, and links to the exchange', () => {
    const alert = alertOf({ ...VERDICT, conversation: 'a/b c', reasons: ['unusual'] }, { caller: 'k', onAlert: 'held' }, false)!
    const body = JSON.parse(alertBody(alert, 'json', 'http://desk:8080')) as Alert & { type: string; link: string }
    assert.equal(body.link, 'http://desk:8080/#conversation=a%2Fb%20c&exchange=3')
    assert.deepEqual(
      [body.type, body.id, body.conversation, body.exchange, body.level, body.likelihood, body.reasons, body.caller, body.reply],
      ['alert', alert.id, 'a/b c', 3, 'alert', 0.93, ['unusual'], 'k', 'held'],
    )
    assert.equal('details' in body, false)
  })

  it('cannot mention anybody or link anywhere in Slack, whatever the conversation is called', () => {
    const alert = alertOf({ ...VERDICT, conversation: '<!channel> <http://evil|x>', reasons: ['a & <b>'] }, {}, false)!
    const { text, blocks } = JSON.parse(alertBody(alert, 'slack', null)) as { text: string; blocks: { text?: { text: string } }[] }
    assert.equal(text, 'Alert in conversation &lt;!channel&gt; &lt;http://evil|x&gt;, exchange 3')
    assert.match(blocks[0]!.text!.text, /• a &amp; &lt;b&gt;/)
    assert.doesNotMatch(JSON.stringify(blocks), /<!channel|<http/)
  })
})

describe('A signature', () => {
  it('is that of Standard Webhooks, as OpenSSL computes it', () => {
    const at = new Date(1_614_265_330_000)
    const body = '{"test": 2432232314}'
    const headers = new SigningSecret(SECRET).headers('msg_p5jXN8AQM9LWM0D4loKWxJek', at, body)
    const key = Buffer.from(SECRET.slice(6), 'base64').toString('hex')
    const digest = execFileSync('openssl', ['dgst', '-sha256', '-mac', 'HMAC', '-macopt', `hexkey:${key}`, '-binary'], {
      input: `msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.${body}`,
    })
    assert.deepEqual(headers, {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': `v1,${digest.toString('base64')}`,
    })
  })

  it('needs a secret that cannot be guessed, and does not tell it', () => {
    assert.throws(
      () => new SigningSecret('hunter2'),
      (error: Error) => error.message.includes('24 bytes') && !error.message.includes('hunter2'),
    )
  })
})

describe('The guard of addresses', () => {
  it('refuses every address that is not public, in every spelling', () => {
    const refused = [
      ...['127.0.0.1', '127.9.9.9', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1', '169.254.169.254', '100.64.0.1'],
      ...['192.0.0.1', '192.0.2.1', '198.18.0.1', '198.51.100.7', '203.0.113.5', '224.0.0.1', '240.0.0.1', '255.255.255.255'],
      ...[
        '::',
        '::1',
        '::ffff:127.0.0.1',
        '::ffff:7f00:1',
        '::ffff:10.0.0.1',
        '::127.0.0.1',
        'fe80::1',
        'fec0::1',
        'fc00::1',
        'fd12:3456::1',
      ],
      ...[
        'ff02::1',
        '64:ff9b::7f00:1',
        '64:ff9b:1::a00:1',
        '2002:7f00:1::',
        '2001:0:7f00:1::',
        '2001:db8::1',
        '100::1',
        '4000::1',
        '5f00::1',
      ],
    ]
    for (const address of refused) assert.notEqual(refusalOf(address), null, address)
    for (const address of ['1.1.1.1', '8.8.8.8', '172.32.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])
      assert.equal(refusalOf(address), null, address)
    assert.notEqual(refusalOf('not an address'), null)
  })

  it('refuses the addresses of this machine, whatever they are', () => {
    for (const list of Object.values(networkInterfaces()))
      for (const { address } of list ?? []) assert.notEqual(refusalOf(address), null, address)
  })

  it('refuses a URL with such an address, also as a number', () => {
    const urls = [
      'http://127.0.0.1/',
      'http://2130706433/',
      'http://0x7f.1/',
      'http://[::1]:9/',
      'http://[::ffff:10.0.0.1]/',
      'http://169.254.169.254/',
    ]
    for (const url of urls) assert.throws(() => webhook({ url, allowPrivate: false }), { code: 'INVALID_ARGUMENT' }, url)
    for (const url of ['ftp://x/', 'javascript:1', 'nothing']) assert.throws(() => webhook({ url }), { code: 'INVALID_ARGUMENT' }, url)
  })

  it('refuses a name if any of its addresses is not public', async () => {
    const resolve: Resolver = (_, __, done) =>
      done(null, [
        { address: '93.184.216.34', family: 4 },
        { address: '10.0.0.1', family: 4 },
      ])
    await assert.rejects(
      webhook({ url: 'http://mixed.example/', allowPrivate: false, resolve }).check(),
      /10\.0\.0\.1, which is not public/,
    )
    const error = await new Promise((done) => guardedLookup(resolve)('mixed.example', {}, (found) => done(found)))
    assert.match((error as Error).message, /--alert-webhook-private allows it/)
  })

  it('holds when a name that was public a moment ago points here: nothing arrives', async () => {
    const receiver = await startReceiver()
    let calls = 0
    const resolve: Resolver = (_, __, done) => done(null, [{ address: ++calls === 1 ? '93.184.216.34' : '127.0.0.1', family: 4 }])
    const { port } = new URL(receiver.url)
    const rebound = webhook({ url: `http://rebind.example:${port}/`, allowPrivate: false, resolve })
    await rebound.check()
    await assert.rejects(rebound.deliver(testAlert(new Date()), never), /127\.0\.0\.1, which is not public/)
    assert.deepEqual([calls, receiver.got.length], [2, 0])
    await rebound.close()
  })

  it('does not follow a redirect', async () => {
    const target = await startReceiver()
    const receiver = await startReceiver({ location: target.url })
    receiver.answer = () => 307
    await assert.rejects(webhook({ url: receiver.url }).deliver(testAlert(new Date()), never), /answered 307/)
    assert.equal(target.got.length, 0)
  })
})

describe('A queue on disk', () => {
  const fresh = (): Promise<string> => mkdtemp(join(tmpdir(), 'gabion-alerts-'))
  const at = (second: number): Alert => testAlert(new Date(1_700_000_000_000 + 1000 * second))

  it('gives what it took to its next process, oldest first, and forgets what was delivered', async () => {
    const folder = await fresh()
    const first = new DiskQueue(folder)
    await first.open('d')
    const alerts = [at(2), at(1), at(3)]
    for (const alert of alerts) await first.add(alert)
    const taken = await first.take('d', 10, 5000, never)
    assert.deepEqual(
      taken.map(({ alert }) => alert),
      [alerts[1], alerts[0], alerts[2]],
    )
    await first.done('d', taken[0]!.key)
    await first.close()
    const second = new DiskQueue(folder)
    await second.open('d')
    assert.deepEqual(
      (await second.take('d', 10, 5000, never)).map(({ alert }) => alert.id),
      [alerts[0]!.id, alerts[2]!.id],
    )
    await second.close()
    await rm(folder, { recursive: true })
  })

  it('is delivered by one process of several', async () => {
    const folder = await fresh()
    const queues = [new DiskQueue(folder), new DiskQueue(folder)] as const
    await queues[0].open('d')
    await queues[0].add(at(0))
    assert.equal((await queues[0].take('d', 10, 5000, never)).length, 1)
    await queues[1].open('d')
    assert.deepEqual(await queues[1].take('d', 10, 300, never), [])
    await queues[0].close()
    assert.equal((await queues[1].take('d', 10, 5000, never)).length, 1)
    await queues[1].close()
    await rm(folder, { recursive: true })
  })

  it('loses the oldest when it is full, and counts them', async () => {
    const folder = await fresh()
    const queue = new DiskQueue(folder, 3)
    await queue.open('d')
    const alerts = [0, 1, 2, 3, 4].map(at)
    for (const alert of alerts) await queue.add(alert)
    assert.equal(queue.lost, 2)
    assert.deepEqual(
      (await queue.take('d', 10, 5000, never)).map(({ alert }) => alert.id),
      alerts.slice(2).map(({ id }) => id),
    )
    await queue.close()
    await rm(folder, { recursive: true })
  })

  it('removes what waits of a forgotten conversation', async () => {
    const folder = await fresh()
    const queue = new DiskQueue(folder)
    await queue.open('d')
    await queue.add({ ...at(0), conversation: 'gone' })
    await queue.add({ ...at(1), conversation: 'kept' })
    await queue.forget(({ conversation }) => conversation === 'gone')
    assert.equal((await readdir(join(folder, 'd'))).length, 1)
    assert.deepEqual(
      (await queue.take('d', 10, 5000, never)).map(({ alert }) => alert.conversation),
      ['kept'],
    )
    await queue.close()
    await rm(folder, { recursive: true })
  })
})

describe('Delivery', () => {
  it('sends an alert again, with the same id, until it is taken, and the others in the meantime', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gabion-alerts-'))
    const receiver = await startReceiver()
    const outcomes: string[] = []
    const queue = new DiskQueue(folder)
    const destination = webhook({ url: receiver.url, secret: new SigningSecret(SECRET) })
    const counts = { attempt: (label: string, outcome: string) => void outcomes.push(`${label} ${outcome}`) }
    const delivery = new AlertDelivery({ queue, destinations: [destination], logger: silent, counts, firstPauseMs: 10 })
    await delivery.start()
    const alerts = [0, 1, 2].map((second) => testAlert(new Date(Date.now() + second)))
    const isFirst = ({ body }: Received): boolean => body.includes(alerts[0]!.id)
    receiver.answer = () => (isFirst(receiver.got.at(-1)!) && receiver.got.filter(isFirst).length <= 3 ? 503 : 200)
    for (const alert of alerts) await queue.add(alert)
    while (outcomes.filter((outcome) => outcome.endsWith('delivered')).length < 3) await new Promise((resolve) => setTimeout(resolve, 10))
    await delivery.stop(1000)
    const ids = receiver.got.map(({ headers }) => headers['webhook-id'])
    assert.deepEqual([...new Set(ids)].sort(), alerts.map(({ id }) => id).sort())
    assert.equal(ids.filter((id) => id === alerts[0]!.id).length, 4)
    assert.notEqual(ids.at(-1), alerts[2]!.id)
    assert.equal(outcomes.filter((outcome) => outcome === 'webhook 1 delivered').length, 3)
    assert.equal(outcomes.filter((outcome) => outcome === 'webhook 1 failed').length, 3)
    assert.deepEqual(await readdir(join(folder, destination.key)), [])
    assert.match(receiver.got[0]!.headers['webhook-signature'] as string, /^v1,/)
    await rm(folder, { recursive: true })
  })

  it('does not send what was taken and then deleted', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gabion-alerts-'))
    const receiver = await startReceiver()
    receiver.answer = () => 503
    const queue = new DiskQueue(folder)
    const delivery = new AlertDelivery({ queue, destinations: [webhook({ url: receiver.url })], logger: silent, firstPauseMs: 10 })
    await delivery.start()
    await queue.add(testAlert(new Date()))
    while (receiver.got.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    await queue.forget(() => true)
    while (delivery.waiting > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    receiver.answer = () => 200
    await queue.add({ ...testAlert(new Date()), conversation: 'kept' })
    const before = receiver.got.length
    while (receiver.got.length === before) await new Promise((resolve) => setTimeout(resolve, 5))
    await delivery.stop(1000)
    assert.deepEqual(
      receiver.got.slice(before).map(({ body }) => (JSON.parse(body) as Alert).conversation),
      ['kept'],
    )
    await rm(folder, { recursive: true })
  })

  it('leaves in the queue what it could not deliver, and delivers it in the next process', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gabion-alerts-'))
    const receiver = await startReceiver()
    receiver.answer = () => 500
    const start = async (): Promise<{ delivery: AlertDelivery; queue: DiskQueue }> => {
      const queue = new DiskQueue(folder)
      const delivery = new AlertDelivery({ queue, destinations: [webhook({ url: receiver.url })], logger: silent, firstPauseMs: 5 })
      await delivery.start()
      return { delivery, queue }
    }
    const first = await start()
    const alert = testAlert(new Date())
    await first.queue.add(alert)
    while (receiver.got.length < 3) await new Promise((resolve) => setTimeout(resolve, 5))
    await first.delivery.stop(1000)
    receiver.answer = () => 200
    const before = receiver.got.length
    const second = await start()
    while (receiver.got.length === before) await new Promise((resolve) => setTimeout(resolve, 5))
    await second.delivery.stop(1000)
    assert.equal((JSON.parse(receiver.got.at(-1)!.body) as Alert).id, alert.id)
    await rm(folder, { recursive: true })
  })

  it('runs a command with the alert on its input, and takes its exit code for the outcome', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gabion-alerts-'))
    const alert = testAlert(new Date())
    await new AlertCommand(`cat > ${folder}/$GABION_ALERT_ID`, 'command 1', () => null).deliver(alert, never)
    assert.equal((JSON.parse(await readFile(join(folder, alert.id), 'utf8')) as Alert).id, alert.id)
    process.env.GABION_ALERT_SECRET = 'not for commands'
    await assert.rejects(new AlertCommand('test -n "$GABION_ALERT_SECRET"', 'command 1', () => null).deliver(alert, never), /ended with 1/)
    delete process.env.GABION_ALERT_SECRET
    await assert.rejects(new AlertCommand('exit 7', 'command 1', () => null).deliver(alert, never), /ended with 7/)
    const abort = new AbortController()
    setTimeout(() => abort.abort(), 100)
    await assert.rejects(new AlertCommand('sleep 60', 'command 1', () => null).deliver(alert, abort.signal), /SIGTERM/)
    await rm(folder, { recursive: true })
  })
})
