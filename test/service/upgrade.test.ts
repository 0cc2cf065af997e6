// A rolling upgrade: services of two versions on one Redis, by detectors with different fingerprints. What one of them wrote continues at
// the other, or is refused by it and stays as it is, as docs/deploy/upgrade.md says.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Monitor } from '../../lib/index.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import type { ConversationRecord } from '../../lib/server/conversations/record.js'
import { readTranscript } from '../../lib/transcripts/transcript.js'
import { startGabion } from './gabion-process.js'
import { RedisServer } from './redis-server.js'
import { get, post, testEmbedder, type Answer, type FailureBody } from './service-under-test.js'

const SYSTEM = await readFile('examples/shop-system-prompt.md', 'utf8')

interface Exchange {
  user: string
  assistant: string
}

async function exchangesOf(file: string): Promise<readonly Exchange[]> {
  for await (const { exchanges } of readTranscript(file)) return exchanges.map(({ user, assistant }) => ({ user, assistant }))
  throw new Error(`${file} has no conversation`)
}

/** What does not differ from run to run. */
const core = ({ exchange, level, alert, likelihood, strength }: ExchangeVerdict): object => ({
  exchange,
  level,
  alert,
  likelihood,
  strength,
})

/** A folder of the bundled guard as another release would describe it: the same weights and lines, another fingerprint. */
async function guardOfAnotherRelease(folder: string): Promise<string> {
  const guard = join(folder, 'guard')
  await mkdir(guard)
  await symlink(resolve('models/guard/model.safetensors'), join(guard, 'model.safetensors'))
  await writeFile(join(guard, 'guard.json'), JSON.stringify(JSON.parse(await readFile('models/guard/guard.json', 'utf8'))))
  return guard
}

describe('services of two versions on one Redis', () => {
  let redis: RedisServer
  let folder: string
  /** URLs of the services: the erosion detector alone, the guard, and the guard as another release describes it. */
  let [erosion, guard, otherGuard] = ['', '', '']
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-upgrade-'))
    redis = await RedisServer.start()
    const start = async (...flags: string[]): Promise<string> => {
      const args = ['serve', '--port', '0', '--no-grpc', '--redis', redis.url, '--redis-prefix', 'shared', ...flags]
      return (await startGabion<{ url: string }>(args)).ready.url
    }
    const guardModel = await guardOfAnotherRelease(folder)
    ;[erosion, guard, otherGuard] = await Promise.all([start('--guard', 'off'), start(), start('--guard-model', guardModel)])
  })
  after(async () => {
    await redis.remove()
    await rm(folder, { recursive: true, force: true })
  })

  const add = <T = FailureBody>(url: string, conversation: string, exchange: object): Promise<Answer<T>> =>
    post<T>(`${url}/v1/conversations/${conversation}/exchanges`, exchange)
  const key = (conversation: string): string => `{shared}:conversation:${conversation}`
  const recordOf = async (conversation: string): Promise<ConversationRecord> =>
    JSON.parse((await redis.command('HGET', key(conversation), 'record')) as string) as ConversationRecord
  const store = (conversation: string, record: object): Promise<unknown> =>
    redis.command('HSET', key(conversation), 'revision', 'r', 'record', JSON.stringify(record))

  it('have detectors with fingerprints of their own', async () => {
    const infos = await Promise.all([erosion, guard, otherGuard].map((url) => get<{ detector: { fingerprint: string } }>(`${url}/info`)))
    assert.equal(new Set(infos.map(({ body }) => body.detector.fingerprint)).size, 3)
  })

  it('continue a conversation of two guards in any order, as one of them alone would', async () => {
    const exchanges = await exchangesOf('examples/shop-refund-eroding.json')
    const alone = (await Monitor.load({ embedder: await testEmbedder() })).begin('alone', { system: SYSTEM })
    const fingerprints = new Set<string>()
    for (const [at, exchange] of exchanges.entries()) {
      const url = at % 2 === 0 ? guard : otherGuard
      const { status, body } = await add<ExchangeVerdict>(url, 'both', { ...exchange, system: SYSTEM, exchangeId: `e${String(at)}` })
      assert.equal(status, 200)
      assert.deepEqual(core(body), core(await alone.addExchange(exchange)))
      fingerprints.add((await recordOf('both')).saved.detector.fingerprint)
    }
    assert.equal(fingerprints.size, 2)
    // Sent again because its answer was lost when an instance ended: the other one has the same verdict, and judges nothing twice.
    const again = await add<ExchangeVerdict>(guard, 'both', { ...exchanges.at(-1), exchangeId: `e${String(exchanges.length - 1)}` })
    assert.deepEqual(again.body, (await recordOf('both')).verdicts.at(-1))
    assert.equal((await recordOf('both')).saved.exchanges, exchanges.length)
  })

  it('continue a record of the release before, with its level; the guard takes it over', async () => {
    const written = JSON.parse(await readFile('test/fixtures/record-version-2.json', 'utf8')) as ConversationRecord
    await store('old', written)
    const [next, ...more] = (await exchangesOf('examples/shop-refund-eroding.json')).slice(5)
    assert.equal((await add<ExchangeVerdict>(erosion, 'old', next!)).body.exchange, 6)
    const taken = await add<ExchangeVerdict>(guard, 'old', { ...more[0], system: SYSTEM })
    assert.deepEqual([taken.status, taken.body.exchange, taken.body.level, taken.body.alert], [200, 7, 'alert', false])
    const { saved, verdicts, status } = await recordOf('old')
    assert.deepEqual([saved.version, saved.detector.name, saved.system, saved.history.length], [3, 'guard', SYSTEM, 2])
    assert.deepEqual(verdicts.slice(0, 5), written.verdicts)
    assert.deepEqual([status.firstAlert, status.alerts], [written.status.firstAlert, written.status.alerts])
  })

  it('refuse by name what they cannot continue, and leave it to the other version', async () => {
    const [first, second] = await exchangesOf('examples/bank-card-benign.json')
    assert.equal((await add(guard, 'guarded', first!)).status, 200)
    const before = await recordOf('guarded')
    const refused = await add(erosion, 'guarded', second!)
    assert.deepEqual([refused.status, refused.body.error.code], [500, 'ARTIFACT_INVALID'])
    assert.match(refused.body.error.message, /erosion/)
    assert.deepEqual(await recordOf('guarded'), before)
    assert.equal((await add<ExchangeVerdict>(guard, 'guarded', second!)).body.exchange, 2)
  })

  it('refuse by name a record that a newer release wrote', async () => {
    const [first, second] = await exchangesOf('examples/bank-card-benign.json')
    assert.equal((await add(guard, 'newer', first!)).status, 200)
    const record = await recordOf('newer')
    const newer = { ...record, saved: { ...record.saved, version: 4 } }
    await store('newer', newer)
    const refused = await add(otherGuard, 'newer', second!)
    assert.deepEqual([refused.status, refused.body.error.code], [500, 'ARTIFACT_INVALID'])
    assert.match(refused.body.error.message, /saved by a newer release/)
    assert.deepEqual(await recordOf('newer'), newer)
  })
})
