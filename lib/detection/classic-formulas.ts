// Owns the formulas of the classic detector, in double precision, in the order in which the quantities are defined.
// Knows projected points and numbers only: no texts, no thresholds, no messages.

import { GabionError, wrongRange } from '../errors.js'

/** Weights of z = risk · R + drift · v + acceleration · a + bias. */
export interface ClassicWeights {
  readonly risk: number
  readonly drift: number
  readonly acceleration: number
  readonly bias: number
}

/**
 * How risk accumulates over a conversation: `sum` adds every R, of the replies and of the user's messages;
 * `trapezoid` integrates R of the replies over the exchanges and has no user side.
 */
export type ClassicAccumulation = 'sum' | 'trapezoid'

/** Parameters of {@link scoreClassicExchange}. */
export interface ClassicFormula {
  /** Unit vector towards safe ground, one value per component; see {@link normalizeSafeVector}. */
  readonly safe: Float64Array
  readonly weights: ClassicWeights
  readonly accumulation: ClassicAccumulation
}

/** State between two exchanges: five numbers. */
export interface ClassicState {
  /** Exchanges scored so far. */
  readonly scored: number
  /** R of the last scored exchange (0 before the first). */
  readonly risk: number
  /** v of the last scored exchange. */
  readonly drift: number
  /** C so far. */
  readonly cumulative: number
  /** Cu so far; stays 0 without a user side. */
  readonly userCumulative: number
}

/** Every quantity of one exchange. */
export interface ClassicQuantities {
  /** R: cosine distance of the reply's point from the safe direction, 0…2. */
  readonly risk: number
  /** Ru: the same for the user's point. */
  readonly userRisk: number
  /** v: change of R; 0 in the first exchange. */
  readonly drift: number
  /** a: change of v; 0 in the first exchange, v in the second. */
  readonly acceleration: number
  /** C: accumulated risk. */
  readonly cumulative: number
  /** Cu: accumulated risk of the user; null without a user side. */
  readonly userCumulative: number | null
  /** rho = C / (Cu + 0.1); null without a user side. */
  readonly ratio: number | null
  /** z: the weighted sum. */
  readonly logit: number
  /** L = 1 / (1 + exp(−z)). */
  readonly likelihood: number
}

/** Keeps rho finite while the user's accumulated risk is 0. */
const RATIO_FLOOR = 0.1

/** The state before the first exchange. */
export const CLASSIC_START: ClassicState = { scored: 0, risk: 0, drift: 0, cumulative: 0, userCumulative: 0 }

/**
 * Scales a safe vector to length 1.
 *
 * @throws GabionError `INVALID_ARGUMENT` if a value is not finite or all are zero
 */
export function normalizeSafeVector(values: ArrayLike<number>): Float64Array {
  const vector = Float64Array.from(values)
  if (!vector.every(Number.isFinite)) throw wrongRange(`the safe vector must have finite values, got ${vector.join(', ')}`)
  const length = Math.hypot(...vector)
  if (length === 0) throw wrongRange('the safe vector must not be zero: it has to point somewhere')
  return vector.map((value) => value / length)
}

/**
 * Cosine distance of a point from a unit direction: 0 along it, 1 across it or for the zero point, 2 against it.
 *
 * @throws GabionError `PROJECTION_MISMATCH` if the lengths differ, `INVALID_ARGUMENT` if a value is not finite
 */
export function cosineDistance(point: ArrayLike<number>, direction: Float64Array): number {
  if (point.length !== direction.length) {
    throw new GabionError(
      'PROJECTION_MISMATCH',
      `the safe vector has ${String(direction.length)} values, the projected point ${String(point.length)}`,
    )
  }
  const values = Float64Array.from(point)
  if (!values.every(Number.isFinite)) throw wrongRange(`a projected point must have finite values, got ${values.join(', ')}`)
  const length = Math.hypot(...values)
  if (length === 0) return 1
  const cosine = values.reduce((sum, value, index) => sum + (value / length) * (direction[index] as number), 0)
  return Math.min(Math.max(1 - cosine, 0), 2)
}

/** One exchange: from the state before it and the points of reply and user message to every quantity and the next state. */
export function scoreClassicExchange(
  formula: ClassicFormula,
  state: ClassicState,
  reply: ArrayLike<number>,
  user: ArrayLike<number>,
): { quantities: ClassicQuantities; state: ClassicState } {
  const first = state.scored === 0
  const risk = cosineDistance(reply, formula.safe)
  const userRisk = cosineDistance(user, formula.safe)
  const drift = first ? 0 : risk - state.risk
  const acceleration = first ? 0 : drift - state.drift
  const withUser = formula.accumulation === 'sum'
  const cumulative = state.cumulative + (withUser || first ? risk : (state.risk + risk) / 2)
  const userCumulative = withUser ? state.userCumulative + userRisk : 0
  return {
    quantities: quantitiesOf(formula, { risk, userRisk, drift, acceleration, cumulative }, userCumulative),
    state: { scored: state.scored + 1, risk, drift, cumulative, userCumulative },
  }
}

/**
 * The quantities of an exchange that is not scored because its reply is empty: the risk of the last reply is repeated, nothing
 * accumulates, and the state is unchanged.
 */
export function heldClassicExchange(formula: ClassicFormula, state: ClassicState, user: ArrayLike<number>): ClassicQuantities {
  const { risk, cumulative, userCumulative } = state
  const userRisk = cosineDistance(user, formula.safe)
  return quantitiesOf(formula, { risk, userRisk, drift: 0, acceleration: 0, cumulative }, userCumulative)
}

type Measured = Pick<ClassicQuantities, 'risk' | 'userRisk' | 'drift' | 'acceleration' | 'cumulative'>

/** What follows from the measured quantities: the user's side where the formula has one, and the score. */
function quantitiesOf({ accumulation, weights }: ClassicFormula, measured: Measured, gathered: number): ClassicQuantities {
  const userCumulative = accumulation === 'sum' ? gathered : null
  const logit = weights.risk * measured.risk + weights.drift * measured.drift + weights.acceleration * measured.acceleration + weights.bias
  return {
    ...measured,
    userCumulative,
    ratio: userCumulative === null ? null : measured.cumulative / (userCumulative + RATIO_FLOOR),
    logit,
    likelihood: 1 / (1 + Math.exp(-logit)),
  }
}
