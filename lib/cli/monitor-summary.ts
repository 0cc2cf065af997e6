// Owns what is left of a monitor run at its end: a summary a conversation, and where the time went. Prints nothing.

import { quantile } from './quantiles.js'
import type { TurnLine, TurnTimings } from './turn-line.js'

/** What `monitor --json` prints at the end of a conversation, under the key `summary`. */
export interface ConversationSummary {
  conversation: string
  /** Exchanges scored. */
  turns: number
  /** Turns on which an alert was raised. */
  alerts: number
  /** The first of them; null without one. */
  firstAlert: number | null
  /** Highest likelihood and the turn it was reached in; null without turns. */
  peak: { likelihood: number; turn: number } | null
  /** State after the last turn; null without turns. */
  finalState: TurnLine['state'] | null
  /** Turns with a text that was cut. */
  truncated: number
  /** User messages that no reply has followed. */
  pending: number
}

/** A summary of a conversation that has no turns yet. */
export function emptySummary(conversation: string): ConversationSummary {
  return { conversation, turns: 0, alerts: 0, firstAlert: null, peak: null, finalState: null, truncated: 0, pending: 0 }
}

/** The summary after one more turn. */
export function withTurn(summary: ConversationSummary, line: TurnLine): ConversationSummary {
  const { turn, likelihood } = line
  return {
    ...summary,
    turns: summary.turns + 1,
    alerts: summary.alerts + (line.alert ? 1 : 0),
    firstAlert: summary.firstAlert ?? (line.alert ? turn : null),
    peak: summary.peak === null || likelihood > summary.peak.likelihood ? { likelihood, turn } : summary.peak,
    finalState: line.state,
    truncated: summary.truncated + (line.truncated ? 1 : 0),
  }
}

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
