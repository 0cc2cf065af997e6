// The classifier behind both protocols, as a client of text-embeddings-inference calls it: /predict and /rerank over HTTP, ClassifierService
// over gRPC.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { credentials, loadPackageDefinition, status, type Client, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { Classifier } from '../../lib/index.js'
import { PROTO_FILE } from '../../lib/server/grpc/server.js'
import type { RunningService } from '../../lib/server/serve.js'
import { get, post, startService } from './service-under-test.js'

interface Label {
  label: string
  score: number
}
interface Rank {
  index: number
  score: number
  text?: string
}

const PASSAGES = ['gulls argued over bread', 'every boat left for deeper water', 'the harbour woke before dawn', 'a']
const QUERY = 'when did the harbour wake'

const descends = (scores: readonly number[]): boolean =>
  scores.every((score, index) => index === 0 || score <= (scores[index - 1] as number))

describe('a reranker', () => {
  let reranker: Classifier
  let running: RunningService
  before(async () => {
    reranker = await Classifier.load('build/classifiers/roberta', { precision: 'fp32', truncation: 'longest_first' })
    running = await startService({ classifier: reranker })
  })
  after(async () => {
    await running.stop()
    reranker.dispose()
  })

  it('ranks texts over HTTP as text-embeddings-inference does', async () => {
    const expected = await reranker.classifyBatch(PASSAGES.map((pair) => ({ text: QUERY, pair })))
    const { status: code, body: ranks } = await post<Rank[]>(`${running.url}/rerank`, { query: QUERY, texts: PASSAGES })
    assert.equal(code, 200)
    assert.ok(descends(ranks.map(({ score }) => score)))
    assert.deepEqual(
      ranks.map(({ index }) => index).sort((a, b) => a - b),
      [0, 1, 2, 3],
    )
    for (const { index, score, text } of ranks) {
      assert.equal(score, expected[index]?.score)
      assert.equal(text, undefined)
    }
    const raw = await post<Rank[]>(`${running.url}/rerank`, { query: QUERY, texts: PASSAGES, raw_scores: true, return_text: true })
    assert.deepEqual(
      raw.body,
      ranks.map(({ index }) => ({ index, score: expected[index]?.logits[0], text: PASSAGES[index] })),
    )
  })

  it('ranks texts over gRPC', async () => {
    const { body: expected } = await post<Rank[]>(`${running.url}/rerank`, { query: QUERY, texts: PASSAGES, return_text: true })
    const { model, ranks } = await grpc(running, 'rerank', { query: QUERY, texts: PASSAGES, returnText: true })
    assert.equal(model, 'roberta')
    assert.deepEqual(
      (ranks as Rank[]).map(({ index, score, text }) => ({ index, score, text })),
      expected,
    )
  })

  it('refuses what it would cut, unless it is asked to', async () => {
    const body = { query: QUERY, texts: ['harbour '.repeat(300)] }
    const refused = await post(`${running.url}/rerank`, body)
    assert.deepEqual([refused.status, refused.body.error.code], [422, 'TOKENIZER_FAILED'])
    assert.equal((await post<Rank[]>(`${running.url}/rerank`, { ...body, truncate: true })).body.length, 1)
  })

  it('refuses bad requests, and says what is wrong', async () => {
    for (const body of [{}, { query: QUERY }, { query: QUERY, texts: [] }, { query: 1, texts: ['a'] }, { query: QUERY, texts: 'a' }]) {
      assert.equal((await post(`${running.url}/rerank`, body)).status, 400, JSON.stringify(body))
    }
    for (const inputs of [undefined, [], [[]], ['a', 'b', 'c'], [['a'], 'b'], 1]) {
      assert.equal((await post(`${running.url}/predict`, { inputs })).status, 400, JSON.stringify(inputs))
    }
  })
})

describe('a classifier of several labels', () => {
  let classifier: Classifier
  let running: RunningService
  before(async () => {
    classifier = await Classifier.load('build/classifiers/bert', { precision: 'fp32' })
    running = await startService({ classifier })
  })
  after(async () => {
    await running.stop()
    classifier.dispose()
  })

  it('predicts a text, a pair and a batch', async () => {
    const { scores: ofText } = await classifier.classify('gulls argued')
    const { scores: ofPair } = await classifier.classify({ text: 'gulls argued', pair: 'gulls were silent' })
    const predict = async (inputs: unknown): Promise<unknown> => (await post<unknown>(`${running.url}/predict`, { inputs })).body
    assert.deepEqual(await predict('gulls argued'), ofText)
    assert.deepEqual(await predict(['gulls argued']), ofText)
    assert.deepEqual(await predict(['gulls argued', 'gulls were silent']), ofPair)
    assert.deepEqual(await predict([['gulls argued'], ['gulls argued', 'gulls were silent']]), [ofText, ofPair])
    const { body: raw } = await post<Label[]>(`${running.url}/predict`, { inputs: 'gulls argued', raw_scores: true })
    const { logits } = await classifier.classify('gulls argued')
    assert.deepEqual(raw.map(({ score }) => score), [...logits].sort((a, b) => b - a)) // prettier-ignore
  })

  it('predicts over gRPC', async () => {
    const inputs = [{ text: 'gulls argued' }, { text: 'gulls argued', pair: 'gulls were silent' }]
    const { results } = await grpc(running, 'predict', { inputs })
    const expected = await classifier.classifyBatch(['gulls argued', { text: 'gulls argued', pair: 'gulls were silent' }])
    assert.deepEqual(
      (results as { predictions: Label[] }[]).map(({ predictions }) => predictions.map(({ label, score }) => ({ label, score }))),
      expected.map(({ scores }) => scores),
    )
  })

  it('is no reranker', async () => {
    const { status: code, body } = await post(`${running.url}/rerank`, { query: QUERY, texts: PASSAGES })
    assert.deepEqual([code, body.error.code], [400, 'INVALID_ARGUMENT'])
    assert.match(body.error.message, /bert has 3 labels/)
  })

  it('is in the OpenAPI document', async () => {
    const { body } = await get<{ paths: Record<string, unknown> }>(`${running.url}/openapi.json`)
    assert.ok('/predict' in body.paths && '/rerank' in body.paths)
  })
})

describe('a service without a classifier', () => {
  it('says how it gets one', async () => {
    const running = await startService()
    const { status: code, body } = await post(`${running.url}/predict`, { inputs: 'a' })
    assert.deepEqual([code, body.error.code], [404, 'NOT_FOUND'])
    assert.match(body.error.message, /--classifier/)
    await assert.rejects(grpc(running, 'rerank', { query: 'a', texts: ['b'] }), (error: ServiceError) => error.code === status.NOT_FOUND)
    await running.stop()
  })
})

/** One call of ClassifierService. */
async function grpc(running: RunningService, method: 'predict' | 'rerank', request: object): Promise<Record<string, unknown>> {
  const root = loadPackageDefinition(loadSync(PROTO_FILE, { defaults: true, oneofs: true })) as unknown as {
    gabion: { v1: { ClassifierService: new (...args: unknown[]) => Client & Record<string, (...args: unknown[]) => void> } }
  }
  const client = new root.gabion.v1.ClassifierService(`127.0.0.1:${String(running.grpcPort)}`, credentials.createInsecure())
  try {
    return await new Promise((resolve, reject) => {
      const call = client[method] as (...args: unknown[]) => void
      call.call(client, request, (error: ServiceError | null, response: Record<string, unknown>) =>
        error === null ? resolve(response) : reject(error),
      )
    })
  } finally {
    client.close()
  }
}
