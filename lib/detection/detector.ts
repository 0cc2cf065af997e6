// Owns the interface of a detector: an exchange with its vectors in, a verdict and the next state out.
// Knows no particular detector, no embedder and no conversation.

import type { WindowRule } from '../embedding/window-batch.js'
import type { Projection } from '../projection/projection.js'
import type { DetectorVerdict } from './verdict.js'

export type { DetectorVerdict, Level } from './verdict.js'

/** One window of a text: a part that is encoded by itself. */
export interface EmbeddedWindow {
  /** Unit vector of the window. */
  readonly vector: Float32Array
  /** The vector under {@link Detector.projection}; null when the detector needs none. */
  readonly projected: Float32Array | null
  /** Index of the window's first character in the string. */
  readonly start: number
  /** Index after its last character. */
  readonly end: number
}

/** A text with its vectors. */
export interface EmbeddedText {
  readonly text: string
  /**
   * The windows in reading order; an empty text has none. A text that fits the model has exactly one. Of a longer text, a
   * detector without {@link Detector.windows} gets only the first.
   */
  readonly windows: readonly EmbeddedWindow[]
}

/** One exchange as a detector sees it: what the user wrote and what the assistant replied. */
export interface EmbeddedExchange {
  readonly user: EmbeddedText
  readonly assistant: EmbeddedText
}

/**
 * Scores exchanges one by one. A detector is stateless: all memory is in the state, a plain object that survives JSON and is
 * never changed in place, so it can be stored, copied and replayed.
 */
export interface Detector<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> {
  /** Short display name. */
  readonly name: string
  /**
   * Equal for two detectors only if they can continue each other's states. Saved with conversations, so that a detector
   * never gets a state that it would interpret differently.
   */
  readonly fingerprint: string
  /** The projection applied to every window; null when the detector works on the vectors themselves. */
  readonly projection: Projection | null
  /** How long texts are split into windows; without it, a long text is truncated to the model's length. */
  readonly windows?: WindowRule
  /** Maps a text to the text that is embedded in its place, of the same length; without it, texts are embedded unchanged. */
  normalize?(text: string): string
  /** The state before the first exchange. */
  start(): State
  /**
   * Scores one exchange and returns the verdict and the next state. Must not change `state`; if it throws, the conversation stays
   * unchanged.
   */
  judge(
    state: State,
    exchange: EmbeddedExchange,
  ): { readonly verdict: Verdict; readonly state: State } | Promise<{ readonly verdict: Verdict; readonly state: State }>
  /**
   * Validates a state from outside (a file, a request) and returns it typed.
   *
   * @throws GabionError `ARTIFACT_INVALID` naming the field
   */
  checkState(value: unknown): State
}
