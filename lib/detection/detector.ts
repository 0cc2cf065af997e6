// Owns what every detector looks like: an exchange with its vectors in, a verdict and the next state out.
// Knows no particular detector, no embedder and no conversation.

import type { WindowRule } from '../embedding/window-batch.js'
import type { Projection } from '../projection/projection.js'
import type { DetectorVerdict } from './verdict.js'

export type { DetectorVerdict, Level } from './verdict.js'

/** One window of a text: the part that went through the encoder at once. */
export interface EmbeddedWindow {
  /** Unit vector of the window. */
  readonly vector: Float32Array
  /** The vector under {@link Detector.projection}; null when the detector needs none. */
  readonly projected: Float32Array | null
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
   * Scores one exchange: the verdict, and the state that the next exchange starts from. Must not change `state`; a throw leaves the
   * conversation as it was.
   */
  judge(
    state: State,
    exchange: EmbeddedExchange,
  ): { readonly verdict: Verdict; readonly state: State } | Promise<{ readonly verdict: Verdict; readonly state: State }>
  /**
   * Checks a state that comes from outside (a file, a request) and gives it back typed.
   *
   * @throws GabionError `ARTIFACT_INVALID` naming the field
   */
  checkState(value: unknown): State
}
