// Parts that schemas of several kinds of routes share.

import { Type, type Static, type TSchema } from '@sinclair/typebox'
import { MAX_ID_LENGTH } from '../conversations/record.js'

/** Without fields beyond those named. */
export const closed = { additionalProperties: false }

export const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** A conversation's id in a path. */
export const ConversationParams = Type.Object({
  id: Type.String({
    minLength: 1,
    maxLength: MAX_ID_LENGTH,
    pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]+$',
    description: 'Without control characters',
  }),
})
export type ConversationParams = Static<typeof ConversationParams>
