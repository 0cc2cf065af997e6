// Owns the schemas of alerts, acknowledgements and deletions.

import { Type, type Static } from '@sinclair/typebox'
import { REPLY_OUTCOMES } from '../../alerts/alert.js'
import { levelSchema, signalsSchema } from '../../detection/verdict-schema.js'
import { closed, ConversationParams, nullable } from './schema-parts.js'

const Acknowledgement = Type.Object({
  at: Type.String({ description: 'ISO 8601' }),
  by: nullable(Type.String({ description: 'Who has taken care of it, as they said' })),
})

export const AcknowledgeRequest = Type.Object(
  { by: Type.Optional(nullable(Type.String({ minLength: 1, maxLength: 100 }))) },
  { $id: 'AcknowledgeRequest', ...closed },
)
export type AcknowledgeRequest = Static<typeof AcknowledgeRequest>

export const StoredAlert = Type.Object(
  {
    id: Type.String({ description: 'The same in every delivery of this alert' }),
    conversation: Type.String(),
    exchange: Type.Integer(),
    exchangeId: nullable(Type.String()),
    at: Type.String(),
    level: levelSchema,
    likelihood: Type.Number(),
    reasons: Type.Array(Type.String(), { description: 'Without words of the conversation or of a rule' }),
    policies: Type.Array(Type.String()),
    signals: nullable(signalsSchema),
    strength: nullable(Type.Number()),
    caller: nullable(Type.String()),
    tenant: nullable(Type.String()),
    reply: nullable(
      Type.Union(
        REPLY_OUTCOMES.map((outcome) => Type.Literal(outcome)),
        { description: 'What happened to the reply; null where gabion does not stand in between' },
      ),
    ),
    details: nullable(
      Type.Object({ reasons: Type.Array(Type.String()), rule: nullable(Type.String()), sentence: nullable(Type.String()) }),
    ),
    acknowledged: nullable(Acknowledgement),
  },
  { $id: 'Alert' },
)

export const Alerts = Type.Object(
  {
    alerts: Type.Array(Type.Ref('Alert'), { description: 'Newest first' }),
    total: Type.Integer({ description: 'Of all stored alerts' }),
    open: Type.Integer({ description: 'Those that nobody has acknowledged' }),
  },
  { $id: 'Alerts' },
)

export const AcknowledgeResponse = Type.Object({ acknowledged: Acknowledgement }, { $id: 'AcknowledgeResponse' })

export const DeletedConversations = Type.Object({ status: Type.String(), conversations: Type.Integer() }, { $id: 'DeletedConversations' })

/** An exchange in a path. */
export const ExchangeParams = Type.Object({ ...ConversationParams.properties, exchange: Type.Integer({ minimum: 1 }) })
export type ExchangeParams = Static<typeof ExchangeParams>

export const AlertsQuery = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000, default: 0 })),
  open: Type.Optional(Type.Boolean({ description: 'Only alerts that nobody has acknowledged' })),
})
export type AlertsQuery = Static<typeof AlertsQuery>
