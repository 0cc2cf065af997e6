// What happens when there is too much, when clients leave, and when the service ends.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { until } from './ending.js'
import { startGabion } from './gabion-process.js'
import { post, startService, testEmbedder } from './service-under-test.js'

/** Texts that nobody has asked for before, so that the cache knows none. */
let last = 0
const fresh = (count: number): string[] => Array.from({ length: count }, () => `${'a rather long text of many words '.repeat(8)}${++last}`)

describe('Too much', () => {
  it('is refused at once with Retry-After, and what was admitted is answered', async () => {
    const running = await startService({ limits: { pendingTexts: 64 } })
    const big = post<{ data: unknown[] }>(`${running.url}/v1/embeddings`, { input: fresh(64) })
    await until('the big request is admitted', () => running.service.admission.texts === 64)
    const refused = await Promise.all(Array.from({ length: 20 }, () => post(`${running.url}/v1/embeddings`, { input: 'a text' })))
    assert.ok(running.service.admission.texts > 0, 'the big request was over before the refusals')
    for (const { status, headers, body } of refused) {
      assert.deepEqual([status, headers.get('retry-after'), body.error.code, body.error.type], [429, '1', 'OVERLOADED', 'rate_limit_error'])
    }
    const exchange = await post(`${running.url}/v1/conversations/x/exchanges`, { user: 'a', assistant: 'b' })
    assert.equal(exchange.status, 429)
    assert.equal((await big).body.data.length, 64)
    assert.equal((await post(`${running.url}/v1/embeddings`, { input: 'a text' })).status, 200)
    assert.match(await (await fetch(`${running.url}/metrics`)).text(), /gabion_refused 21/)
    await running.stop()
  })

  it('is counted in characters too, and one large request goes through an idle service', async () => {
    const running = await startService({ limits: { pendingTexts: 1000, pendingLength: 2000 } })
    const big = post<{ data: unknown[] }>(`${running.url}/v1/embeddings`, { input: fresh(40) })
    await until('the big request is admitted', () => running.service.admission.texts === 40)
    assert.equal((await post(`${running.url}/v1/embeddings`, { input: 'a' })).status, 429)
    assert.equal((await big).body.data.length, 40)
    await running.stop()
  })
})

describe('A client that leaves', () => {
  it('is dropped from the queue', async () => {
    const running = await startService()
    const stop = new AbortController()
    const left = fetch(`${running.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: fresh(1000) }),
      signal: stop.signal,
    })
    left.catch(() => undefined)
    await until('the request is admitted', () => running.service.admission.texts > 0)
    const misses = (await testEmbedder()).cacheStats.entries
    stop.abort()
    await until('the request is dropped', () => running.service.admission.texts === 0)
    // Whole, it would have left all of its thousand texts in the cache.
    assert.ok((await testEmbedder()).cacheStats.entries - misses < 900)
    await running.stop()
  })
})

describe('The end', () => {
  it('finishes what was admitted, refuses what is new, and is not ready any more', async () => {
    const running = await startService()
    const admitted = post<{ data: unknown[] }>(`${running.url}/v1/embeddings`, { input: fresh(120) })
    await until('the request is admitted', () => running.service.admission.texts > 0)
    const events = await fetch(`${running.url}/v1/events`)
    running.service.stop()
    assert.equal((await fetch(`${running.url}/ready`)).status, 503)
    const stopped = running.stop()
    assert.equal(await events.text().then((text) => text.includes('connected')), true)
    const late = await post(`${running.url}/v1/embeddings`, { input: 'late' }).catch((error: unknown) => error as Error)
    assert.ok(late instanceof Error || late.status === 503)
    assert.equal((await admitted).body.data.length, 120)
    await stopped
  })

  it('comes in the same order to the process that gets SIGTERM', async () => {
    const { ready, stop } = await startGabion<{ url: string }>(['serve', '--port', '0', '--no-grpc'])
    const { url } = ready
    const admitted = post<{ data: unknown[] }>(`${url}/v1/embeddings`, { input: fresh(120) })
    const pending = async (): Promise<number> =>
      Number(/gabion_pending_texts (\d+)/.exec(await (await fetch(`${url}/metrics`)).text())?.[1] ?? 0)
    await until('the request is admitted', async () => (await pending()) > 0)
    const stopped = stop()
    assert.equal((await admitted).body.data.length, 120)
    assert.equal(await stopped, 143)
  })
})
