// Owns where the time of a monitor run went. Prints nothing.

import type { TurnTimings } from '../monitor/conversation.js'
import { quantile } from './quantiles.js'

const PARTS = ['tokenizeMs', 'encodeMs', 'projectMs', 'detectMs', 'totalMs'] as const
/** Turns whose times are kept: enough for a 99 % quantile, and a bound for streams without end. */
const KEPT = 10_000

/** Times of the latest turns. */
export class LatencySplit {
  readonly #times = new Map(PARTS.map((part) => [part, new Float64Array(KEPT)]))
  #turns = 0

  /** Turns measured. */
  get turns(): number {
    return this.#turns
  }

  /** Adds a turn. */
  add(timings: TurnTimings): void {
    for (const part of PARTS) (this.#times.get(part) as Float64Array)[this.#turns % KEPT] = timings[part]
    this.#turns++
  }

  /** The q-quantile of each part on its own; the parts' quantiles need not add up to the total's. */
  quantiles(q: number): TurnTimings {
    const of = (part: (typeof PARTS)[number]): number =>
      quantile((this.#times.get(part) as Float64Array).subarray(0, Math.min(this.#turns, KEPT)), q)
    return {
      tokenizeMs: of('tokenizeMs'),
      encodeMs: of('encodeMs'),
      projectMs: of('projectMs'),
      detectMs: of('detectMs'),
      totalMs: of('totalMs'),
    }
  }
}
