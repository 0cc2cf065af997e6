// Owns role drift: how far exchanges have moved from what the assistant is there for, measured from its system prompt and from how
// the conversation began. Knows vectors; thresholds come from ordinary conversations.

/** What a conversation remembers: where it began, as text of one byte a dimension, and the smoothed distance. */
export interface RoleState {
  readonly exchanges: number
  /** Sum of the first exchanges' vectors, scaled to bytes, base64; empty before the first. */
  readonly began: string
  /** Distance, smoothed over exchanges. */
  readonly smoothed: number
}

/** The state before the first exchange. */
export const ROLE_START: RoleState = { exchanges: 0, began: '', smoothed: 0 }

/** Exchanges that count as the beginning. */
export const FIRST_EXCHANGES = 2
/** Weight of the past in the smoothed distance: a single short reply is far from everything. */
const KEEP = 0.5

/** One step. */
export interface RoleStep {
  readonly state: RoleState
  /** Distance of this exchange, 0 to 2; null where there is nothing to measure from, as at the first exchange without a prompt. */
  readonly distance: number | null
}

/**
 * The next state. An exchange is compared with the prompt and the beginning before it becomes part of the beginning itself.
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
  const before = state.began === '' ? null : unpack(state.began)
  const began = state.exchanges < FIRST_EXCHANGES ? pack(before === null ? exchange : unit(sum(before, exchange))) : state.began
  const home = before === null ? prompt : unit(sum(before, prompt))
  const exchanges = state.exchanges + 1
  if (home === null) return { state: { exchanges, began, smoothed: 0 }, distance: null }
  let cosine = 0
  for (let i = 0; i < home.length; i++) cosine += home[i]! * exchange[i]!
  const distance = 1 - cosine
  const isFirst = state.exchanges === 0 || (state.exchanges === 1 && prompt === null)
  const smoothed = isFirst ? distance : KEEP * state.smoothed + (1 - KEEP) * distance
  // Six decimals, so that a state that went through a file goes on like one that did not.
  return { state: { exchanges, began, smoothed: Math.round(smoothed * 1e6) / 1e6 }, distance }
}

function sum(left: ArrayLike<number>, right: ArrayLike<number> | null): Float64Array {
  return Float64Array.from(left, (value, index) => value + (right?.[index] ?? 0))
}

function unit(vector: Float64Array): Float64Array {
  const length = Math.hypot(...vector)
  return length === 0 ? vector : vector.map((value) => value / length)
}

/** One byte a dimension: the cosine of what comes back to what went in is above 0.999. */
function pack(vector: Float64Array): string {
  const largest = vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return Buffer.from(Int8Array.from(vector, (value) => (largest === 0 ? 0 : Math.round((127 * value) / largest))).buffer).toString('base64')
}

function unpack(text: string): Float64Array {
  const bytes = Buffer.from(text, 'base64')
  return unit(Float64Array.from({ length: bytes.length }, (_, index) => bytes.readInt8(index)))
}
