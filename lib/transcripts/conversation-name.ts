// Owns which field of an entry names its conversation.

import { columnName } from './csv-rows.js'
import { isEntry, transcriptInvalid, type Entry } from './problem.js'

/** The names by which conversations are told apart; those of CSV columns are in lower case, blanks are underscores. */
export const CONVERSATION_FIELDS = [
  'conversation',
  'conversation_id',
  'conversationId',
  'session_id',
  'sessionId',
  'thread_id',
  'threadId',
  'chat_id',
  'chatId',
  'dialogue_id',
  'dialog_id',
  'ticket_id',
  'conversationid',
  'sessionid',
  'threadid',
  'chatid',
  'ticketid',
  'session',
  'thread',
] as const

/**
 * The name of an entry's conversation; null where it has none.
 *
 * @param field the only field that counts, if given
 */
export function conversationOf(entry: Entry, field: string | null = null): string | null {
  if (field !== null) return nameOf(entry[field] ?? entry[columnName(field)])
  for (const name of CONVERSATION_FIELDS) {
    const found = nameOf(entry[name])
    if (found !== null) return found
  }
  return null
}

/** A name: a string, a number, or the `id` of an object. */
export function nameOf(value: unknown): string | null {
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return value.trim() === '' ? null : value
  return isEntry(value) && 'id' in value && !isEntry(value.id) ? nameOf(value.id) : null
}

/**
 * The name of a whole conversation: that of {@link conversationOf}, or its own `id`.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` for an id that is no name
 */
export function wholeConversationOf(entry: Entry, where: string, field: string | null): string | null {
  const named = conversationOf(entry, field)
  if (named !== null || field !== null) return named
  const { id, uuid } = entry
  if (id !== undefined && id !== null && typeof id !== 'string' && typeof id !== 'number') {
    throw transcriptInvalid(where, `field 'id' must be a string or a number`)
  }
  return nameOf(id) ?? nameOf(uuid)
}
