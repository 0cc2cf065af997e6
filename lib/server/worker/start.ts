// Assembles a worker: connections, stream, metrics server.

import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { AddressInfo } from 'node:net'
import fastify, { LogController } from 'fastify'
import type { Logger } from 'pino'
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { Alerting, type AlertingOptions } from '../alerting.js'
import type { LocalContexts } from '../conversations/local-contexts.js'
import { RedisStore } from '../conversations/redis-store.js'
import { DEFAULT_LIMITS } from '../limits.js'
import { RedisConnection } from '../redis/connection.js'
import { Keys } from '../redis/keys.js'
import type { Tenants } from '../tenants.js'
import { ExchangeStream } from './exchange-stream.js'
import { Worker } from './worker.js'

/** Options of a worker. */
export interface StartWorkerOptions {
  readonly tenants: Tenants
  readonly logger: Logger
  readonly url: string
  readonly prefix: string
  readonly ttlMs: number
  readonly group: string
  /** Default: the host name and a random part. */
  readonly consumer?: string
  readonly concurrency: number
  readonly claimAfterMs: number
  readonly maxVerdicts: number
  readonly host: string
  /** Port of `/metrics`, `/health` and `/ready`; null for none. */
  readonly metricsPort: number | null
  /** Who is told of alerts; nobody but the log by default. */
  readonly alerting?: AlertingOptions
  /** Keeps the words of conversations out of the store, and removes entries of the stream once they are judged. */
  readonly contexts?: LocalContexts | null
}

/** A running worker. */
export interface RunningWorker {
  readonly consumer: string
  readonly metricsPort: number | null
  /** Takes no more entries and resolves when the pending ones are done. */
  stop(): Promise<void>
}

/** Maximum for deliveries of alerts in flight; what is not delivered stays queued. */
const ALERTS_MS = 2000

export async function startWorker(options: StartWorkerOptions): Promise<RunningWorker> {
  const { tenants, logger, url, prefix, ttlMs, group, concurrency, claimAfterMs, maxVerdicts, contexts = null } = options
  const consumer = options.consumer ?? `${hostname()}-${randomUUID().slice(0, 8)}`
  const keys = new Keys(prefix)
  const store = await RedisStore.open({ url, prefix, ttlMs, logger })
  const redis = await RedisConnection.open(url, logger)
  const waiting = await RedisConnection.open(url, logger)
  const stream = new ExchangeStream({ redis, waiting, store, keys, group, consumer, maxVerdicts, removesEntries: contexts !== null })
  await stream.prepare()
  const metrics = new WorkerMetrics()
  const alerting = new Alerting(logger, metrics.registry, options.alerting)
  await alerting.start()
  const limits = DEFAULT_LIMITS
  const worker = new Worker({
    tenants,
    store,
    stream,
    logger,
    limits,
    concurrency,
    claimAfterMs,
    onJudged: (verdict) => metrics.judged(verdict),
    alerting,
    contexts,
  })
  metrics.read(stream, worker)
  const port = options.metricsPort === null ? null : await metrics.listen(options.host, options.metricsPort, logger, store)
  const run = worker.run()
  return {
    consumer,
    metricsPort: port,
    stop: async () => {
      worker.stop()
      await run
      await alerting.stop(ALERTS_MS)
      await metrics.close()
      await Promise.all([waiting.close(), redis.close(), store.close()])
    },
  }
}

/** A worker's metrics and their HTTP server. */
class WorkerMetrics {
  readonly registry = new Registry()
  readonly #exchanges: Counter<'level'>
  readonly #alerts: Counter
  readonly #seconds: Histogram
  readonly #app = fastify({ logController: new LogController({ disableRequestLogging: true }) })

  constructor() {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry })
    this.#exchanges = new Counter({ name: 'gabion_exchanges_total', help: 'Exchanges judged', labelNames: ['level'], registers })
    this.#alerts = new Counter({ name: 'gabion_alerts_total', help: 'Alerts raised', registers })
    this.#seconds = new Histogram({ name: 'gabion_exchange_seconds', help: 'Time of judging an exchange', registers })
  }

  judged({ level, alert, timings }: ExchangeVerdict): void {
    this.#exchanges.labels(level).inc()
    if (alert) this.#alerts.inc()
    this.#seconds.observe(timings.totalMs / 1000)
  }

  read(stream: ExchangeStream, worker: Worker): void {
    const registers = [this.registry]
    const gauge = (name: string, help: string, value: () => number | Promise<number>): void => {
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          this.set(await value())
        },
      })
    }
    gauge('gabion_stream_lag', 'Exchanges of the stream that no worker has taken', async () => (await stream.lag()).waiting)
    gauge('gabion_stream_pending', 'Exchanges that a worker has taken and not finished', async () => (await stream.lag()).pending)
    gauge('gabion_worker_pending', 'Exchanges that this worker has taken and not finished', () => worker.pending)
  }

  async listen(host: string, port: number, logger: Logger, store: RedisStore): Promise<number> {
    this.#app.get('/metrics', async (_, reply) => reply.type(this.registry.contentType).send(await this.registry.metrics()))
    this.#app.get('/health', () => ({ status: 'ok' }))
    this.#app.get('/ready', async (_, reply) => {
      try {
        await store.check()
        return { status: 'ready' }
      } catch {
        return await reply.code(503).send({ status: 'unavailable' })
      }
    })
    await this.#app.listen({ host, port })
    const bound = (this.#app.server.address() as AddressInfo).port
    logger.info({ port: bound }, 'metrics')
    return bound
  }

  async close(): Promise<void> {
    this.#app.server.closeAllConnections()
    await this.#app.close()
  }
}
