// Spans and metrics, as OpenTelemetry's own SDK sees them where a process configures it.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { metrics, propagation, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { DEFAULT_POLICY } from '../../lib/server/proxy/policy.js'
import { Upstream } from '../../lib/server/proxy/upstream.js'
import type { RunningService } from '../../lib/server/serve.js'
import { ChatUpstream } from './chat-upstream.js'
import { until } from './ending.js'
import { post, startService } from './service-under-test.js'

describe('OpenTelemetry', () => {
  const spans = new InMemorySpanExporter()
  const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 })
  let running: RunningService
  before(async () => {
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }))
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
    propagation.setGlobalPropagator(new W3CTraceContextPropagator())
    running = await startService({ grpcPort: null })
  })
  after(async () => {
    await running.stop()
    await reader.shutdown()
  })

  it('gets a span an operation, by the conventions for generative AI, as a child of the caller', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const secret = 'a sentence about marmalade'
    await post(`${running.url}/v1/embeddings`, { input: secret }, { traceparent })
    await post(`${running.url}/v1/conversations/c/exchanges`, { user: secret, assistant: secret })
    await post(`${running.url}/v1/embeddings`, { input: 'a', prompt_name: 'none such' })
    const [embeddings, exchange, failed] = spans.getFinishedSpans()
    assert.equal(embeddings?.name, 'embeddings all-MiniLM-L6-v2')
    assert.equal(embeddings.spanContext().traceId, '0af7651916cd43dd8448eb211c80319c')
    assert.equal(embeddings.attributes['gen_ai.operation.name'], 'embeddings')
    assert.equal(embeddings.attributes['gen_ai.request.model'], 'all-MiniLM-L6-v2')
    assert.ok(Number(embeddings.attributes['gen_ai.usage.input_tokens']) > 3)
    assert.equal(exchange?.attributes['gabion.exchange'], 1)
    assert.match(String(exchange.attributes['gabion.level']), /^(calm|elevated)$/)
    assert.equal(failed?.attributes['error.type'], 'INVALID_ARGUMENT')
    assert.ok(!JSON.stringify(spans.getFinishedSpans().map(({ name, attributes }) => [name, attributes])).includes('marmalade'))
  })

  it("gets a proxied chat's verdict as a span in the caller's trace", async () => {
    const upstream = await ChatUpstream.start(() => 'We open at nine.')
    const proxy = await startService({ grpcPort: null, proxy: { upstream: new Upstream(upstream.url), policy: DEFAULT_POLICY } })
    const traceparent = '00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01'
    await post(`${proxy.url}/v1/chat/completions`, { messages: [{ role: 'user', content: 'When do you open?' }] }, { traceparent })
    await until('the span', () =>
      spans.getFinishedSpans().some((span) => {
        return span.name.startsWith('gabion.exchange') && span.spanContext().traceId === '0af7651916cd43dd8448eb211c80319d'
      }),
    )
    assert.equal(upstream.requests[0]?.headers.traceparent, traceparent)
  })

  it('gets durations and token counts', async () => {
    await reader.forceFlush()
    const found = measured.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
    const names = found.map(({ descriptor }) => descriptor.name)
    assert.ok(names.includes('gen_ai.server.request.duration') && names.includes('gen_ai.client.token.usage'), names.join())
  })
})
