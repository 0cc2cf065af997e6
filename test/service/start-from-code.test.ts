// gabion/server: the service started from code, as its users start it.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { serve } from '../../lib/server/index.js'
import { testEmbedder } from './service-under-test.js'

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

  it('refuses wrong options before anything is opened', async () => {
    await assert.rejects(serve({ port: 0, speed: 1 } as never), { code: 'INVALID_ARGUMENT', message: /no option 'speed'/ })
    await assert.rejects(serve({ embedder: {} as never }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(serve({ embedder: await testEmbedder(), host: '0.0.0.0', port: 0 }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(serve({ apiKeys: ['short'] }), { code: 'INVALID_ARGUMENT', message: /16 characters/ })
  })
})
