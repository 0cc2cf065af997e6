// gabion/server: the service started from code, as its users start it.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { serve } from '../../lib/server/index.js'
import { until } from './ending.js'
import { BAD } from './proxy-under-test.js'
import { erosionMonitor, post, testEmbedder } from './service-under-test.js'
import { startReceiver } from './webhook-receiver.js'

const embed = async (url: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ input: 'The kettle is on.', model: 'all-MiniLM-L6-v2' }),
  })

describe('serve', () => {
  it('answers until it is stopped, and leaves the embedder to its owner', async () => {
    const embedder = await testEmbedder()
    const running = await serve({ embedder, port: 0, grpcPort: null })
    assert.equal(running.grpcPort, null)
    const { data } = (await (await embed(running.url)).json()) as { data: { embedding: number[] }[] }
    assert.deepEqual(Float32Array.from(data[0]!.embedding), await embedder.embed('The kettle is on.'))
    await running.stop()
    await running.stop()
    await assert.rejects(embed(running.url))
    assert.equal((await embedder.embed('still here')).length, 384)
  })

  it('loads what it is not given, asks for keys, and ends with its block', async () => {
    let url: string
    {
      await using running = await serve({ port: 0, grpcPort: 0, apiKeys: ['0123456789abcdef'] })
      url = running.url
      assert.notEqual(running.grpcPort, 0)
      assert.equal((await embed(url)).status, 401)
      assert.equal((await embed(url, { authorization: 'Bearer 0123456789abcdef' })).status, 200)
    }
    await assert.rejects(embed(url))
  })

  it('tells of alerts, as the command line does', async () => {
    const receiver = await startReceiver()
    const folder = await mkdtemp(join(tmpdir(), 'gabion-alerts-'))
    const alerts = { webhooks: [receiver.url], allowPrivate: true, secret: 's'.repeat(24), queue: folder }
    const running = await serve({ embedder: await testEmbedder(), monitor: await erosionMonitor(), port: 0, grpcPort: null, alerts })
    await post(`${running.url}/v1/conversations/shop/exchanges`, { user: BAD.user, assistant: BAD.assistant })
    const { body, headers } = await until('the alert arrives', () => receiver.got[0])
    assert.equal((JSON.parse(body) as { link: string }).link, `${running.url}/#conversation=shop&exchange=1`)
    assert.match(String(headers['webhook-signature']), /^v1,/)
    await running.stop()
    await rm(folder, { recursive: true, force: true })
    for (const [wrong, message] of [
      [{}, /alerts must be an object with webhooks, slack or commands/],
      [{ webhooks: receiver.url }, /alerts\.webhooks must be an array/],
      [{ webhooks: [receiver.url] }, /private/],
      [{ webhook: [receiver.url] }, /no option 'webhook'/],
    ] as const)
      await assert.rejects(serve({ embedder: await testEmbedder(), monitor: null, port: 0, alerts: wrong as never }), {
        code: 'INVALID_ARGUMENT',
        message,
      })
  })

  it('serves vectors without a monitor', async () => {
    await using running = await serve({ embedder: await testEmbedder(), monitor: null, port: 0, grpcPort: null })
    assert.equal((await embed(running.url)).status, 200)
    const judged = await post(`${running.url}/v1/conversations/x/exchanges`, { user: 'hi', assistant: 'hello' })
    assert.deepEqual([judged.status, judged.body.error.code], [409, 'NO_DETECTOR'])
  })

  it('refuses wrong options before anything is opened', async () => {
    await assert.rejects(serve({ port: 0, speed: 1 } as never), { code: 'INVALID_ARGUMENT', message: /no option 'speed'/ })
    await assert.rejects(serve({ embedder: {} as never }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(serve({ embedder: await testEmbedder(), host: '0.0.0.0', port: 0 }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(serve({ apiKeys: ['short'] }), { code: 'INVALID_ARGUMENT', message: /16 characters/ })
  })
})
