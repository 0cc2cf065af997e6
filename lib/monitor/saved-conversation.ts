// Owns the saved format of a conversation, and its validation against the detector.

import { nodeUtil } from '../lazy.js'
import type { Detector } from '../detection/detector.js'
import { GabionError } from '../errors.js'
import { JsonObject } from '../json/json-object.js'

const FORMAT = 'gabion-conversation'
const VERSION = 2

/** A conversation as plain JSON, from `Conversation.toJSON`. */
export interface SavedConversation {
  readonly format: typeof FORMAT
  readonly version: typeof VERSION
  readonly id: string
  readonly detector: { readonly name: string; readonly fingerprint: string }
  /** Exchanges judged so far. */
  readonly exchanges: number
  readonly state: unknown
}

/** The saved format of a conversation; `state` is not copied. */
export function saveConversation(detector: Detector<never> | Detector, id: string, exchanges: number, state: unknown): SavedConversation {
  const { name, fingerprint } = detector
  return { format: FORMAT, version: VERSION, id, detector: { name, fingerprint }, exchanges, state }
}

/**
 * Reads a saved conversation for a detector.
 *
 * @throws GabionError `ARTIFACT_INVALID` with the field, also when it was saved with another detector or by another release
 */
export function readSavedConversation<State>(saved: unknown, detector: Detector<State>): { id: string; exchanges: number; state: State } {
  const json = JsonObject.of(saved, { source: '', code: 'ARTIFACT_INVALID', what: 'a saved conversation' })
  if (json.fields.format !== FORMAT) throw json.wrong('format', `'${FORMAT}'`)
  if (json.fields.version !== VERSION) {
    const { message } = json.wrong('version', String(VERSION))
    throw new GabionError('ARTIFACT_INVALID', `${message}: it was saved by another release; begin a new one, or judge its transcript again`)
  }
  const { name, fingerprint } = detector
  if (!nodeUtil().isDeepStrictEqual(json.fields.detector, { name, fingerprint })) {
    throw json.wrong('detector', `that of this monitor (${name}, ${fingerprint.slice(0, 12)}) with the settings that it was saved with`)
  }
  return { id: json.string('id'), exchanges: json.integer('exchanges', 0), state: detector.checkState(json.fields.state) }
}
