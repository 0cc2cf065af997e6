// The types as a user of the package sees them. Compiled by installed-package.test.ts against the packed declarations, never run.

import { expectTypeOf } from 'expect-type'
import {
  Embedder,
  EmbeddingBatch,
  ERROR_CODES,
  GabionError,
  isGabionError,
  Monitor,
  Projection,
  semanticSearch,
  type EmbedderInfo,
  type GabionErrorCode,
  type Provider,
  type SearchHit,
  type ExchangeVerdict,
} from 'gabion'
import { convertModel, type GraphManifest } from 'gabion/convert'
import { PcaAccumulator, Projection as SameProjection } from 'gabion/projection'
import { serve, type RunningService } from 'gabion/server'
import { FakeEmbedder, ScriptedDetector } from 'gabion/testing'

expectTypeOf(Embedder.load).returns.resolves.toEqualTypeOf<Embedder>()
expectTypeOf(Embedder.load).toBeCallableWith('all-MiniLM-L6-v2')
expectTypeOf(Embedder.load).toBeCallableWith({ providers: ['cuda', 'cpu'], cudaLibrary: '/a/library.so', threads: 2, cache: false })
// @ts-expect-error there is no such provider
expectTypeOf(Embedder.load).toBeCallableWith({ providers: ['tpu'] })
// @ts-expect-error there is no such option
expectTypeOf(Embedder.load).toBeCallableWith({ devices: 'cuda' })

declare const embedder: Embedder
expectTypeOf(embedder.embed('text')).resolves.toExtend<Float32Array | Float64Array>()
expectTypeOf(embedder.embedBatch(['text'])).resolves.toEqualTypeOf<EmbeddingBatch>()
expectTypeOf(embedder.info).toExtend<EmbedderInfo>()
expectTypeOf(embedder[Symbol.dispose]).toBeFunction()
expectTypeOf(embedder.embed(['text'], { dimensions: 64 })).resolves.toEqualTypeOf<EmbeddingBatch>()
declare const one: string | string[]
expectTypeOf(embedder.embed(one)).resolves.toExtend<Float32Array | EmbeddingBatch>()
// @ts-expect-error texts are strings
void embedder.embed(42)

declare const batch: EmbeddingBatch
expectTypeOf(batch.row(0)).toExtend<Float32Array>()
expectTypeOf(Projection.fitPca(batch, { components: 2 })).toEqualTypeOf<Projection>()

expectTypeOf(semanticSearch(batch.row(0), batch, { topK: 3 })).toEqualTypeOf<SearchHit[]>()

for (const vector of batch) expectTypeOf(vector).toExtend<Float32Array>()
expectTypeOf(new PcaAccumulator().fit({ components: 2 })).toEqualTypeOf<Projection>()
expectTypeOf<SameProjection>().toEqualTypeOf<Projection>()
expectTypeOf(convertModel).returns.resolves.toEqualTypeOf<GraphManifest>()
expectTypeOf(serve).returns.resolves.toEqualTypeOf<RunningService>()

using monitor = await Monitor.load()
expectTypeOf(Monitor.load).toBeCallableWith({ embedder })
expectTypeOf(Monitor.load).toBeCallableWith({ embedder: new FakeEmbedder(), detector: new ScriptedDetector(['calm', 'alert']) })
const verdict = await monitor.conversation('id').addExchange({ user: 'a', assistant: 'b' })
expectTypeOf(verdict).toExtend<ExchangeVerdict>()
expectTypeOf(verdict.alert).toBeBoolean()
expectTypeOf(verdict.likelihood).toBeNumber()

expectTypeOf<Provider>().toEqualTypeOf<'cpu' | 'cuda'>()
expectTypeOf<GabionErrorCode>().toEqualTypeOf<keyof typeof ERROR_CODES>()
declare const thrown: unknown
if (isGabionError(thrown)) expectTypeOf(thrown).toEqualTypeOf<GabionError>()
