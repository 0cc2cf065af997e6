// The Bedrock provider through the cloud's real client, against a server on this machine that speaks the service's form.

import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { openBedrock, type BedrockOptions } from '../../lib/migration/cloud/bedrock.js'
import type { CloudProvider } from '../../lib/migration/cloud/provider.js'
import { Recording } from '../../lib/migration/cloud/recording.js'
import { cloudSource, embedTimed } from '../../lib/migration/source.js'
import { BedrockServer, titanVector } from '../fixtures/bedrock-server.js'

function coded(code: string, reason: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.equal((error as { code?: string }).code, code, String(error))
    assert.match((error as Error).message, reason)
    return true
  }
}

describe('Titan on Bedrock', () => {
  let server: BedrockServer
  let folder = ''
  const opened: { close(): void }[] = []
  before(async () => {
    server = await BedrockServer.start()
    folder = await mkdtemp(join(tmpdir(), 'gabion-cloud-'))
  })
  beforeEach(() => {
    server.requests.length = 0
    server.plans = []
  })
  after(async () => {
    for (const provider of opened) provider.close()
    await server.close()
    await rm(folder, { recursive: true, force: true })
  })

  async function open(options: BedrockOptions = {}): Promise<CloudProvider> {
    const provider = await openBedrock({
      region: 'us-east-1',
      endpoint: server.endpoint,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      textsPerSecond: 1000,
      ...options,
    })
    opened.push(provider)
    return provider
  }

  test('gives vectors, tokens and times', async () => {
    const provider = await open()
    const { vector, tokens, milliseconds } = await provider.embed('a text of five words')
    assert.deepEqual(Array.from(vector), Array.from(Float32Array.from(titanVector('a text of five words', 1536))))
    assert.equal(tokens, 5)
    assert.ok(milliseconds > 0)
    const request = server.requests[0]!
    assert.equal(request.path, '/model/amazon.titan-embed-text-v1/invoke')
    assert.match(request.authorization, /^AWS4-HMAC-SHA256 Credential=test\//)
    assert.deepEqual(request.body, { inputText: 'a text of five words' })
  })

  test('asks Titan V2 for fewer dimensions', async () => {
    const provider = await open({ model: 'amazon.titan-embed-text-v2:0', dimensions: 256 })
    assert.equal((await provider.embed('x')).vector.length, 256)
    assert.deepEqual(server.requests[0]?.body, { inputText: 'x', dimensions: 256, normalize: true })
  })

  test('tries again when it is told to wait, or the service is away', async () => {
    server.plans = ['throttle', 'fault', 'ok']
    const provider = await open()
    assert.equal((await provider.embed('again')).vector.length, 1536)
    assert.equal(server.requests.length, 3)
  })

  test('gives up after the tries it was given, and says what the cloud said', async () => {
    server.plans = ['throttle', 'throttle', 'ok']
    const provider = await open({ attempts: 2 })
    await assert.rejects(provider.embed('x'), coded('CLOUD_REFUSED', /after 2 attempts: ThrottlingException: Too many requests/))
    server.plans = ['forbidden', 'ok']
    await assert.rejects(provider.embed('x'), coded('CLOUD_REFUSED', /AccessDeniedException: You don't have access/))
    assert.equal(server.requests.length, 3, 'a refusal is not tried again')
    server.plans = ['no vector']
    await assert.rejects(provider.embed('x'), coded('CLOUD_REFUSED', /has no vector/))
  })

  test('says that nobody answers', async () => {
    const gone = await open({ endpoint: 'http://127.0.0.1:9', attempts: 1 })
    await assert.rejects(gone.embed('x'), coded('CLOUD_UNREACHABLE', /could not be reached/))
    server.plans = ['slow']
    const provider = await open()
    const abort = AbortSignal.timeout(100)
    await assert.rejects(provider.embed('x', abort), coded('ABORTED', /aborted/))
  })

  test('keeps to its rate', async () => {
    const provider = await open({ textsPerSecond: 20 })
    await Promise.all(['a', 'b', 'c', 'd', 'e'].map((text) => provider.embed(text)))
    const times = server.requests.map(({ at }) => at).sort((a, b) => a - b)
    // Five texts at 20 a second are four pauses of 50 ms; less than all of them is too fast whatever the machine does.
    assert.ok(times.at(-1)! - times[0]! > 150, String(times.at(-1)! - times[0]!))
  })

  test('refuses wrong options before anything is sent', async () => {
    await assert.rejects(open({ model: 'anthropic.claude' }), coded('INVALID_ARGUMENT', /Titan's text embedding models/))
    await assert.rejects(open({ textsPerSecond: 0 }), coded('INVALID_ARGUMENT', /textsPerSecond must be more than 0/))
    await assert.rejects(open({ atempts: 2 } as never), coded('INVALID_ARGUMENT', /no option 'atempts'/))
    assert.equal(server.requests.length, 0)
  })

  test('is recorded: no text is paid for twice, and no word of it is kept', async () => {
    const file = join(folder, 'titan.jsonl')
    const provider = await open()
    const source = cloudSource(provider, await Recording.open(file, provider.model))
    const { vectors, milliseconds } = await embedTimed(source, ['one secret', 'two', 'one secret'])
    assert.equal(server.requests.length, 2)
    assert.deepEqual([vectors.rows, vectors.dimensions, milliseconds.length, source.chargedTokens()], [3, 1536, 3, 5])
    assert.doesNotMatch(await readFile(file, 'utf8'), /secret/)

    const replay = cloudSource(null, await Recording.load(file))
    const again = await embedTimed(replay, ['one secret', 'two', 'one secret'])
    assert.deepEqual(again.vectors.data, vectors.data)
    assert.equal(server.requests.length, 2)
    await assert.rejects(replay.embed('three'), coded('INVALID_ARGUMENT', /no vector for the text beginning "three"/))

    // A line that was cut off while it was written is asked for again.
    await appendFile(file, '{"text":"ab')
    const mended = await Recording.open(file, provider.model)
    assert.equal(mended.size, 2)
    await assert.rejects(
      Recording.open(file, 'amazon.titan-embed-text-v2:0'),
      coded('ARTIFACT_INVALID', /contains vectors of amazon.titan-embed-text-v1/),
    )
    const whole = (await readFile(file, 'utf8')).split('\n').slice(0, 3)
    for (const [damage, reason] of [
      ['{}', /line 1 must name the format/],
      [`${whole[0]!}\nx`, /line 2 is not JSON/],
      [`${whole[0]!}\n{"text":"a"}`, /line 2 must have/],
      [`${whole[0]!}\n${whole[1]!}\n${whole[2]!.replace(/"vector":"..../, '"vector":"')}`, /line 3 has a vector of another length/],
    ] as const) {
      await writeFile(file, `${damage}\n`)
      await assert.rejects(Recording.load(file), coded('ARTIFACT_INVALID', reason))
    }
  })
})
