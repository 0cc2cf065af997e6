// The service's Prometheus metrics. Labels are routes, codes and stages: never a text, an id or a key.

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { ReplyOutcome } from '../alerts/alert.js'
import type { EmbeddingBatch, EmbedTimings } from '../embedding/embedding-batch.js'
import type { CacheStats } from '../embedding/vector-cache.js'
import type { ExchangeVerdict } from '../detection/verdict.js'
import type { GabionErrorCode } from '../errors.js'
import { quantile } from '../statistics/quantile.js'
import { readGauge } from './read-gauge.js'

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Routes that use the encoder. */
const ENCODING_ROUTES = new Set([
  '/v1/embeddings',
  '/embed',
  '/similarity',
  '/v1/project',
  '/v1/conversations/:id/exchanges',
  '/predict',
  '/rerank',
  'Embed',
  'AddExchange',
  'Predict',
  'Rerank',
])

/** Gauges that are read at every scrape. */
export interface MetricSources {
  readonly cache: () => CacheStats
  readonly pendingTexts: () => number
  readonly pendingLength: () => number
  readonly refused: () => number
  readonly watchers: () => number
}

/** What happens to a reply that is blocked. */
export type BlockedOutcome = Exclude<ReplyOutcome, 'passed'>

/** The metrics of one service. */
export class Metrics {
  readonly registry = new Registry()
  readonly recent = new RecentRequests()
  readonly #requests: Histogram<'protocol' | 'route' | 'code'>
  readonly #stages: Record<'tokenize' | 'queue' | 'encode' | 'project' | 'detect', { observe(seconds: number): void }>
  readonly #texts: Counter
  readonly #tokens: Counter
  readonly #exchanges: Counter<'level'>
  readonly #alerts: Counter
  readonly #seconds: Histogram
  readonly #unjudged: Counter<'code'>
  readonly #blocked: Counter<'outcome'>
  readonly #unwatched: Counter<'route'>
  readonly #passedUnread: Counter
  /** Exchanges judged and alerts raised since the start. */
  exchanges = 0
  alerts = 0
  /** Replies of the proxy that could not be judged, and those that were blocked. */
  unjudged = 0
  blocked = 0

  /** @param infos - labels of each model */
  constructor(infos: readonly Readonly<Record<string, string>>[], sources: MetricSources) {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry })
    this.#requests = new Histogram({
      name: 'gabion_request_seconds',
      help: 'Time from a request to its response',
      labelNames: ['protocol', 'route', 'code'],
      buckets: SECONDS,
      registers,
    })
    const stages = new Histogram({
      name: 'gabion_stage_seconds',
      help: 'Time of the stages of a response',
      labelNames: ['stage'],
      buckets: SECONDS,
      registers,
    })
    // Looked up once, since every response observes several of them.
    const stage = (name: string): { observe(seconds: number): void } => stages.labels(name)
    this.#stages = {
      tokenize: stage('tokenize'),
      queue: stage('queue'),
      encode: stage('encode'),
      project: stage('project'),
      detect: stage('detect'),
    }
    this.#texts = new Counter({ name: 'gabion_texts_total', help: 'Texts embedded', registers })
    this.#tokens = new Counter({ name: 'gabion_tokens_total', help: 'Tokens of embedded texts', registers })
    this.#exchanges = new Counter({ name: 'gabion_exchanges_total', help: 'Exchanges judged', labelNames: ['level'], registers })
    this.#alerts = new Counter({ name: 'gabion_alerts_total', help: 'Alerts raised', registers })
    this.#seconds = new Histogram({
      name: 'gabion_exchange_seconds',
      help: 'Time of judging an exchange, waiting for earlier ones included',
      buckets: SECONDS,
      registers,
    })
    this.#unjudged = new Counter({
      name: 'gabion_proxy_unjudged_total',
      help: 'Chat responses that could not be judged completely, by error code',
      labelNames: ['code'],
      registers,
    })
    this.#blocked = new Counter({
      name: 'gabion_proxy_blocked_total',
      help: 'Chat responses that were blocked: held back, cut, or with the end of their conversation',
      labelNames: ['outcome'],
      registers,
    })
    this.#unwatched = new Counter({
      name: 'gabion_proxy_unwatched_total',
      help: 'Requests of the proxy that are not watched, by the known part of their path',
      labelNames: ['route'],
      registers,
    })
    this.#passedUnread = new Counter({
      name: 'gabion_proxy_passed_unread_total',
      help: 'Streams of which text passed before it was read, since reading was behind',
      registers,
    })
    readGauge(registers, 'gabion_pending_texts', 'Texts admitted and not yet answered', sources.pendingTexts)
    readGauge(registers, 'gabion_pending_characters', 'Characters of the pending texts', sources.pendingLength)
    readGauge(registers, 'gabion_refused', 'Requests refused for overload since the start', sources.refused)
    readGauge(registers, 'gabion_event_streams', 'Open event streams', sources.watchers)
    readGauge(registers, 'gabion_cache_hits', 'Texts found in the vector cache since the start', () => sources.cache().hits)
    readGauge(registers, 'gabion_cache_misses', 'Texts not found in the vector cache since the start', () => sources.cache().misses)
    readGauge(registers, 'gabion_cache_bytes', 'Bytes of the vector cache', () => sources.cache().bytes)
    const about = new Gauge({
      name: 'gabion_info',
      help: 'Version, model and provider',
      labelNames: Object.keys(infos[0] ?? {}),
      registers,
    })
    for (const info of infos) about.set(info, 1)
  }

  /** Counts an answered request; probes, scrapes and dashboard requests are not recent activity. */
  answered(protocol: 'http' | 'grpc', route: string, code: string, seconds: number): void {
    this.#requests.labels(protocol, route, code).observe(seconds)
    if (ENCODING_ROUTES.has(route)) this.recent.add(seconds * 1000)
  }

  /** Counts embedded texts. */
  embedded(batch: EmbeddingBatch): void {
    this.#texts.inc(batch.rows)
    this.#tokens.inc(batch.tokenCounts.reduce((sum, count) => sum + count, 0))
    this.#stagesOf(batch.timings)
  }

  /** Counts a judged exchange. */
  judged({ level, alert, timings }: ExchangeVerdict): void {
    this.#exchanges.labels(level).inc()
    this.exchanges++
    if (alert) {
      this.#alerts.inc()
      this.alerts++
    }
    this.#stagesOf(timings)
    this.#stages.detect.observe(timings.detectMs / 1000)
    this.#seconds.observe(timings.totalMs / 1000)
  }

  /** Counts a chat response of the proxy. */
  proxied(failure: GabionErrorCode | null, blocked: BlockedOutcome | null): void {
    if (failure !== null) {
      this.#unjudged.labels(failure).inc()
      this.unjudged++
    }
    if (blocked === null) return
    this.#blocked.labels(blocked).inc()
    this.blocked++
  }

  /** Counts a stream of which text passed unread. */
  passedUnread(): void {
    this.#passedUnread.inc()
  }

  /** Counts a request of the proxy that is not watched. */
  unwatched(route: string): void {
    this.#unwatched.labels(route).inc()
  }

  #stagesOf({ tokenizeMs, queueMs, encodeMs, projectMs }: Omit<EmbedTimings, 'totalMs'>): void {
    this.#stages.tokenize.observe(tokenizeMs / 1000)
    this.#stages.queue.observe(queueMs / 1000)
    this.#stages.encode.observe(encodeMs / 1000)
    if (projectMs > 0) this.#stages.project.observe(projectMs / 1000)
  }
}

const SAMPLE_LIMIT = 4096
const WINDOW_MS = 10_000

/** Activity of the last ten seconds. */
export interface RecentActivity {
  /** Responses per second. */
  readonly perSecond: number
  /** Milliseconds; null without any response. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

/** A ring buffer of the last response times, for the dashboard; longer histories are Prometheus'. */
class RecentRequests {
  readonly #endedAt = new Float64Array(SAMPLE_LIMIT)
  readonly #durations = new Float64Array(SAMPLE_LIMIT)
  #next = 0

  add(milliseconds: number): void {
    const slot = this.#next++ % SAMPLE_LIMIT
    this.#endedAt[slot] = performance.now()
    this.#durations[slot] = milliseconds
  }

  activity(): RecentActivity {
    const now = performance.now()
    const count = Math.min(this.#next, SAMPLE_LIMIT)
    const durations: number[] = []
    let oldest = now
    for (let slot = 0; slot < count; slot++) {
      const endedAt = this.#endedAt[slot]!
      if (now - endedAt > WINDOW_MS) continue
      durations.push(this.#durations[slot]!)
      oldest = Math.min(oldest, endedAt)
    }
    // A full ring covers less than the window.
    const seconds = durations.length === SAMPLE_LIMIT ? Math.max(1e-3, (now - oldest) / 1000) : WINDOW_MS / 1000
    const quantileOf = (q: number): number | null => (durations.length === 0 ? null : quantile(durations, q))
    return { perSecond: durations.length / seconds, p50Ms: quantileOf(0.5), p99Ms: quantileOf(0.99) }
  }
}
