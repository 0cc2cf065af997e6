// Owns the form in which a conversation is saved, and reads it back for the detector that it was saved with.

import { nodeUtil } from '../lazy.js'
import type { Detector } from '../detection/detector.js'
import { GabionError } from '../errors.js'

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

/** The saved form of a conversation; `state` is not copied. */
export function saveConversation(detector: Detector<never> | Detector, id: string, exchanges: number, state: unknown): SavedConversation {
  const { name, fingerprint } = detector
  return { format: FORMAT, version: VERSION, id, detector: { name, fingerprint }, exchanges, state }
}

/**
 * Reads a saved conversation for a detector.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming the field, also when it was saved with another detector or by another release
 */
export function readSavedConversation<State>(saved: unknown, detector: Detector<State>): { id: string; exchanges: number; state: State } {
  const wrong = (field: string, expected: string): GabionError =>
    new GabionError('ARTIFACT_INVALID', `field '${field}' of a saved conversation must be ${expected}`)
  if (typeof saved !== 'object' || saved === null) throw wrong('format', `'${FORMAT}'`)
  const fields = saved as Readonly<Record<keyof SavedConversation, unknown>>
  if (fields.format !== FORMAT) throw wrong('format', `'${FORMAT}'`)
  if (fields.version !== VERSION) {
    const released = `${String(VERSION)}, which this release reads, got ${JSON.stringify(fields.version)}`
    throw wrong('version', `${released}: it was saved by another one; begin it anew, or judge its transcript again`)
  }
  if (typeof fields.id !== 'string') throw wrong('id', 'a string')
  if (typeof fields.exchanges !== 'number' || !Number.isSafeInteger(fields.exchanges) || fields.exchanges < 0)
    throw wrong('exchanges', 'an integer of 0 or more')
  const { name, fingerprint } = detector
  if (!nodeUtil().isDeepStrictEqual(fields.detector, { name, fingerprint })) {
    throw wrong(
      'detector',
      `that of this monitor (${name}, ${fingerprint.slice(0, 12)}): it was saved with another detector or other settings`,
    )
  }
  return { id: fields.id, exchanges: fields.exchanges, state: detector.checkState(fields.state) }
}
