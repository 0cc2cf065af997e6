// The operations routes: liveness, readiness, info, statistics, metrics, OpenAPI document.

import type { FastifyInstance } from 'fastify'
import type { Service } from '../service.js'
import { describe } from './documents.js'
import * as form from './schemas.js'

/** Adds the routes. */
export function addOperationRoutes(app: FastifyInstance, service: Service): void {
  const open = { config: { open: true } }
  const { embedder, models, limits, metrics, store, version, noDetector } = service

  app.get('/health', { ...open, ...describe('health', 'Liveness', { ok: form.Health }) }, () => ({ status: 'ok' }))

  app.get('/ready', { ...open, ...describe('ready', 'Readiness', { ok: form.Health }) }, async () => {
    await service.checkReady()
    return { status: 'ready' }
  })

  app.get('/info', describe('info', 'Version, model and detector', { ok: form.Info }), () => {
    const detector = noDetector === null ? service.monitor.detector : null
    const { model, modelHash, revision, precision, provider, instructionSet, dimensions, threads, license, runtimeVersion } = embedder.info
    return {
      version,
      model_id: model,
      model_sha: revision,
      model_dtype: precision,
      max_input_length: embedder.info.maxSequenceLength,
      max_client_batch_size: limits.texts,
      model: { name: model, hash: modelHash, precision, provider, instructionSet, dimensions, threads, license, runtimeVersion },
      models: models.names,
      detector: detector === null ? null : { name: detector.name, fingerprint: detector.fingerprint },
      noDetector,
      store: store.kind,
      cache: models.cacheStats,
    }
  })

  app.get('/v1/stats', describe('stats', 'Current activity, for the dashboard', { ok: form.Stats }), () => {
    const { hits, misses } = models.cacheStats
    return {
      ...metrics.recent.activity(),
      pendingTexts: service.admission.texts,
      refused: service.admission.refused,
      unjudged: metrics.unjudged,
      blocked: metrics.blocked,
      exchanges: metrics.exchanges,
      alerts: metrics.alerts,
      cacheHits: hits,
      cacheMisses: misses,
    }
  })

  const { schema } = describe('metrics', 'Prometheus metrics', {})
  const text = { description: 'Done', content: { 'text/plain': { schema: { type: 'string' } } } }
  app.get('/metrics', { schema: { ...schema, response: { ...(schema.response as object), 200: text } } }, async (_, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )

  app.get('/openapi.json', { ...open, schema: { hide: true } }, () => app.swagger())
}
