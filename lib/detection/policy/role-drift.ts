// Owns role drift: the distance of exchanges from the assistant's role, which the system prompt and the first exchanges give.
// Knows vectors; thresholds come from ordinary conversations.

/** The state of a conversation: its first exchanges, quantized to one byte per dimension, and the smoothed distance. */
export interface RoleState {
  readonly exchanges: number
  /** Sum of the first exchanges' vectors, quantized to bytes, in base64; empty before the first exchange. */
  readonly began: string
  /** Exponential moving average of the distance. */
  readonly smoothed: number
}

/** The state before the first exchange. */
export const ROLE_START: RoleState = { exchanges: 0, began: '', smoothed: 0 }

/** Exchanges that count as the beginning. */
export const FIRST_EXCHANGES = 2
/** Decay of the smoothed distance: a single short reply is far from everything. */
const DECAY = 0.5

/** One step. */
export interface RoleStep {
  readonly state: RoleState
  /** Distance of this exchange, 0 to 2; null without a reference, as at the first exchange without a prompt. */
  readonly distance: number | null
}

/**
 * The next state. An exchange is compared with the prompt and the exchanges before it, then added to the first exchanges.
 *
 * @param prompt - unit vector of the system prompt; null without one
 * @param user - unit vector of the user's message, or null
 * @param reply - unit vector of the reply
 */
export function nextRole(
  state: RoleState,
  prompt: ArrayLike<number> | null,
  user: ArrayLike<number> | null,
  reply: ArrayLike<number>,
): RoleStep {
  const exchange = unit(sum(reply, user))
  const before = state.began === '' ? null : dequantize(state.began)
  const began = state.exchanges < FIRST_EXCHANGES ? quantize(before === null ? exchange : unit(sum(before, exchange))) : state.began
  const role = before === null ? prompt : unit(sum(before, prompt))
  const exchanges = state.exchanges + 1
  if (role === null) return { state: { exchanges, began, smoothed: 0 }, distance: null }
  let cosine = 0
  for (let i = 0; i < role.length; i++) cosine += role[i]! * exchange[i]!
  const distance = 1 - cosine
  const isFirst = state.exchanges === 0 || (state.exchanges === 1 && prompt === null)
  const smoothed = isFirst ? distance : DECAY * state.smoothed + (1 - DECAY) * distance
  // Six decimals, so that a state that was saved and read continues like one that was not.
  return { state: { exchanges, began, smoothed: Math.round(smoothed * 1e6) / 1e6 }, distance }
}

function sum(left: ArrayLike<number>, right: ArrayLike<number> | null): Float64Array {
  return Float64Array.from(left, (value, index) => value + (right?.[index] ?? 0))
}

function unit(vector: Float64Array): Float64Array {
  const length = Math.hypot(...vector)
  return length === 0 ? vector : vector.map((value) => value / length)
}

/** Quantizes to one byte per dimension; the cosine to the original is above 0.999. */
function quantize(vector: Float64Array): string {
  const absmax = vector.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
  return Buffer.from(Int8Array.from(vector, (value) => (absmax === 0 ? 0 : Math.round((127 * value) / absmax))).buffer).toString('base64')
}

function dequantize(text: string): Float64Array {
  const bytes = Buffer.from(text, 'base64')
  return unit(Float64Array.from({ length: bytes.length }, (_, index) => bytes.readInt8(index)))
}
