// Owns the worker: exchanges of a Redis stream are judged, each once in effect, in order a conversation, as many at once as the encoder takes.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError, isGabionError } from '../../errors.js'
import type { Monitor } from '../../monitor/monitor.js'
import type { RedisStore } from '../conversations/redis-store.js'
import { judgeAndStore } from '../conversations/judge-exchange.js'
import type { ConversationStore } from '../conversations/store.js'
import { checkTexts, type Limits } from '../limits.js'
import { readRequest, type StreamEntry, type ExchangeStream } from './exchange-stream.js'

/** What a worker is made of. */
export interface WorkerOptions {
  readonly monitor: Monitor
  readonly store: RedisStore
  readonly stream: ExchangeStream
  readonly logger: Logger
  readonly limits: Limits
  /** Exchanges pending at once; no more are taken, so that other workers get them. */
  readonly concurrency: number
  /** Milliseconds without a sign after which another consumer's entries are taken over. */
  readonly claimAfterMs: number
  readonly onJudged: (verdict: ExchangeVerdict) => void
}

const WAIT_MS = 1000
const PLACE_POLL_MS = 5
const TROUBLE_PAUSE_MS = 500

/** A consumer that runs until it is told to stop. */
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

  /** Runs until {@link stop}. Redis that is away is waited for. */
  async run(): Promise<void> {
    const claiming = this.#claimFromTheDead()
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

  /** Takes nothing new; `run` resolves when what was taken is done. */
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

  // Besides the limit: what a dead worker held may be what all of those pending wait for.
  async #claimFromTheDead(): Promise<void> {
    const { stream, claimAfterMs, concurrency, logger } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        const entries = await stream.claim(claimAfterMs, concurrency)
        const foreign = entries.filter(({ id }) => !this.#pending.has(id))
        if (foreign.length > 0) logger.info({ entries: foreign.length }, 'took over entries of a worker that is gone')
        for (const entry of foreign) this.#begin(entry)
      } catch (error) {
        logger.debug({ reason: (error as Error).message }, 'could not look for entries to take over')
      }
      await sleep(Math.max(20, claimAfterMs / 4), undefined, { signal }).catch(() => undefined)
    }
  }

  // Every entry waits for its own place, also behind others of this worker: one that is taken over may come before those begun already.
  #begin(entry: StreamEntry): void {
    const run = this.#finish(entry)
      .catch((error: unknown) => {
        // It stays pending, and is claimed again, here or elsewhere.
        this.#options.logger.warn({ entry: entry.id, reason: (error as Error).message }, 'an entry has to be tried again')
      })
      .finally(() => this.#pending.delete(entry.id))
    this.#pending.set(entry.id, run)
  }

  async #finish(entry: StreamEntry): Promise<void> {
    const { stream, monitor, store, limits, onJudged } = this.#options
    for (;;) {
      const place = await stream.place(entry)
      if (place === 'GONE') return
      if (place === 'DUE') break
      await sleep(PLACE_POLL_MS)
    }
    const committing: Pick<ConversationStore, 'load' | 'save'> = {
      load: (id) => store.load(id),
      save: async (_, record, revision) => {
        const outcome = await stream.commit(entry, record, revision)
        if (outcome === 'DONE') return true
        if (outcome === 'STALE') return false
        throw new GabionError('CONFLICT', 'another worker took the entry over')
      },
    }
    try {
      const exchange = readRequest(entry)
      checkTexts([exchange.user, exchange.assistant], limits)
      const { verdict, repeated } = await judgeAndStore(monitor, committing, exchange, AbortSignal.timeout(limits.requestMs))
      if (repeated) await stream.settle(entry, { verdict })
      else onJudged(verdict)
    } catch (error) {
      if (!isGabionError(error) || !isHopeless(error)) throw error
      await stream.settle(entry, { error })
    }
    this.#done++
  }

  async #pause(error: unknown): Promise<void> {
    this.#options.logger.warn({ reason: (error as Error).message }, 'trouble with the stream; going on in a moment')
    await sleep(TROUBLE_PAUSE_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined)
    // The group is gone where Redis came back empty.
    await this.#options.stream.prepare().catch(() => undefined)
  }
}

/** Whether trying again would end the same way. */
function isHopeless({ code }: GabionError): boolean {
  return code === 'INVALID_ARGUMENT' || code === 'TOO_LARGE' || code === 'TOKENIZER_FAILED' || code === 'ARTIFACT_INVALID'
}
