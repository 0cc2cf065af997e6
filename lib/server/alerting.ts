// Owns what happens when an alert is raised: a line in the log, and its delivery to whoever is to be told.

import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'
import type { Alert } from '../alerts/alert.js'
import { AlertDelivery } from '../alerts/delivery.js'
import type { AlertDestination } from '../alerts/destination.js'
import { DiskQueue } from '../alerts/disk-queue.js'
import type { AlertQueue } from '../alerts/queue.js'
import { readGauge } from './read-gauge.js'

/** What is told of alerts, and to whom. */
export interface AlertingOptions {
  readonly destinations: readonly AlertDestination[]
  /** Holds alerts until they are delivered. A {@link DiskQueue} is filled here; one in Redis by what stores the verdict. */
  readonly queue: AlertQueue | null
  /** Alerts carry the words behind them. */
  readonly details: boolean
}

const NOBODY: AlertingOptions = { destinations: [], queue: null, details: false }

/** Tells of alerts until it is stopped. */
export class Alerting {
  readonly details: boolean
  readonly #logger: Logger
  readonly #queue: AlertQueue | null
  readonly #delivery: AlertDelivery | null

  constructor(logger: Logger, registry: Registry, { destinations, queue, details }: AlertingOptions = NOBODY) {
    this.details = details
    this.#logger = logger
    this.#queue = queue
    const registers = [registry]
    const attempts = new Counter({
      name: 'gabion_alert_deliveries_total',
      help: 'Attempts to deliver an alert, by destination: delivered, failed and tried again later, or lost',
      labelNames: ['destination', 'outcome'],
      registers,
    })
    const counts = { attempt: (destination: string, outcome: string): void => attempts.labels(destination, outcome).inc() }
    const delivery = queue === null || destinations.length === 0 ? null : new AlertDelivery({ queue, destinations, logger, counts })
    this.#delivery = delivery
    const waiting = 'Alerts that this instance has taken and not yet delivered, over all destinations'
    readGauge(registers, 'gabion_alerts_waiting', waiting, () => delivery?.waiting ?? 0)
    readGauge(registers, 'gabion_alerts_lost', 'Alerts that the full queue has lost since the start', () => queue?.lost ?? 0)
  }

  /** @throws GabionError where the queue cannot be opened */
  async start(): Promise<void> {
    await this.#delivery?.start()
  }

  /** Resolves when the alert is logged, and safe where the queue is on disk. Never throws: the verdict is stored already. */
  async raised(alert: Alert): Promise<void> {
    this.#logger.warn({ alert: { ...alert, details: undefined } }, 'alert')
    if (!(this.#queue instanceof DiskQueue)) return
    try {
      await this.#queue.add(alert)
    } catch (error) {
      this.#logger.error({ alert: alert.id, reason: (error as Error).message }, 'an alert could not be queued for delivery')
    }
  }

  /** Takes back what is queued of a conversation. A queue in Redis is cleaned by the store. */
  async forget(conversation: string): Promise<void> {
    if (this.#queue instanceof DiskQueue) await this.#queue.forget((alert) => alert.conversation === conversation)
  }

  /** Ends deliveries; what is not delivered stays queued. */
  async stop(graceMs: number): Promise<void> {
    if (this.#delivery === null) await this.#queue?.close()
    else await this.#delivery.stop(graceMs)
  }
}
