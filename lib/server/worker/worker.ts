// Owns the worker: judges exchanges of a Redis stream, effectively once, in order per conversation, as many at once as the encoder takes.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError, isGabionError } from '../../errors.js'
import type { Alerting } from '../alerting.js'
import type { LocalContexts } from '../conversations/local-contexts.js'
import type { RedisStore } from '../conversations/redis-store.js'
import { judgeAndStore } from '../conversations/judge-exchange.js'
import type { ConversationStore } from '../conversations/store.js'
import { checkTexts, type Limits } from '../limits.js'
import { requireMonitor } from '../no-detector.js'
import type { Tenants } from '../tenants.js'
import { readRequest, type StreamEntry, type ExchangeStream } from './exchange-stream.js'

/** Parts and options of a worker. */
export interface WorkerOptions {
  readonly tenants: Tenants
  readonly store: RedisStore
  readonly stream: ExchangeStream
  readonly logger: Logger
  readonly limits: Limits
  /** Maximum of pending exchanges; others are left to other workers. */
  readonly concurrency: number
  /** Idle milliseconds after which another consumer's entries are claimed. */
  readonly claimAfterMs: number
  readonly onJudged: (verdict: ExchangeVerdict) => void
  readonly alerting: Alerting
  readonly contexts: LocalContexts | null
}

const WAIT_MS = 1000
const STATE_POLL_MS = 5
const ERROR_PAUSE_MS = 500

/** A consumer that runs until {@link stop}. */
export class Worker {
  readonly #options: WorkerOptions
  readonly #pending = new Map<string, Promise<void>>()
  readonly #stop = new AbortController()
  #done = 0

  constructor(options: WorkerOptions) {
    this.#options = options
  }

  /** Entries being judged. */
  get pending(): number {
    return this.#pending.size
  }

  /** Entries finished since the start. */
  get done(): number {
    return this.#done
  }

  /** Runs until {@link stop}, and waits while Redis is unavailable. */
  async run(): Promise<void> {
    const claiming = this.#claimAbandoned()
    while (!this.#stop.signal.aborted) {
      try {
        await this.#round()
      } catch (error) {
        await this.#pause(error)
      }
    }
    await claiming
    await Promise.all(this.#pending.values())
    await this.#options.stream.leave().catch(() => undefined)
  }

  /** Takes no more entries; `run` resolves when the pending ones are done. */
  stop(): void {
    this.#stop.abort()
  }

  async #round(): Promise<void> {
    const { stream, concurrency } = this.#options
    const free = concurrency - this.#pending.size
    if (free <= 0) {
      await Promise.race(this.#pending.values())
      return
    }
    const entries = await stream.take(free)
    for (const entry of entries) this.#begin(entry)
    if (entries.length === 0) await stream.waitForMore(WAIT_MS)
  }

  // Not subject to the limit: all pending entries may wait for entries of a dead worker.
  async #claimAbandoned(): Promise<void> {
    const { stream, claimAfterMs, concurrency, logger } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        const entries = await stream.claim(claimAfterMs, concurrency)
        const foreign = entries.filter(({ id }) => !this.#pending.has(id))
        if (foreign.length > 0) logger.info({ entries: foreign.length }, 'claimed entries of a dead worker')
        for (const entry of foreign) this.#begin(entry)
      } catch (error) {
        logger.debug({ reason: (error as Error).message }, 'cannot claim entries')
      }
      await sleep(Math.max(20, claimAfterMs / 4), undefined, { signal }).catch(() => undefined)
    }
  }

  // Every entry waits until it is due, also for others of this worker: a claimed entry may precede entries begun before.
  #begin(entry: StreamEntry): void {
    const run = this.#finish(entry)
      .catch((error: unknown) => {
        // It stays pending, and any worker claims it again.
        this.#options.logger.warn({ entry: entry.id, reason: (error as Error).message }, 'an entry will be retried')
      })
      .finally(() => this.#pending.delete(entry.id))
    this.#pending.set(entry.id, run)
  }

  async #finish(entry: StreamEntry): Promise<void> {
    const { stream, tenants, store, limits, onJudged, alerting, contexts } = this.#options
    for (;;) {
      const state = await stream.state(entry)
      if (state === 'GONE') return
      if (state === 'DUE') break
      await sleep(STATE_POLL_MS)
    }
    const committing: Pick<ConversationStore, 'load' | 'save'> = {
      load: (id) => store.load(id),
      save: async (_, record, revision, alert) => {
        const outcome = await stream.commit(entry, record, revision, alert)
        if (outcome === 'DONE') return true
        if (outcome === 'STALE') return false
        throw new GabionError('CONFLICT', 'another worker claimed the entry')
      },
    }
    try {
      const exchange = readRequest(entry)
      checkTexts([exchange.user, exchange.assistant, exchange.system ?? '', ...(exchange.rules ?? [])], limits)
      const { monitor: given, system } = tenants.of(exchange.tenant ?? null)
      const monitor = requireMonitor(given)
      const keeping = { alertDetails: alerting.details, contexts, system }
      const signal = AbortSignal.timeout(limits.requestMs)
      const { verdict, repeated, alert } = await judgeAndStore(monitor, committing, exchange, signal, keeping)
      if (repeated) await stream.settle(entry, { verdict })
      else onJudged(verdict)
      if (alert !== null) await alerting.raised(alert)
    } catch (error) {
      if (!isGabionError(error) || !isPermanent(error)) throw error
      await stream.settle(entry, { error })
    }
    this.#done++
  }

  async #pause(error: unknown): Promise<void> {
    this.#options.logger.warn({ reason: (error as Error).message }, 'the stream failed; trying again')
    await sleep(ERROR_PAUSE_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined)
    // A Redis that restarted empty has lost the group.
    await this.#options.stream.prepare().catch(() => undefined)
  }
}

/** Whether a retry would fail in the same way. */
function isPermanent({ code }: GabionError): boolean {
  return code === 'INVALID_ARGUMENT' || code === 'TOO_LARGE' || code === 'TOKENIZER_FAILED' || code === 'ARTIFACT_INVALID'
}
