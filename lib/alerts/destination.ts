// The interface of what alerts are delivered to.

import type { Alert } from './alert.js'

/** A webhook or a command. */
export interface AlertDestination {
  /** Short, for logs and metrics, such as `webhook 1`; never a URL, which may hold a secret. */
  readonly label: string
  /** Tells this destination from others over restarts: a hash. */
  readonly key: string
  /**
   * Delivers an alert.
   *
   * @throws DeliveryFailure if it has to be sent again
   */
  deliver(alert: Alert, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** A delivery that failed. */
export class DeliveryFailure extends Error {
  /** Milliseconds that the receiver asks to wait; null if it does not say. */
  readonly waitMs: number | null

  constructor(message: string, waitMs: number | null = null, cause?: unknown) {
    super(message, { cause })
    this.waitMs = waitMs
  }
}
