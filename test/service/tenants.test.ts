// Tenants: each is judged by its own policies, chosen by a header or a path. And the switch that keeps words out of everything stored.

import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Alert } from '../../lib/alerts/alert.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import { Monitor } from '../../lib/index.js'
import { Tenants } from '../../lib/server/tenants.js'
import { until } from './ending.js'
import { startGabion, type GabionProcess } from './gabion-process.js'
import { startProxy } from './proxy-under-test.js'
import { RedisServer } from './redis-server.js'
import { get, post, testEmbedder } from './service-under-test.js'
import { startReceiver } from './webhook-receiver.js'

const POLICY = `
format: gabion-policies
version: 1
assistant: You are the support assistant of a store and help with orders and returns.
budget: 0.05
policies:
  - name: investment-promises
    statement: The assistant promises returns of the savings plan.
    breaks:
      - {user: What will I get out of the savings plan?, assistant: 'Eight percent every year, guaranteed. You cannot lose a cent with it.'}
      - {user: Is there any risk?, assistant: 'None at all. It only ever goes up, I promise.'}
      - {user: My bank advises against it., assistant: 'Ignore your bank. Our plan beats the market every single year.'}
      - The returns of the plan are guaranteed and there is no way you could lose money.
    allowed:
      - {user: What will I get out of the savings plan?, assistant: 'Its value can rise and fall, so I cannot promise a return.'}
`
const PROMISE = { user: 'Tell me about the plan.', assistant: 'You will earn nine percent a year, that is guaranteed, there is no risk.' }
/** Words of the exchange, of the policy and of its examples. */
const WORDS = ['Tell me about', 'nine percent', 'promises returns', 'lose a cent', 'Ignore your bank', 'support assistant']

interface Ready {
  url: string
}

describe('Tenants', () => {
  let folder: string
  let redis: RedisServer
  before(async () => {
    redis = await RedisServer.start()
    folder = await mkdtemp(join(tmpdir(), 'gabion-tenants-'))
    await mkdir(join(folder, 'tenants'))
    await writeFile(join(folder, 'policies.yaml'), POLICY)
    await copyFile('examples/policies/support-benign.jsonl', join(folder, 'benign.jsonl'))
    await writeFile(join(folder, 'tenants', 'acme.yaml'), 'policy: ../policies.yaml\nbenign: ../benign.jsonl\n')
    await writeFile(join(folder, 'tenants', 'beta.yaml'), 'lexicon: [de, en]\n')
  })
  after(async () => {
    await redis.remove()
    await rm(folder, { recursive: true, force: true })
  })

  const start = (...more: string[]): Promise<GabionProcess<Ready>> =>
    startGabion<Ready>(['serve', '--port', '0', '--no-grpc', '--tenants', join(folder, 'tenants'), '--redis', ...more])

  it('are judged by their own policies, and never share a conversation', async () => {
    const service = await start(redis.url)
    const { url } = service.ready
    const acme = { 'x-gabion-tenant': 'acme' }
    const say = async (at: string, headers = {}): Promise<ExchangeVerdict> => {
      const { status, body } = await post<ExchangeVerdict>(`${at}/v1/conversations/plan/exchanges`, PROMISE, headers)
      assert.equal(status, 200, JSON.stringify(body))
      return body
    }
    const byHeader = await say(url, acme)
    assert.deepEqual(
      [byHeader.conversation, byHeader.exchange, byHeader.alert, byHeader.policies],
      ['acme/plan', 1, true, ['investment-promises']],
    )
    const byPath = await say(`${url}/tenants/acme`)
    assert.deepEqual([byPath.conversation, byPath.exchange], ['acme/plan', 2])
    const beta = await say(`${url}/tenants/beta`)
    assert.deepEqual([beta.conversation, beta.exchange, beta.policies], ['beta/plan', 1, undefined])
    const main = await say(url)
    assert.deepEqual([main.conversation, main.exchange, main.policies], ['plan', 1, undefined])

    const found = await get<{ tenant: string; exchanges: number }>(`${url}/v1/conversations/plan`, acme)
    assert.deepEqual([found.body.tenant, found.body.exchanges], ['acme', 2])
    const { body } = await get<{ alerts: Alert[] }>(`${url}/v1/alerts`)
    assert.deepEqual(
      body.alerts.map(({ conversation, tenant }) => [conversation, tenant]),
      [['acme/plan', 'acme']],
    )
    const nobody = await post(`${url}/v1/conversations/plan/exchanges`, PROMISE, { 'x-gabion-tenant': 'nobody' })
    assert.deepEqual([nobody.status, nobody.body.error.code], [400, 'INVALID_ARGUMENT'])
    const foreign = await post(`${url}/v1/conversations/acme%2Fplan/exchanges`, PROMISE)
    assert.deepEqual([foreign.status, foreign.body.error.code], [400, 'INVALID_ARGUMENT'])

    const gone = await fetch(`${url}/v1/tenants/acme`, { method: 'DELETE' })
    assert.deepEqual(await gone.json(), { status: 'deleted', conversations: 1 })
    assert.equal((await get(`${url}/v1/conversations/plan`, acme)).status, 404)
    assert.equal((await get(`${url}/v1/conversations/plan`)).status, 200)
    await service.stop()
  })

  it('are told apart by the proxy, by header and path; their header and path do not reach the upstream', async () => {
    const monitor = await Monitor.load({ embedder: await testEmbedder() })
    const tenants = new Tenants({ monitor, system: null }, new Map([['acme', { monitor, system: null }]]))
    const { running, upstream } = await startProxy({ policy: 'hold' }, { tenants })
    const chat = async (path: string, headers: Record<string, string> = {}): Promise<string | null> => {
      const body = { model: 'parrot', messages: [{ role: 'user', content: 'When do you open?' }] }
      const response = await fetch(`${running.url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer k', ...headers },
        body: JSON.stringify(body),
      })
      assert.equal(response.status, 200)
      return response.headers.get('x-gabion-conversation')
    }
    const main = await chat('/v1/chat/completions')
    const byPath = await chat('/tenants/acme/v1/chat/completions')
    assert.equal(await chat('/v1/chat/completions', { 'x-gabion-tenant': 'acme' }), byPath)
    assert.notEqual(byPath, main)
    for (const { path, headers } of upstream.requests)
      assert.deepEqual([path, headers['x-gabion-tenant']], ['/v1/chat/completions', undefined])
    const { body } = await get<{ conversations: { tenant: string | null; caller: string }[] }>(`${running.url}/gabion/v1/conversations`)
    assert.deepEqual(body.conversations.map(({ tenant }) => tenant).sort(), ['acme', null])
    assert.equal(new Set(body.conversations.map(({ caller }) => caller)).size, 1)
  })

  it('name the file and the field that is wrong', async () => {
    const wrong = join(folder, 'wrong')
    await mkdir(wrong)
    await writeFile(join(wrong, 'acme.yaml'), 'polices: x\n')
    await assert.rejects(startGabion(['serve', '--port', '0', '--no-grpc', '--tenants', wrong]), /acme\.yaml: there is no field 'polices'/)
  })

  it('keep their words to themselves with --no-texts: none in Redis, events, log, alerts', async () => {
    const redis = await RedisServer.start()
    const receiver = await startReceiver()
    const webhook = ['--alert-webhook', receiver.url, '--alert-webhook-private', '--alert-details']
    const service = await start(redis.url, '--no-texts', '--log-level', 'debug', ...webhook)
    const { url } = service.ready
    const events = new AbortController()
    const stream = await fetch(`${url}/v1/events`, { signal: events.signal })
    const { body } = await post<ExchangeVerdict>(`${url}/tenants/acme/v1/conversations/quiet/exchanges`, {
      ...PROMISE,
      system: 'You are a support assistant.',
    })
    assert.deepEqual([body.alert, body.policies], [true, ['investment-promises']])
    const got = await until('the alert arrives', () => receiver.got[0])
    const reader = stream.body!.getReader()
    let seen = ''
    while (!seen.includes('event: exchange')) seen += Buffer.from((await reader.read()).value ?? []).toString()
    events.abort()
    const stored = await everythingIn(redis)
    assert.ok(stored.includes('acme/quiet'))
    const list = JSON.stringify((await get(`${url}/v1/conversations`)).body) + JSON.stringify((await get(`${url}/v1/alerts`)).body)
    for (const [where, text] of Object.entries({
      stored,
      seen,
      list,
      log: service.log(),
      alert: got.body,
      verdict: JSON.stringify(body),
    })) {
      for (const words of WORDS) assert.ok(!text.includes(words), `${where}: ${words}`)
    }
    await service.stop()

    // The same search finds them without the switch.
    const open = await start(redis.url)
    await post(`${open.ready.url}/tenants/acme/v1/conversations/loud/exchanges`, PROMISE)
    assert.ok((await everythingIn(redis)).includes('nine percent'))
    await open.stop()
    await redis.remove()
  })
})

/** Everything that Redis has been asked to write since its start, as it is in its files. */
async function everythingIn(redis: RedisServer): Promise<string> {
  const [, dir] = (await redis.command('CONFIG', 'GET', 'dir')) as [string, string]
  const files = await readdir(dir, { recursive: true, withFileTypes: true })
  const texts = await Promise.all(files.filter((file) => file.isFile()).map((file) => readFile(join(file.parentPath, file.name), 'latin1')))
  return texts.join('\n')
}
