// Owns the forms that spread a conversation over records: a message or an exchange each, as JSON lines or rows of CSV.

import { conversationOf, nameOf } from '../conversation-name.js'
import { isExchange, isMessage, readEntry } from '../message.js'
import { isEntry, shown, transcriptInvalid } from '../problem.js'
import type { Form, MessagesPiece, ReadContext } from './form.js'

function readLine(record: unknown, context: ReadContext): MessagesPiece[] {
  const { where } = context
  if (!isEntry(record)) throw transcriptInvalid(where, `an entry must be an object, got ${shown(record)}`)
  const messages = readEntry(record, where, context)
  const conversation = conversationOf(record, context.conversationField)
  return [{ kind: 'messages', conversation, messages, entryId: nameOf(record.id ?? record.uuid) }]
}

/** A message a record, an exchange a record. */
export const LINE_FORMS: readonly Form[] = [
  {
    name: 'message-lines',
    title: 'a message per line, or per row of CSV',
    example: 'conversation,speaker,message\nc1,user,Are you open?\nc1,assistant,From nine.',
    matches: isMessage,
    read: readLine,
  },
  {
    name: 'exchange-lines',
    title: 'an exchange per line, or per row of CSV',
    example:
      '{"conversation":"c1","user":"Are you open?","assistant":"From nine."}\n{"conversation":"c1","prompt":"On Sunday?","response":"Closed."}',
    matches: isExchange,
    read: readLine,
  },
]
