// Owns what a conversation remembers from exchange to exchange: scores, aggregates, and the level with its hysteresis.
// Knows logits and thresholds; no vectors, no texts.

import { JsonObject } from '../../json/json-object.js'
import type { Level } from '../verdict.js'
import type { Aggregate } from './thresholds.js'

/**
 * The memory of a conversation: plain JSON of less than 256 bytes. Numbers are kept to six decimals, so that a state that
 * went through a file goes on exactly like one that did not.
 */
export interface ErosionState {
  /** Exchanges scored. */
  readonly exchanges: number
  /** Logits of the last exchange and the one before. */
  readonly last: number
  readonly previous: number
  /** Highest logit, and the exchange (from 1) that it belongs to. */
  readonly highest: number
  readonly highestExchange: number
  /** The two running aggregates, in benign standard deviations. */
  readonly ewma: number
  readonly dcusum: number
  readonly level: Level
  /** Exchanges in a row that were below the line for going back. */
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
  dcusum: 0,
  level: 'calm',
  below: 0,
}

/** What turns logits into benign units. */
export interface BenignScale {
  /** Median and standard deviation of the logits of benign exchanges. */
  readonly median: number
  readonly deviation: number
  /** What nine of ten benign exchanges stay below, in deviations from the median: the allowance of `dcusum`. */
  readonly ninth: number
}

/** When levels are entered. */
export interface Levels {
  readonly aggregate: Aggregate
  readonly elevated: number
  readonly alert: number
}

/** Weight of the past in `ewma`, and decay of `dcusum`. */
const EWMA_KEEP = 0.5
const DCUSUM_KEEP = 0.7
/** Going back needs this many exchanges in a row, each this many deviations below the elevated line. */
const CALM_EXCHANGES = 2
const CALM_MARGIN = 0.25

/** One step of a conversation. */
export interface LevelStep {
  readonly state: ErosionState
  /** What was compared with the thresholds. */
  readonly statistic: number
  /** The level `alert` was entered at this exchange. */
  readonly raised: boolean
}

/** The next state after an exchange with this logit. */
export function nextLevel(state: ErosionState, logit: number, scale: BenignScale, levels: Levels): LevelStep {
  const score = kept(logit)
  const deviations = (score - scale.median) / scale.deviation
  const ewma = kept(EWMA_KEEP * state.ewma + (1 - EWMA_KEEP) * deviations)
  const dcusum = kept(Math.max(0, DCUSUM_KEEP * state.dcusum + deviations - scale.ninth))
  const isHighest = state.exchanges === 0 || score > state.highest
  const statistic = { max: score, ewma, dcusum }[levels.aggregate]
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
      dcusum,
      level,
      below,
    },
  }
}

/** The level that a statistic leads up to; null when it leads nowhere higher. */
function enteredLevel(level: Level, statistic: number, levels: Levels): Level | null {
  if (statistic >= levels.alert) return 'alert'
  return level === 'calm' && statistic >= levels.elevated ? 'elevated' : null
}

/** Six decimals: what survives JSON in few bytes. */
function kept(value: number): number {
  return Math.round(value * 1e6) / 1e6
}

/**
 * Checks a state that comes from outside.
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
    dcusum: json.number('dcusum'),
    level: json.oneOf('level', ['calm', 'elevated', 'alert']),
    below: json.integer('below', 0),
  }
}
