// The public names of gabion/server: the service of `gabion serve`, started from code. Assembles the parts, without logic of its own.

import { pino, type Logger } from 'pino'
import { Classifier } from '../classifier/classifier.js'
import { Embedder } from '../embedding/embedder.js'
import { Monitor } from '../monitor/monitor.js'
import { checkOptions, invalidArgument } from '../options.js'
import type { Projection } from '../projection/projection.js'
import { openAlerts, type AlertOptions } from './alert-options.js'
import { ApiKeys } from './api-keys.js'
import { MemoryStore } from './conversations/memory-store.js'
import { RedisStore } from './conversations/redis-store.js'
import type { ConversationStore } from './conversations/store.js'
import type { Limits } from './limits.js'
import { NoDetector } from './no-detector.js'
import { serve as serveParts } from './serve.js'

export type { DestinationOptions } from '../alerts/open-destinations.js'
export type { AlertOptions } from './alert-options.js'
export type { Limits } from './limits.js'

/** Options of {@link serve}. */
export interface ServeOptions {
  /** Computes the vectors; the caller disposes of it. Default: the monitor's, else the bundled model, disposed of by `stop`. */
  embedder?: Embedder
  /** Further models: requests name the one that they mean. The caller disposes of them. */
  embedders?: readonly Embedder[]
  /**
   * Judges the exchanges; null for none: requests to judge one are then refused. Default: `Monitor.load({ embedder })`.
   */
  monitor?: Monitor | null
  /** Applied in requests for projected vectors. */
  projection?: Projection
  /** Answers requests for labels and rankings; the caller disposes of it. */
  classifier?: Classifier
  /** Default `127.0.0.1`. An address that other machines can reach requires `apiKeys`. */
  host?: string
  /** HTTP port; 0 takes a free one. Default 8080. */
  port?: number
  /** gRPC port; 0 takes a free one, null disables gRPC. Default 50051. */
  grpcPort?: number | null
  /** API keys of 16 characters or more. Default: none, every process on this machine has access. */
  apiKeys?: readonly string[]
  /** Files in PEM form, for both protocols. */
  tls?: { cert: string; key: string }
  /** Stores conversations in Redis. Default: in this process. */
  redis?: { url: string; prefix?: string }
  /** Milliseconds after its last exchange at which a conversation is deleted. Default one day. */
  ttlMs?: number
  /** Limits of requests. */
  limits?: Partial<Limits>
  /** Who is told of alerts. Default: nobody but the log. */
  alerts?: AlertOptions
  /** A pino logger. Default: nothing is logged. */
  logger?: Logger
}

/** A running service. */
export interface RunningService extends AsyncDisposable {
  /** URL of the HTTP server, such as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly port: number
  /** Null without gRPC. */
  readonly grpcPort: number | null
  /** Refuses new requests and waits for those in flight, at most `graceMs` (default 20,000). Idempotent. */
  stop(graceMs?: number): Promise<void>
}

const OPTIONS = [
  'embedder',
  'embedders',
  'monitor',
  'projection',
  'classifier',
  'host',
  'port',
  'grpcPort',
  'apiKeys',
  'tls',
  'redis',
  'ttlMs',
  'limits',
  'alerts',
  'logger',
] as const

const STORE_BYTES = 256 * 1024 * 1024
const TTL_MS = 24 * 3_600_000

/**
 * Starts the service of `gabion serve`: HTTP and gRPC.
 *
 * @throws GabionError `INVALID_ARGUMENT`, also for a public address without keys; `UNAVAILABLE` if the address is in use or
 *   Redis does not respond; the errors of `Embedder.load` and `Monitor.load`
 */
export async function serve(options?: ServeOptions): Promise<RunningService> {
  const {
    embedder: given,
    monitor: givenMonitor,
    apiKeys = [],
    redis,
    ttlMs = TTL_MS,
    alerts,
    logger,
    ...rest
  } = checkOptions('options', options, OPTIONS)
  if (given !== undefined && !(given instanceof Embedder)) throw invalidArgument('embedder', 'an Embedder', given)
  if (givenMonitor !== undefined && givenMonitor !== null && !(givenMonitor instanceof Monitor))
    throw invalidArgument('monitor', 'a Monitor or null', givenMonitor)
  for (const [index, one] of (rest.embedders ?? []).entries())
    if (!(one instanceof Embedder)) throw invalidArgument(`embedders[${index}]`, 'an Embedder', one)
  if (rest.classifier !== undefined && !(rest.classifier instanceof Classifier))
    throw invalidArgument('classifier', 'a Classifier', rest.classifier)
  const keys = new ApiKeys(apiKeys)
  const log = logger ?? pino({ enabled: false })
  const own = given === undefined && !(givenMonitor?.embedder instanceof Embedder) ? await Embedder.load() : null
  const embedder = given ?? own ?? (givenMonitor?.embedder as Embedder)
  let store: ConversationStore | null = null
  try {
    const monitor =
      givenMonitor === null ? new NoDetector('it was started with monitor: null') : (givenMonitor ?? (await Monitor.load({ embedder })))
    store =
      redis === undefined
        ? new MemoryStore({ maxBytes: STORE_BYTES, ttlMs })
        : await RedisStore.open({ url: redis.url, prefix: redis.prefix ?? 'gabion', ttlMs, logger: log })
    let dashboard: string | null = null
    const alerting = alerts === undefined ? null : await openAlerts(alerts, redis, log, () => dashboard)
    const running = await serveParts({ ...rest, embedder, monitor, store, keys, logger: log, ...(alerting !== null && { alerting }) })
    dashboard = running.url
    let stopped: Promise<void> | null = null
    const stop = (graceMs?: number): Promise<void> => (stopped ??= running.stop(graceMs).finally(() => own?.dispose()))
    const { url, port, grpcPort } = running
    return { url, port, grpcPort, stop, [Symbol.asyncDispose]: () => stop() }
  } catch (error) {
    await store?.close()
    own?.dispose()
    throw error
  }
}
