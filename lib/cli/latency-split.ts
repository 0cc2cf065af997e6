// Owns the times of a monitor run by stage. Prints nothing.

import type { ExchangeTimings } from '../detection/verdict.js'
import { quantile } from '../statistics/quantile.js'

const PARTS = ['tokenizeMs', 'queueMs', 'encodeMs', 'projectMs', 'detectMs', 'totalMs'] as const
/** Exchanges whose times are stored: enough for a 99 % quantile, and a bound for endless streams. */
const MAX_EXCHANGES = 10_000

/** Times of the latest exchanges. */
export class LatencySplit {
  readonly #times = new Map(PARTS.map((part) => [part, new Float64Array(MAX_EXCHANGES)]))
  #exchanges = 0

  /** Exchanges measured. */
  get exchanges(): number {
    return this.#exchanges
  }

  add(timings: ExchangeTimings): void {
    for (const part of PARTS) (this.#times.get(part) as Float64Array)[this.#exchanges % MAX_EXCHANGES] = timings[part]
    this.#exchanges++
  }

  /** The q-quantile of each part; they need not add up to the total's. */
  quantiles(q: number): ExchangeTimings {
    const of = (part: (typeof PARTS)[number]): number =>
      quantile((this.#times.get(part) as Float64Array).subarray(0, Math.min(this.#exchanges, MAX_EXCHANGES)), q)
    return {
      tokenizeMs: of('tokenizeMs'),
      queueMs: of('queueMs'),
      encodeMs: of('encodeMs'),
      projectMs: of('projectMs'),
      detectMs: of('detectMs'),
      totalMs: of('totalMs'),
    }
  }
}
