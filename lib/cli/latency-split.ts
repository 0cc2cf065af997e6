// Owns where the time of a monitor run went. Prints nothing.

import type { ExchangeTimings } from '../detection/verdict.js'
import { quantile } from '../statistics/quantile.js'

const PARTS = ['tokenizeMs', 'queueMs', 'encodeMs', 'projectMs', 'detectMs', 'totalMs'] as const
/** Exchanges whose times are kept: enough for a 99 % quantile, and a bound for streams without end. */
const KEPT = 10_000

/** Times of the latest exchanges. */
export class LatencySplit {
  readonly #times = new Map(PARTS.map((part) => [part, new Float64Array(KEPT)]))
  #exchanges = 0

  /** Exchanges measured. */
  get exchanges(): number {
    return this.#exchanges
  }

  /** Adds an exchange. */
  add(timings: ExchangeTimings): void {
    for (const part of PARTS) (this.#times.get(part) as Float64Array)[this.#exchanges % KEPT] = timings[part]
    this.#exchanges++
  }

  /** The q-quantile of each part on its own; the parts' quantiles need not add up to the total's. */
  quantiles(q: number): ExchangeTimings {
    const of = (part: (typeof PARTS)[number]): number =>
      quantile((this.#times.get(part) as Float64Array).subarray(0, Math.min(this.#exchanges, KEPT)), q)
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
