// Owns a conversation's state between exchanges: scores, aggregates, and the level with its hysteresis.
// Knows logits and thresholds; no vectors, no texts.

import { JsonObject } from '../../json/json-object.js'
import type { Level } from '../verdict.js'
import type { Aggregate } from './thresholds.js'

/**
 * The state of a conversation: plain JSON of less than 256 bytes. Numbers are rounded to six decimals, so that a state that
 * was saved and read continues exactly like one that was not.
 */
export interface ErosionState {
  /** Exchanges scored. */
  readonly exchanges: number
  /** Logits of the last exchange and the one before. */
  readonly last: number
  readonly previous: number
  /** Highest logit, and its exchange (from 1). */
  readonly highest: number
  readonly highestExchange: number
  /** The two running aggregates, in benign standard deviations. */
  readonly ewma: number
  readonly decayedCusum: number
  readonly level: Level
  /** Consecutive exchanges below the threshold for calm. */
  readonly below: number
}

/** The state before the first exchange. */
export const EROSION_START: ErosionState = {
  exchanges: 0,
  last: 0,
  previous: 0,
  highest: 0,
  highestExchange: 0,
  ewma: 0,
  decayedCusum: 0,
  level: 'calm',
  below: 0,
}

/** Standardizes logits by those of benign exchanges. */
export interface BenignScale {
  /** Median and standard deviation of the logits of benign exchanges. */
  readonly median: number
  readonly deviation: number
  /** The 0.9 quantile of benign logits, in deviations from the median: the allowance of `decayedCusum`. */
  readonly p90: number
}

/** Thresholds of the levels. */
export interface Levels {
  readonly aggregate: Aggregate
  readonly elevated: number
  readonly alert: number
}

/** Weight of the past in `ewma`, and decay of `decayedCusum`. */
const EWMA_DECAY = 0.5
const CUSUM_DECAY = 0.7
/** Hysteresis: calm needs this many consecutive exchanges, each this many deviations below the elevated threshold. */
const CALM_EXCHANGES = 2
const CALM_MARGIN = 0.25

/** One step of a conversation. */
export interface LevelStep {
  readonly state: ErosionState
  /** The value that was compared with the thresholds. */
  readonly statistic: number
  /** The level `alert` was entered at this exchange. */
  readonly raised: boolean
}

/** The next state after an exchange with this logit. */
export function nextLevel(state: ErosionState, logit: number, scale: BenignScale, levels: Levels): LevelStep {
  const score = rounded(logit)
  const deviations = (score - scale.median) / scale.deviation
  const ewma = rounded(EWMA_DECAY * state.ewma + (1 - EWMA_DECAY) * deviations)
  const decayedCusum = rounded(Math.max(0, CUSUM_DECAY * state.decayedCusum + deviations - scale.p90))
  const isHighest = state.exchanges === 0 || score > state.highest
  const statistic = { max: score, ewma, decayedCusum }[levels.aggregate]
  const margin = CALM_MARGIN * (levels.aggregate === 'max' ? scale.deviation : 1)
  const below = statistic < levels.elevated - margin ? state.below + 1 : 0
  const level = enteredLevel(state.level, statistic, levels) ?? (below >= CALM_EXCHANGES ? 'calm' : state.level)
  return {
    statistic,
    raised: level === 'alert' && state.level !== 'alert',
    state: {
      exchanges: state.exchanges + 1,
      last: score,
      previous: state.exchanges === 0 ? score : state.last,
      highest: isHighest ? score : state.highest,
      highestExchange: isHighest ? state.exchanges + 1 : state.highestExchange,
      ewma,
      decayedCusum,
      level,
      below,
    },
  }
}

/** The level that a statistic raises to; null when it raises none. */
function enteredLevel(level: Level, statistic: number, levels: Levels): Level | null {
  if (statistic >= levels.alert) return 'alert'
  return level === 'calm' && statistic >= levels.elevated ? 'elevated' : null
}

/** Six decimals, which survive JSON in few bytes. */
function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6
}

/**
 * Validates a state from outside; earlier releases saved `decayedCusum` as `dcusum`.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming the field
 */
export function checkErosionState(value: unknown): ErosionState {
  const json = JsonObject.of(value, { source: '', code: 'ARTIFACT_INVALID', what: 'an erosion state' })
  const [exchanges, highestExchange] = [json.integer('exchanges', 0), json.integer('highestExchange', 0)]
  if (highestExchange > exchanges) throw json.wrong('highestExchange', `at most exchanges (${String(exchanges)})`)
  return {
    exchanges,
    last: json.number('last'),
    previous: json.number('previous'),
    highest: json.number('highest'),
    highestExchange,
    ewma: json.number('ewma'),
    decayedCusum: json.number(json.has('dcusum') ? 'dcusum' : 'decayedCusum'),
    level: json.oneOf('level', ['calm', 'elevated', 'alert']),
    below: json.integer('below', 0),
  }
}
