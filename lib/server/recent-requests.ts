// Rate and latency of the last responses, for the dashboard. Longer histories are Prometheus'.

import { quantile } from '../statistics/quantile.js'

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

/** A ring buffer of the last response times. */
export class RecentRequests {
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
