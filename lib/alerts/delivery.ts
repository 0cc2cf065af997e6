// Owns the delivery of queued alerts: each to every destination, at least once, with back-off while a destination fails.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { DeliveryFailure, type AlertDestination } from './destination.js'
import type { AlertQueue, QueuedAlert } from './queue.js'

/** What deliveries are counted by. */
export interface DeliveryCounts {
  /** An attempt: `delivered`, `failed` and tried again later, or `lost` for one given up. */
  attempt(destination: string, outcome: 'delivered' | 'failed' | 'lost'): void
}

export interface DeliveryOptions {
  readonly queue: AlertQueue
  readonly destinations: readonly AlertDestination[]
  readonly logger: Logger
  readonly counts?: DeliveryCounts
  /** First pause after a failure; doubles with each further one. Default 1 s. */
  readonly firstPauseMs?: number
}

const FIRST_PAUSE_MS = 1000
const MAX_PAUSE_MS = 300_000
/** Who is on call would learn nothing new from an alert older than this. */
const MAX_AGE_MS = 7 * 24 * 3_600_000
const BATCH = 64
const WAIT_MS = 1000
const KEEP_EVERY_MS = 10_000

/** Delivers until {@link stop}. */
export class AlertDelivery {
  readonly #options: DeliveryOptions
  readonly #stop = new AbortController()
  readonly #abandon = new AbortController()
  readonly #loops: Promise<void>[] = []
  #waiting = 0
  #draining = false

  constructor(options: DeliveryOptions) {
    this.#options = options
  }

  /** Alerts that this process has taken and not yet delivered, over all destinations. */
  get waiting(): number {
    return this.#waiting
  }

  /** @throws the errors of the queue, if it cannot be opened */
  async start(): Promise<void> {
    const { queue, destinations } = this.#options
    for (const { key } of destinations) await queue.open(key)
    for (const destination of destinations) this.#loops.push(this.#run(destination))
  }

  /** Delivers what is queued, each once more, and ends then; after `graceMs` it ends at once. What was not delivered stays queued. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true
    const timer = setTimeout(() => this.#stop.abort(), graceMs)
    await Promise.all(this.#loops)
    clearTimeout(timer)
    await this.stop(0)
  }

  /** Ends after the attempts in flight, at most after `graceMs`; what was not delivered stays queued. */
  async stop(graceMs: number): Promise<void> {
    this.#stop.abort()
    const timer = setTimeout(() => this.#abandon.abort(), graceMs)
    await Promise.all(this.#loops)
    clearTimeout(timer)
    const { destinations, queue } = this.#options
    await Promise.all(destinations.map((destination) => destination.close()))
    await queue.close()
  }

  async #run(destination: AlertDestination): Promise<void> {
    const { queue, logger } = this.#options
    const { signal } = this.#stop
    const held: QueuedAlert[] = []
    const keep = setInterval(() => {
      const keys = held.map(({ key }) => key)
      if (keys.length > 0) queue.keep(destination.key, keys).catch(() => undefined)
    }, KEEP_EVERY_MS)
    let failures = 0
    while (!signal.aborted) {
      try {
        const room = BATCH - held.length
        const waitMs = held.length > 0 ? 0 : WAIT_MS
        const taken = room === 0 ? [] : await queue.take(destination.key, room, waitMs, signal)
        held.push(...taken)
        this.#waiting += taken.length
      } catch (error) {
        logger.warn({ destination: destination.label, reason: (error as Error).message }, 'the queue of alerts failed; trying again')
        await this.#pause(FIRST_PAUSE_MS)
      }
      const [next] = held
      if (next === undefined && this.#draining) break
      if (next === undefined) continue
      const failure = await this.#attempt(destination, next)
      held.shift()
      if (failure === null) {
        failures = 0
        this.#waiting--
        continue
      }
      // The others first: one that a receiver never takes must not keep them waiting.
      held.push(next)
      if (this.#draining) break
      await this.#pause(failure.waitMs ?? this.#pauseAfter(failures++))
    }
    clearInterval(keep)
  }

  /** Null when nothing is left to do for it. */
  async #attempt(destination: AlertDestination, { key, alert }: QueuedAlert): Promise<DeliveryFailure | null> {
    const { queue, logger, counts } = this.#options
    const { label } = destination
    try {
      if (await queue.has(destination.key, key)) {
        await destination.deliver(alert, this.#abandon.signal)
        counts?.attempt(label, 'delivered')
      }
    } catch (error) {
      const failure = error instanceof DeliveryFailure ? error : new DeliveryFailure((error as Error).message)
      const isOld = Date.now() - Date.parse(alert.at) > MAX_AGE_MS
      counts?.attempt(label, isOld ? 'lost' : 'failed')
      logger.warn(
        { destination: label, alert: alert.id, reason: failure.message },
        isOld ? 'an alert is given up' : 'an alert was not delivered',
      )
      if (!isOld) return failure
    }
    await queue.done(destination.key, key).catch(() => undefined)
    return null
  }

  #pauseAfter(failures: number): number {
    const pause = Math.min(MAX_PAUSE_MS, (this.#options.firstPauseMs ?? FIRST_PAUSE_MS) * 2 ** Math.min(failures, 20))
    return pause * (0.5 + Math.random() / 2)
  }

  async #pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.#stop.signal }).catch(() => undefined)
  }
}
