// The interface of queues of alerts. What a queue has taken survives the process.

import type { Alert } from './alert.js'

/** An alert that waits for its delivery to one destination. */
export interface QueuedAlert {
  /** Names it within its destination. */
  readonly key: string
  readonly alert: Alert
}

/** Alerts not yet delivered, per destination. */
export interface AlertQueue {
  /** Prepares a destination: alerts queued from now on are kept for it. */
  open(destination: string): Promise<void>
  /**
   * Alerts of a destination that this process does not have yet, oldest first. Waits up to `waitMs` for one; empty after that, or when the
   * signal fires.
   */
  take(destination: string, limit: number, waitMs: number, signal: AbortSignal): Promise<QueuedAlert[]>
  /** Whether it still waits: its conversation may have been deleted since. */
  has(destination: string, key: string): Promise<boolean>
  /** It was delivered, or given up. */
  done(destination: string, key: string): Promise<void>
  /** These are still being tried by this process. */
  keep(destination: string, keys: readonly string[]): Promise<void>
  /** Alerts that a full queue has lost since the start. */
  readonly lost: number
  close(): Promise<void>
}

/** Alerts that a queue holds per destination; beyond, the oldest are lost and counted. */
export const MAX_QUEUED_ALERTS = 10_000
