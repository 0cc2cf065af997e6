// Owns the interface of a detector: an exchange in its conversation in, a verdict and the next state out.
// Knows no particular detector and no embedder.

import type { WindowRule } from '../embedding/window-batch.js'
import type { Projection } from '../projection/projection.js'
import type { BegunExchange, ReplyReading } from './reply-reading.js'
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

/** One exchange: the user's message, and the assistant's reply to it. Either may be empty. */
export interface Exchange {
  readonly user: string
  readonly assistant: string
}

/** An exchange with the vectors of its texts. */
export interface EmbeddedExchange {
  readonly user: EmbeddedText
  readonly assistant: EmbeddedText
}

/** What a conversation tells a detector beyond the exchange itself. */
export interface ConversationContext {
  /** The system prompt in force at the exchange; null without one. At most 65,536 characters. */
  readonly system: string | null
  /** Rules that the caller states in addition to the system prompt. */
  readonly rules: readonly string[]
  /** The last three exchanges before this one, oldest first; of each text, the last 2,000 characters. */
  readonly history: readonly Exchange[]
}

/** Exchanges that a conversation remembers as texts. */
export const HISTORY_EXCHANGES = 3
/** UTF-16 units of a remembered text: its end, since that is what the next message answers. */
export const MAX_HISTORY_LENGTH = 2000
/** UTF-16 units of a system prompt that are read. */
export const MAX_SYSTEM_LENGTH = 64 * 1024

/** One exchange as a detector sees it: texts, the conversation around them, and vectors for those that ask for them. */
export interface ConversationExchange extends Exchange, ConversationContext {
  /** The vectors of the two texts, by the detector's projection, windows and normalization; computed at the first call only. */
  embedded(): Promise<EmbeddedExchange>
  /** Unit vectors of other texts, such as rules; a text beyond the model's length is cut. In the order of the texts. */
  embed(texts: readonly string[]): Promise<readonly Float32Array[]>
  /** Fires when the exchange is aborted. */
  readonly signal?: AbortSignal | undefined
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
  /**
   * True if every judgment asks for `embedded()`: the texts are then embedded while earlier exchanges are still judged. Without it,
   * nothing is embedded before it is asked for.
   */
  readonly embedsAhead?: boolean
  /** True if it judges by the system prompt and the rules of an exchange. */
  readonly readsRules?: boolean
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
    exchange: ConversationExchange,
  ): { readonly verdict: Verdict; readonly state: State } | Promise<{ readonly verdict: Verdict; readonly state: State }>
  /**
   * Begins to read a reply that is being written. Without it, a window of the reply crosses the line if {@link judge} raises an alert for
   * it, as if it were the whole reply.
   */
  beginReply?(exchange: BegunExchange): ReplyReading
  /**
   * Validates a state from outside (a file, a request) and returns it typed.
   *
   * @throws GabionError `ARTIFACT_INVALID` naming the field
   */
  checkState(value: unknown): State
  /** Releases what the detector holds, such as a model; `Monitor.dispose` calls it for detectors that it loaded by name. */
  dispose?(): void
  /**
   * Continues a state saved by another detector, or by this one with other settings, as far as that goes; null where it does not.
   * Without it, such states are refused.
   */
  adopt?(saved: { readonly name: string; readonly fingerprint: string; readonly state: unknown }): State | null
}
