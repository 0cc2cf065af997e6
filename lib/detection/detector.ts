// Owns what every detector looks like: an exchange with its vectors in, a verdict and the next state out.
// Knows no particular detector, no embedder and no conversation.

import type { WindowRule } from '../embedding/window-batch.js'
import type { Projection } from '../projection/projection.js'

/** How worried a detector is after an exchange. */
export type AlertState = 'calm' | 'elevated' | 'alert'

/** One window of a text: the part that went through the encoder at once. */
export interface EmbeddedWindow {
  /** Unit vector of the window. */
  readonly vector: Float32Array
  /** The vector under {@link Detector.projection}; null when the detector needs none. */
  readonly point: Float32Array | null
  /** Where the window starts in the text, as an index of the string. */
  readonly start: number
  /** The index behind its last character. */
  readonly end: number
}

/** A text with its vectors. */
export interface EmbeddedText {
  readonly text: string
  /**
   * The windows in reading order: none for an empty text. A text that fits the model has exactly one; of a longer one a
   * detector without {@link Detector.windows} gets the first only, as much as the model reads.
   */
  readonly windows: readonly EmbeddedWindow[]
}

/** One exchange as a detector sees it: what the user wrote and what the assistant replied. */
export interface EmbeddedExchange {
  readonly user: EmbeddedText
  readonly assistant: EmbeddedText
}

/** What a detector says about one exchange. Every number depends on this exchange and earlier ones only. */
export interface DetectorVerdict {
  /** The detector's decision. */
  readonly alert: boolean
  readonly state: AlertState
  /** The detector's score, between 0 and 1: a relative score, not a probability of harm. */
  readonly likelihood: number
  /** How far this reply is from safe ground, in the detector's own unit. */
  readonly risk: number
  /** Change of {@link risk} since the previous exchange. */
  readonly drift: number
  /** Change of {@link drift} since the previous exchange. */
  readonly acceleration: number
  /** Risk gathered over the conversation. */
  readonly cumulative: number
  /** Gathered risk of the replies over that of the user's messages; null where a detector has no such measure. */
  readonly ratio: number | null
  /** Why, in short phrases for a person; empty when there is nothing to say. */
  readonly reasons: readonly string[]
}

/** The outcome of one exchange: the verdict and the state that the next exchange starts from. */
export interface DetectorTurn<State, Verdict extends DetectorVerdict = DetectorVerdict> {
  readonly verdict: Verdict
  readonly state: State
}

/**
 * Scores exchanges one by one. A detector holds no conversation itself: all memory is in the state, a plain object that
 * survives JSON, is never changed in place and can therefore be kept, copied and replayed.
 */
export interface Detector<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> {
  /** Short name, for people. */
  readonly name: string
  /**
   * Equal for two detectors only if they continue each other's states; kept with saved conversations, so that a state is
   * never given to a detector that means something else by it.
   */
  readonly fingerprint: string
  /** The projection it wants applied to every window; null when it works on the vectors themselves. */
  readonly projection: Projection | null
  /** How it wants long texts cut; without it, a long text is cut off at what the model reads. */
  readonly windows?: WindowRule
  /** What is embedded in a text's place, of the same length; without it, the text itself. */
  normalize?(text: string): string
  /** The state before the first exchange. */
  start(): State
  /**
   * Scores one exchange. Must not change `state`; a throw leaves the conversation as it was.
   */
  turn(state: State, exchange: EmbeddedExchange): DetectorTurn<State, Verdict> | Promise<DetectorTurn<State, Verdict>>
  /**
   * Checks a state that comes from outside (a file, a request) and gives it back typed.
   *
   * @throws GabionError `ARTIFACT_INVALID` naming the field
   */
  checkState(value: unknown): State
}
