// Owns who is told of the alerts of `gabion monitor --follow`.

import { pino } from 'pino'
import { alertOf } from '../alerts/new-alert.js'
import type { AlertDelivery } from '../alerts/delivery.js'
import type { DiskQueue } from '../alerts/disk-queue.js'
import type { ExchangeVerdict } from '../detection/verdict.js'
import { alertingOf, type AlertQueueFlags } from './alert-options.js'
import type { Output } from './output.js'

/** At the end of the input, and after an interruption. */
const LAST_DELIVERIES_MS = 10_000

/** Alerts of a followed file. */
export class FollowAlerts {
  readonly #queue: DiskQueue
  readonly #delivery: AlertDelivery
  readonly #details: boolean

  private constructor(queue: DiskQueue, delivery: AlertDelivery, details: boolean) {
    this.#queue = queue
    this.#delivery = delivery
    this.#details = details
  }

  /** Null if nobody is to be told. */
  static async open(output: Output, flags: AlertQueueFlags): Promise<FollowAlerts | null> {
    const { destinations, queue, details } = await alertingOf(flags, () => null, null)
    if (queue === null) return null
    const [{ AlertDelivery }, { DiskQueue }] = await Promise.all([import('../alerts/delivery.js'), import('../alerts/disk-queue.js')])
    if (!(queue instanceof DiskQueue)) return null
    const level = output.quiet ? 'silent' : 'warn'
    const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, process.stderr)
    const delivery = new AlertDelivery({ queue, destinations, logger })
    await delivery.start()
    return new FollowAlerts(queue, delivery, details)
  }

  /** Queues the alert of a verdict, if it has one. */
  async add(verdict: ExchangeVerdict): Promise<void> {
    const alert = alertOf(verdict, {}, this.#details)
    if (alert !== null) await this.#queue.add(alert)
  }

  /** Delivers what waits; what cannot be delivered now stays queued. */
  async close(): Promise<void> {
    await this.#delivery.drain(LAST_DELIVERIES_MS)
  }
}
