// Owns the complete result of a comparison, the source of reports and JSON. Knows no embedder.

import { quantile } from '../statistics/quantile.js'
import type { Measures, SafetyVerdict } from './verdict.js'

/** Milliseconds per text. */
export interface Latency {
  readonly texts: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/** One of the compared embedders. */
export interface ComparedSide {
  /** A model's name, or a file. */
  readonly name: string
  readonly dimensions: number
  /** Latency of texts, one at a time; null for vectors from a file without latencies. */
  readonly latency: Latency | null
  /** Total cost of the calls, in the currency of the price; null without charges. */
  readonly cost: number | null
}

/** The result of a comparison. */
export interface Comparison extends Measures {
  readonly format: 'gabion-comparison'
  readonly version: 1
  readonly old: ComparedSide
  readonly new: ComparedSide
  /** File of the adapter that mapped the new vectors into the old space; null without one. */
  readonly adapter: string | null
  readonly verdict: SafetyVerdict
}

/** Quantiles of times in milliseconds; null for no times. */
export function latencyOf(times: readonly number[]): Latency | null {
  if (times.length === 0) return null
  return { texts: times.length, p50: quantile(times, 0.5), p90: quantile(times, 0.9), p99: quantile(times, 0.99) }
}
