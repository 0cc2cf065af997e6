// Clients from the registries work unchanged: openai and LangChain for JavaScript and Python, a text-embeddings-inference client.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { OpenAIEmbeddings } from '@langchain/openai'
import OpenAI from 'openai'
import type { RunningService } from '../../lib/server/serve.js'
import { runPython } from './python-tools.js'
import { KEY, startService, testEmbedder } from './service-under-test.js'

const TEXTS = ['How do I reset my password?', 'Grüße aus Köln 🙂', 'a', `${'many words '.repeat(400)}end`]

describe('Clients', () => {
  let running: RunningService
  let expected: Float32Array[]
  before(async () => {
    running = await startService({ keyList: [KEY], grpcPort: null })
    const batch = await (await testEmbedder()).embedBatch(TEXTS)
    expected = TEXTS.map((_, index) => batch.row(index))
  })
  after(() => running.stop())

  const same = (vectors: readonly (readonly number[])[], name: string): void => {
    assert.deepEqual(
      vectors.map((vector) => Float32Array.from(vector)),
      expected,
      name,
    )
  }

  it('openai for JavaScript', async () => {
    const client = new OpenAI({ baseURL: `${running.url}/v1`, apiKey: KEY, maxRetries: 0 })
    const { data, usage } = await client.embeddings.create({ model: 'text-embedding-3-small', input: TEXTS })
    same(
      data.map(({ embedding }) => embedding),
      'base64, as the client asks by itself',
    )
    assert.ok(usage.prompt_tokens > TEXTS.length)
    const floats = await client.embeddings.create({ model: 'm', input: TEXTS, encoding_format: 'float' })
    same(
      floats.data.map(({ embedding }) => embedding),
      'float',
    )
    const stranger = new OpenAI({ baseURL: `${running.url}/v1`, apiKey: 'wrong-key-0123456789', maxRetries: 0 })
    await assert.rejects(stranger.embeddings.create({ model: 'm', input: 'a' }), (error) => error instanceof OpenAI.AuthenticationError)
  })

  it('LangChain for JavaScript', async () => {
    const embeddings = new OpenAIEmbeddings({ apiKey: KEY, model: 'm', configuration: { baseURL: `${running.url}/v1` } })
    same(await embeddings.embedDocuments(TEXTS), 'documents')
    assert.deepEqual(Float32Array.from(await embeddings.embedQuery(TEXTS[0]!)), expected[0])
  })

  it('openai, LangChain and huggingface_hub for Python', async () => {
    const found = JSON.parse(await runPython(['test/service/python/clients.py', running.url, KEY, JSON.stringify(TEXTS)])) as Record<
      string,
      number[][]
    > & {
      errors: unknown
      models: unknown
      dimensions: number
    }
    for (const name of ['openai', 'openai_float', 'langchain', 'tei', 'root']) same(found[name]!, name)
    assert.equal(found.dimensions, 16)
    assert.deepEqual(found.models, ['all-MiniLM-L6-v2', 'all-MiniLM-L6-v2'])
    assert.deepEqual(found.errors, [
      ['AuthenticationError', 'UNAUTHENTICATED'],
      ['BadRequestError', 'INVALID_ARGUMENT'],
    ])
  })
})
