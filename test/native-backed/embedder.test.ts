// The embedder through its public surface, on the bundled model.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { Embedder } from '../../lib/embedding/embedder.js'
import type { EmbedderOptions, Truncation } from '../../lib/embedding/embedder-options.js'
import { Projection } from '../../lib/projection/projection.js'

let embedder: Embedder
let uncached: Embedder

before(async () => {
  embedder = await Embedder.load()
  uncached = await Embedder.load({ cache: false, threads: 3 })
})
after(() => {
  embedder.dispose()
  uncached.dispose()
})

const bytesOf = (vector: Float32Array): string => Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')
const lengthOf = (vector: Float32Array): number => Math.hypot(...vector)

/** An affine map onto the first two dimensions, the second mirrored. */
function somePlane(): Projection {
  const axes = new Float64Array(768)
  axes[0] = 1
  axes[384 + 1] = -1
  const mean = new Float64Array(384).fill(0.01)
  const none = new Float64Array(2)
  return Projection.fromParts({
    components: 2,
    dimensions: 384,
    mean,
    axes,
    explainedVariance: none,
    explainedVarianceRatio: none,
    model: null,
    fit: null,
  })
}

describe('vectors', () => {
  test('have unit length and mean something', async () => {
    const [a, b, c] = await Promise.all([
      embedder.embed('How do I reset my password?'),
      embedder.embed('I forgot my login credentials'),
      embedder.embed('The weather is lovely in Spain'),
    ])
    assert.equal(a.length, embedder.dimensions)
    assert.ok(Math.abs(lengthOf(a) - 1) < 1e-6)
    const cosine = (x: Float32Array, y: Float32Array): number => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0)
    assert.ok(cosine(a, b) > 0.5)
    assert.ok(cosine(a, c) < 0.2)
  })

  test('have the same bits alone, in a batch, in another order, sync, and at another thread count', async () => {
    const text = fc.oneof(
      fc.string({ maxLength: 400 }),
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc
        .array(fc.constantFrom('refund', 'password', 'the', 'please', 'ignore', 'rules', '🙂', 'naïve'), { maxLength: 120 })
        .map((words) => words.join(' ')),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 8 }), async (texts) => {
        const alone = []
        for (const each of texts) alone.push(bytesOf(await uncached.embed(each)))
        const concurrent = (await Promise.all(texts.map((each) => uncached.embed(each)))).map(bytesOf)
        const batch = await uncached.embedBatch(texts)
        const reversed = await embedder.embedBatch([...texts].reverse())
        for (const [i, each] of texts.entries()) {
          assert.equal(concurrent[i], alone[i])
          assert.equal(bytesOf(batch.row(i)), alone[i])
          assert.equal(bytesOf(reversed.row(texts.length - 1 - i)), alone[i])
          assert.equal(bytesOf(uncached.embedSync(each)), alone[i])
        }
      }),
      { numRuns: 25 },
    )
  })

  test('a lone surrogate counts as U+FFFD', async () => {
    assert.equal(bytesOf(await embedder.embed('broken \ud83d emoji')), bytesOf(await embedder.embed('broken \ufffd emoji')))
    assert.deepEqual(embedder.tokenize('\udc00').ids, embedder.tokenize('\ufffd').ids)
  })

  test('the empty text has one', async () => {
    assert.ok(Math.abs(lengthOf(await embedder.embed('')) - 1) < 1e-6)
    assert.equal(embedder.tokenize('').totalTokenCount, 2)
  })

  test('belong to the caller: changing one changes no later result', async () => {
    const first = await embedder.embed('mine to change')
    const copy = first.slice()
    first.fill(0)
    const second = await embedder.embed('mine to change')
    assert.deepEqual(second, copy)
    second.fill(1)
    assert.deepEqual(embedder.embedSync('mine to change'), copy)
  })
})

describe('embedBatch', () => {
  test('keeps the order, reports progress to the end, and gives nothing for nothing', async () => {
    const texts = Array.from({ length: 700 }, (_, i) => `${String(i % 650)} ` + 'word '.repeat(i % 5))
    const seen: number[] = []
    const batch = await uncached.embedBatch(texts, {
      onProgress: ({ done, total }) => {
        assert.equal(total, 700)
        seen.push(done)
      },
    })
    assert.equal(batch.rows, 700)
    assert.deepEqual(
      seen,
      [...seen].sort((a, b) => a - b),
    )
    assert.equal(seen.at(-1), 700)
    for (const i of [0, 333, 649, 699]) assert.equal(bytesOf(batch.row(i)), bytesOf(await uncached.embed(texts[i] ?? '')))
    const none = await embedder.embedBatch([])
    assert.equal(none.rows, 0)
    assert.equal(none.data.length, 0)
  })

  test('takes a copy of the texts', async () => {
    const texts = ['before the change', 'another']
    const pending = uncached.embedBatch(texts)
    texts[0] = 'after the change'
    assert.equal(bytesOf((await pending).row(0)), bytesOf(await uncached.embed('before the change')))
  })

  test('has timings that add up', async () => {
    const { timings } = await uncached.embedBatch(['one', 'two'], { projection: somePlane() })
    for (const part of [timings.tokenizeMs, timings.encodeMs, timings.projectMs]) assert.ok(part > 0)
    assert.ok(timings.totalMs >= timings.encodeMs / 3)
  })

  test('an exception in onProgress fails the batch', async () => {
    const onProgress = (): void => {
      throw new Error('from onProgress')
    }
    await assert.rejects(uncached.embedBatch(['one'], { onProgress }), /from onProgress/)
  })
})

describe('tokens', () => {
  test('cut texts are reported everywhere', async () => {
    const long = 'word '.repeat(400)
    const told: Truncation[] = []
    using listener = await Embedder.load({ onTruncated: (truncation) => told.push(truncation) })
    await listener.embed(long)
    listener.embedSync(`${long}!`)
    const batch = await listener.embedBatch(['short', long])
    assert.deepEqual(
      told.map(({ totalTokenCount, tokenCount }) => [totalTokenCount, tokenCount]),
      [
        [402, 256],
        [403, 256],
        [402, 256],
      ],
    )
    assert.equal(batch.truncated(0), false)
    assert.equal(batch.truncated(1), true)
    assert.deepEqual([...batch.totalTokenCounts], [3, 402])
    assert.deepEqual([...batch.tokenCounts], [3, 256])
    const tokens = embedder.tokenize(long)
    assert.deepEqual([tokens.ids.length, tokens.totalTokenCount, tokens.truncated], [256, 402, true])
  })
})

describe('projection', () => {
  test('gives the point that applying it to the vector gives', async () => {
    const plane = somePlane()
    const vector = await embedder.embed('to the plane')
    const point = await embedder.embed('to the plane', { projection: plane })
    assert.equal(point.length, 2)
    const expected = plane.apply(vector)
    for (const i of [0, 1]) assert.ok(Math.abs((point[i] ?? 0) - (expected[i] ?? 0)) < 1e-7)
    assert.deepEqual(embedder.embedSync('to the plane', { projection: plane }), point)
    const batch = await embedder.embedBatch(['other', 'to the plane'], { projection: plane })
    assert.deepEqual(batch.projectedRow(1), point)
    assert.equal(bytesOf(batch.row(1)), bytesOf(vector))
    assert.throws(() => batch.projectedRow(2), { code: 'INVALID_ARGUMENT' })
  })

  test('for other vectors is refused', async () => {
    const narrow = Projection.fitPca(
      { rows: 4, dimensions: 3, data: new Float32Array([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 2, 2]) },
      { components: 1 },
    )
    await assert.rejects(embedder.embed('text', { projection: narrow }), { code: 'PROJECTION_MISMATCH' })
    const plane = somePlane()
    const { components, dimensions, mean, axes, explainedVariance, explainedVarianceRatio, fit } = plane
    const parts = { components, dimensions, mean, axes, explainedVariance, explainedVarianceRatio, fit }
    const foreign = Projection.fromParts({ ...parts, model: { name: 'another-model', hash: 'ff', precision: 'bf16' } })
    await assert.rejects(embedder.embedBatch(['text'], { projection: foreign }), { code: 'PROJECTION_MISMATCH' })
  })
})

describe('cache', () => {
  test('counts hits and misses, and runs concurrent requests of one text once', async () => {
    using own = await Embedder.load({ cache: { maxBytes: 1_000_000 } })
    await Promise.all(Array.from({ length: 10 }, () => own.embed('the same')))
    assert.deepEqual({ ...own.cacheStats, bytes: 0 }, { hits: 9, misses: 1, entries: 1, bytes: 0, maxBytes: 1_000_000 })
    const [batch] = await Promise.all([own.embedBatch(['the same', 'new', 'new', 'newer']), own.embed('newer')])
    assert.equal(batch.cached, 1)
    assert.equal(own.cacheStats.misses, 3)
    own.embedSync('new')
    assert.equal(own.cacheStats.misses, 3)
  })

  test('stays within its bytes', async () => {
    using own = await Embedder.load({ cache: { maxBytes: 20_000 } })
    await own.embedBatch(Array.from({ length: 60 }, (_, i) => `text ${String(i)}`))
    const { bytes, entries } = own.cacheStats
    assert.ok(bytes <= 20_000 && entries > 3 && entries < 15, `${String(entries)} entries of ${String(bytes)} bytes`)
  })

  test('tells a projected point from a vector', async () => {
    using own = await Embedder.load()
    const plane = somePlane()
    assert.equal((await own.embed('twofold')).length, 384)
    assert.equal((await own.embed('twofold', { projection: plane })).length, 2)
    assert.equal((await own.embed('twofold')).length, 384)
    assert.deepEqual([own.cacheStats.hits, own.cacheStats.misses], [1, 2])
  })

  test('an aborted run does not take down those who wait for the same text', async () => {
    using own = await Embedder.load({ threads: 1 })
    const controller = new AbortController()
    const busy = own.embedBatch(Array.from({ length: 50 }, (_, i) => `busy ${String(i)} ${'word '.repeat(50)}`))
    const aborted = own.embed('shared', { signal: controller.signal })
    const waiting = own.embed('shared')
    controller.abort()
    await assert.rejects(aborted, { name: 'AbortError', code: 'ABORTED' })
    assert.equal((await waiting).length, 384)
    await busy
  })
})

describe('what is asked wrongly', () => {
  const wrong: [string, unknown, RegExp][] = [
    ['an unknown option', { modle: 'x' }, /no option 'modle'/],
    ['a precision that does not exist', { precision: 'fp8' }, /precision must be one of .*'bf16'.*got "fp8"/],
    ['no thread', { threads: 0 }, /threads must be an integer from 1/],
    ['a provider that does not exist', { providers: ['tpu'] }, /providers must be one of/],
    ['no provider', { providers: [] }, /at least one provider/],
    ['a cache of words', { cache: { maxBytes: 'much' } }, /cache\.maxBytes must be an integer/],
    ['a model that is a number', { model: 7 }, /model must be a string, got 7/],
    ['options that are none', 7, /options must be an object/],
  ]
  for (const [what, options, message] of wrong) {
    test(what, async () => {
      await assert.rejects(Embedder.load(options as EmbedderOptions), { code: 'INVALID_ARGUMENT', message })
    })
  }

  test('a model that is not there', async () => {
    await assert.rejects(Embedder.load('/nonexistent/model'), { code: 'MODEL_NOT_FOUND' })
  })

  test('a precision that the folder does not have names the command that makes it', async () => {
    await assert.rejects(Embedder.load({ precision: 'fp32' }), { code: 'MODEL_NOT_FOUND', message: /gabion model convert/ })
  })

  test('texts and options of every wrong kind', async () => {
    await assert.rejects(embedder.embed(7 as never), { code: 'INVALID_ARGUMENT', message: /text must be a string, got 7/ })
    await assert.rejects(embedder.embedBatch('text' as never), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(embedder.embedBatch(['a', null as never]), { code: 'INVALID_ARGUMENT', message: /texts\[1\]/ })
    await assert.rejects(embedder.embed('a', { projection: {} as never }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(embedder.embed('a', { signal: {} as never }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(embedder.embedBatch(['a'], { onProgress: 1 as never }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(embedder.embed('a', { typo: 1 } as never), { code: 'INVALID_ARGUMENT', message: /no option 'typo'/ })
    assert.throws(() => embedder.embedSync(undefined as never), { code: 'INVALID_ARGUMENT' })
  })

  test('after dispose everything is DISPOSED', async () => {
    const own = await Embedder.load()
    own.dispose()
    await assert.rejects(own.embed('a'), { code: 'DISPOSED' })
    await assert.rejects(own.embedBatch(['a']), { code: 'DISPOSED' })
    assert.throws(() => own.embedSync('a'), { code: 'DISPOSED' })
    assert.throws(() => own.tokenize('a'), { code: 'DISPOSED' })
  })
})

test('info says what runs', () => {
  const { info } = embedder
  assert.equal(info.model, 'all-MiniLM-L6-v2')
  assert.equal(info.precision, 'bf16')
  assert.equal(info.provider, 'cpu')
  assert.equal(info.maxSequenceLength, 256)
  assert.equal(info.license, 'Apache-2.0')
  assert.match(info.modelHash, /^[0-9a-f]{64}$/)
  assert.match(info.runtimeVersion ?? '', /^1\.\d+/)
  assert.ok(info.threads >= 1)
})

test('a provider that is not there is passed over and reported', async () => {
  using own = await Embedder.load({ providers: ['cuda', 'cpu'] })
  assert.equal(own.info.provider, 'cpu')
  assert.equal(own.info.skippedProviders[0]?.provider, 'cuda')
  assert.notEqual(own.info.skippedProviders[0].reason, '')
  await assert.rejects(Embedder.load({ providers: ['cuda'] }), { code: 'PROVIDER_UNAVAILABLE' })
})
