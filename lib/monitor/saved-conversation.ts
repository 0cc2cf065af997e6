// Owns the saved format of a conversation, and its validation against the detector.

import type { ConversationContext, Detector, Exchange } from '../detection/detector.js'
import { GabionError } from '../errors.js'
import { JsonObject } from '../json/json-object.js'
import { NO_CONTEXT, readContext } from './context.js'

const FORMAT = 'gabion-conversation'
const VERSION = 3
/** Version 2 has neither instructions nor history. */
const FIRST_VERSION = 2

/** A conversation as plain JSON, from `Conversation.toJSON`. Holds the texts of the last three exchanges, and the system prompt. */
export interface SavedConversation {
  readonly format: typeof FORMAT
  readonly version: typeof VERSION
  readonly id: string
  readonly detector: { readonly name: string; readonly fingerprint: string }
  /** Exchanges judged so far. */
  readonly exchanges: number
  readonly state: unknown
  readonly system: string | null
  readonly rules: readonly string[]
  readonly history: readonly Exchange[]
}

/** A conversation between two exchanges. */
export interface ConversationMoment<State> {
  readonly exchanges: number
  readonly state: State
  readonly context: ConversationContext
}

/** The saved format of a conversation; `state` is not copied. */
export function saveConversation(
  detector: Detector<never> | Detector,
  id: string,
  { exchanges, state, context: { system, rules, history } }: ConversationMoment<unknown>,
): SavedConversation {
  const { name, fingerprint } = detector
  return { format: FORMAT, version: VERSION, id, detector: { name, fingerprint }, exchanges, state, system, rules, history }
}

/**
 * Reads a conversation saved by this release or the one before it. The state of another detector, or of this one with other settings,
 * continues as far as the detector adopts it.
 *
 * @throws GabionError `ARTIFACT_INVALID` with the field, also when the detector cannot continue it, or when a newer release saved it
 */
export function readSavedConversation<State>(saved: unknown, detector: Detector<State>): ConversationMoment<State> & { id: string } {
  const json = JsonObject.of(saved, { source: '', code: 'ARTIFACT_INVALID', what: 'a saved conversation' })
  if (json.fields.format !== FORMAT) throw json.wrong('format', `'${FORMAT}'`)
  const { version } = json.fields
  if (version !== VERSION && version !== FIRST_VERSION) throw otherRelease(json)
  return {
    id: json.string('id'),
    exchanges: json.integer('exchanges', 0),
    state: stateFor(detector, json),
    context: version === VERSION ? readContext(json) : NO_CONTEXT,
  }
}

function otherRelease(json: JsonObject): GabionError {
  const newer = typeof json.fields.version === 'number' && json.fields.version > VERSION
  const { message } = json.wrong('version', `${String(FIRST_VERSION)} or ${String(VERSION)}`)
  const remedy = newer
    ? 'it was saved by a newer release of gabion; use that release to continue it'
    : 'it was saved by another release; begin a new one, or judge its transcript again'
  return new GabionError('ARTIFACT_INVALID', `${message}: ${remedy}`)
}

function stateFor<State>(detector: Detector<State>, json: JsonObject): State {
  const { name, fingerprint } = detector
  const { state } = json.fields
  const by = json.object('detector')
  const saved = { name: by.string('name'), fingerprint: by.string('fingerprint') }
  if (saved.name === name && saved.fingerprint === fingerprint) return detector.checkState(state)
  const adopted = detector.adopt?.({ ...saved, state })
  if (adopted !== undefined && adopted !== null) return adopted
  throw json.wrong('detector', `that of this monitor (${name}, ${fingerprint.slice(0, 12)}) with the settings that it was saved with`)
}
