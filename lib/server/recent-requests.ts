// The last answers, for people who look now: how many a second, and how long they took. Prometheus keeps the long view.

import { quantile } from '../statistics/quantile.js'

const SAMPLE_LIMIT = 4096
const WINDOW_MS = 10_000

/** What went on in the last seconds. */
export interface RecentActivity {
  /** Answers a second over the last ten seconds. */
  readonly perSecond: number
  /** Milliseconds; null where there was no answer. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

/** A ring of the last answers. */
export class RecentRequests {
  readonly #at = new Float64Array(SAMPLE_LIMIT)
  readonly #took = new Float64Array(SAMPLE_LIMIT)
  #next = 0

  add(milliseconds: number): void {
    const place = this.#next++ % SAMPLE_LIMIT
    this.#at[place] = performance.now()
    this.#took[place] = milliseconds
  }

  activity(): RecentActivity {
    const now = performance.now()
    const count = Math.min(this.#next, SAMPLE_LIMIT)
    const took: number[] = []
    let oldest = now
    for (let place = 0; place < count; place++) {
      const at = this.#at[place]!
      if (now - at > WINDOW_MS) continue
      took.push(this.#took[place]!)
      oldest = Math.min(oldest, at)
    }
    // A ring that is full covers less than the window.
    const seconds = took.length === SAMPLE_LIMIT ? Math.max(1e-3, (now - oldest) / 1000) : WINDOW_MS / 1000
    const timeAt = (share: number): number | null => (took.length === 0 ? null : quantile(took, share))
    return { perSecond: took.length / seconds, p50Ms: timeAt(0.5), p99Ms: timeAt(0.99) }
  }
}
