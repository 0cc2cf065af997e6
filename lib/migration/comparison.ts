// Owns the result of a comparison as a whole, which reports are made of and JSON is written from. Knows no embedder.

import { quantile } from '../statistics/quantile.js'
import type { Measures, SafetyVerdict } from './verdict.js'

/** Milliseconds a text took. */
export interface Latency {
  readonly texts: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/** One of the two that are compared. */
export interface ComparedSide {
  /** A model's name, or a file. */
  readonly name: string
  readonly dimensions: number
  /** How long texts took, one at a time; null where vectors came from a file that does not say. */
  readonly latency: Latency | null
  /** What the calls cost in all, in the currency of the price given; null where nothing was charged. */
  readonly cost: number | null
}

/** Everything that a comparison found. */
export interface Comparison extends Measures {
  readonly format: 'gabion-comparison'
  readonly version: 1
  readonly old: ComparedSide
  readonly new: ComparedSide
  /** File of the adapter that mapped the new vectors into the old space; null without one. */
  readonly adapter: string | null
  readonly verdict: SafetyVerdict
}

/** Order statistics of times in milliseconds; null for none. */
export function latencyOf(times: readonly number[]): Latency | null {
  if (times.length === 0) return null
  return { texts: times.length, p50: quantile(times, 0.5), p90: quantile(times, 0.9), p99: quantile(times, 0.99) }
}
