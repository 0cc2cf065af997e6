// What clients ask an embedding service for beyond texts: models, token ids, nulls, huggingface_hub's addresses, and failures in words.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Embedder } from '../../lib/index.js'
import { NoDetector } from '../../lib/server/no-detector.js'
import type { RunningService } from '../../lib/server/serve.js'
import { startGabion } from './gabion-process.js'
import { get, post, startService, testEmbedder } from './service-under-test.js'

interface Embeddings {
  data: { embedding: number[] }[]
  model: string
}

const SMALL = 'test/fixtures/family/bert'

describe('A service of one model', () => {
  let running: RunningService
  let embedder: Embedder
  const embeddings = (body: object) => post<Embeddings>(`${running.url}/v1/embeddings`, body)
  const refusal = async (path: string, body: unknown): Promise<string> => {
    const answer = await post(`${running.url}${path}`, body)
    assert.deepEqual([answer.status, answer.body.error.code], [400, 'INVALID_ARGUMENT'])
    return answer.body.error.message
  }

  before(async () => {
    embedder = await testEmbedder()
    running = await startService({ grpcPort: null })
  })
  after(() => running.stop())

  it('answers at its own address, as huggingface_hub asks', async () => {
    const [expected] = [await embedder.embed('hello')]
    for (const truncation_direction of ['Right', 'right', null]) {
      const { status, body } = await post<number[][]>(`${running.url}/`, { inputs: 'hello', truncate: true, truncation_direction })
      assert.equal(status, 200)
      assert.deepEqual(Float32Array.from(body[0]!), expected)
    }
    const inputs = { source_sentence: 'hello', sentences: ['hello', 'a quarterly report'] }
    for (const path of ['/', '/similarity']) {
      const { body } = await post<number[]>(`${running.url}${path}`, { inputs })
      assert.ok(Math.abs(body[0]! - 1) < 1e-6 && body[1]! < 0.5, JSON.stringify(body))
    }
  })

  it('lists its model', async () => {
    const { body } = await get<{ object: string; data: { id: string; object: string }[] }>(`${running.url}/v1/models`)
    assert.deepEqual([body.object, body.data.map(({ id, object }) => [id, object])], ['list', [['all-MiniLM-L6-v2', 'model']]])
    assert.deepEqual((await get(`${running.url}/v1/models/all-MiniLM-L6-v2`)).body, body.data[0])
    for (const id of ['gpt-4', 'acme/gpt-4', 'acme%2Fgpt-4'])
      assert.equal((await get(`${running.url}/v1/models/${id}`)).body.error.code, 'NOT_FOUND')
  })

  it('takes null for every field that may be left out', async () => {
    const nothing = { model: null, dimensions: null, encoding_format: null, prompt_name: null, user: null }
    const { status, body } = await embeddings({ input: 'hello', ...nothing })
    assert.deepEqual([status, Float32Array.from(body.data[0]!.embedding)], [200, await embedder.embed('hello')])
    const none = { normalize: null, truncate: null, truncation_direction: null, prompt_name: null, dimensions: null, model: null }
    assert.equal((await post(`${running.url}/embed`, { inputs: 'hello', ...none })).status, 200)
  })

  it('takes token ids of its own model, and says of others what to set', async () => {
    const texts = ['How do I reset my password?', "It's unbelievable: 3.5 €, naïve!"]
    const ids = texts.map((text) => [...embedder.tokenize(text).ids])
    const { body } = await embeddings({ input: ids })
    for (const [index, text] of texts.entries())
      assert.deepEqual(Float32Array.from(body.data[index]!.embedding), await embedder.embed(text))
    assert.deepEqual((await embeddings({ input: ids[0] })).body.data[0]!.embedding, body.data[0]!.embedding)
    // 'hello world' in the vocabulary that LangChain counts with: both are words of the model's own too.
    for (const foreign of [[15339, 1917], [101, 15339, 1917], [101, 999_999, 102], [101, 1, 102], Array(600).fill(7592)])
      assert.match(await refusal('/v1/embeddings', { input: foreign }), /own tokenizer.*check_embedding_ctx_length=False/)
    assert.match(await refusal('/v1/embeddings', { input: ids, prompt_name: 'query' }), /needs texts/)
  })

  it('says where a request is wrong, what is wrong and what is allowed', async () => {
    const exchanges = '/v1/conversations/x/exchanges'
    const long = 'a secret'.repeat(100)
    const wrong: [string, unknown, RegExp][] = [
      ['/v1/embeddings', {}, /^the body has no field 'input': it must be a string or a list of 1 or more, each a string or/],
      ['/v1/embeddings', { input: 7 }, /^input in the body must be a string or .*, got 7$/],
      ['/v1/embeddings', { input: ['a', 7] }, /^input in the body must be .*, got a list of 2$/],
      [
        '/v1/embeddings',
        { input: 'a', encoding_format: 'hex' },
        /^encoding_format in the body must be "float" or "base64" or null, got a string of 3/,
      ],
      ['/v1/embeddings', { input: 'a', dimensions: 0 }, /^dimensions in the body must be a whole number of 1 or more, got 0$/],
      ['/embed', { inputs: 'a', truncation_direction: 'Left' }, /^truncation_direction in the body must be "Right" or "right" or null/],
      ['/v1/project', { input: 'a', more: 1 }, /^the body has no field "more"; its fields: input$/],
      [exchanges, { user: 'a', assistant: null }, /^assistant in the body must be a string, got null$/],
      [
        exchanges,
        { user: 'a', assistant: 'b', caller: long },
        /^caller in the body must be a string of 1 to \d+ characters, got a string of 800/,
      ],
      [exchanges, { user: 'a', assistant: 'b', rules: ['a', 3] }, /^rules/],
      [exchanges, [long], /^the body must be an object with user and assistant, got a list of 1$/],
    ]
    for (const [path, body, pattern] of wrong) {
      const message = await refusal(path, body)
      assert.match(message, pattern)
      assert.doesNotMatch(message, /secret|anyOf|schema/)
    }
    const { body } = await get(`${running.url}/v1/conversations?limit=many`)
    assert.match(body.error.message, /^limit in the query must be a whole number of 1 to 1000, got a string of 4 characters$/)
  })
})

describe('A service of several models, without a detector', () => {
  let running: RunningService
  let small: Embedder
  before(async () => {
    small = await Embedder.load({ model: SMALL, onTruncated: () => undefined })
    const embedders = [await testEmbedder()]
    running = await startService({ grpcPort: null, embedder: small, embedders, monitor: new NoDetector('it has none') })
  })
  after(async () => {
    await running.stop()
    small.dispose()
  })

  it('embeds by the model that a request names', async () => {
    const names = [small.info.model, 'all-MiniLM-L6-v2']
    const { body } = await get<{ data: { id: string }[] }>(`${running.url}/v1/models`)
    assert.deepEqual(
      body.data.map(({ id }) => id),
      names,
    )
    for (const [name, embedder] of [
      [undefined, small],
      [names[0], small],
      [names[1], await testEmbedder()],
    ] as const) {
      const answer = await post<Embeddings>(`${running.url}/v1/embeddings`, { input: 'hello', model: name })
      assert.deepEqual(
        [answer.body.model, Float32Array.from(answer.body.data[0]!.embedding)],
        [embedder.info.model, await embedder.embed('hello')],
      )
    }
    const [vector] = (await post<number[][]>(`${running.url}/embed`, { inputs: 'hello', model: names[1] })).body
    assert.equal(vector!.length, 384)
    const unknown = await post(`${running.url}/v1/embeddings`, { input: 'hello', model: 'gpt-4' })
    assert.deepEqual([unknown.status, unknown.body.error.type], [404, 'invalid_request_error'])
    assert.match(unknown.body.error.message, /no model "gpt-4" here; served: ".*", "all-MiniLM-L6-v2"/)
  })

  it('refuses to judge, with the reason, and does the rest', async () => {
    const exchange = { user: 'hi', assistant: 'hello' }
    for (const answer of [
      await post(`${running.url}/v1/conversations/x/exchanges`, exchange),
      await get(`${running.url}/v1/conversations/x`),
      await get(`${running.url}/v1/conversations`),
      await get(`${running.url}/v1/conversations/x/events`),
    ]) {
      assert.deepEqual([answer.status, answer.body.error.code], [409, 'NO_DETECTOR'])
      assert.match(answer.body.error.message, /it has none/)
    }
    const info = await get<{ detector: null; noDetector: string; models: string[] }>(`${running.url}/info`)
    assert.deepEqual([info.body.detector, info.body.noDetector, info.body.models.length], [null, 'it has none', 2])
    for (const path of ['/ready', '/metrics', '/v1/stats', '/v1/alerts', '/'])
      assert.equal((await fetch(`${running.url}${path}`)).status, 200, path)
  })
})

describe('gabion serve', () => {
  it('starts with a model that the detector does not fit, and says so', async () => {
    const service = await startGabion<{ url: string }>([
      'serve',
      '--port',
      '0',
      '--no-grpc',
      '--detector',
      'erosion',
      '--model',
      SMALL,
      '--model',
      'all-MiniLM-L6-v2',
    ])
    const { url } = service.ready
    const judged = await post(`${url}/v1/conversations/x/exchanges`, { user: 'hi', assistant: 'hello' })
    assert.deepEqual([judged.status, judged.body.error.code], [409, 'NO_DETECTOR'])
    assert.equal(
      (await post<Embeddings>(`${url}/v1/embeddings`, { input: 'hello', model: 'all-MiniLM-L6-v2' })).body.data[0]!.embedding.length,
      384,
    )
    assert.match(service.log(), /no conversations are judged/)
    assert.equal(await service.stop(), 143)
  })

  it('does not start with what contradicts itself, or with a broken detector', async () => {
    const start = (more: string[]) => startGabion(['serve', '--port', '0', '--no-grpc', '--model', SMALL, ...more])
    await assert.rejects(start(['--detector', 'erosion', '--artifact', 'package.json']), /ended with 2/)
    await assert.rejects(start(['--detector', 'none', '--guard', 'always']), /ended with 2.*--detector none judges nothing: omit --guard/s)
  })
})
