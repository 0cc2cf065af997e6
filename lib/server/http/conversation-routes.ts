// The conversation routes: judge an exchange, get, list, delete.

import type { FastifyInstance } from 'fastify'
import { exchangeVerdictSchema } from '../../detection/verdict-schema.js'
import type { Service } from '../service.js'
import { idOfTenant } from '../tenants.js'
import { DeletedConversations } from './alert-schemas.js'
import { describe } from './documents.js'
import { contextOf, serverTiming } from './request-life.js'
import * as form from './schemas.js'

const UNOWNED = { caller: null, tenant: null }

/** Adds the routes. A tenant's conversations are found under its own ids, and by all others under `tenant/id`. */
export function addConversationRoutes(app: FastifyInstance, service: Service): void {
  const idOf = ({ headers, params }: { headers: object; params: form.ConversationParams }): string =>
    idOfTenant(service.tenants.nameIn(headers), params.id)

  app.post<{ Body: form.AddExchangeRequest; Params: form.ConversationParams }>(
    '/v1/conversations/:id/exchanges',
    {
      config: { encodes: true },
      ...describe(
        'addExchange',
        'Judge the next exchange of a conversation',
        { body: form.AddExchangeRequest, params: form.ConversationParams, ok: exchangeVerdictSchema },
        409,
      ),
    },
    async (request, reply) => {
      const { exchangeId = null, exchange = null, ...rest } = request.body
      const tenant = service.tenants.nameIn(request.headers)
      const added = { ...rest, conversation: idOf(request), tenant, exchangeId, exchange }
      const { verdict, repeated } = await service.addExchange(added, contextOf(request))
      reply.header('server-timing', serverTiming(verdict.timings))
      if (repeated) reply.header('x-gabion-repeated', 'true')
      return verdict
    },
  )

  app.get<{ Params: form.ConversationParams }>(
    '/v1/conversations/:id',
    describe(
      'getConversation',
      'A conversation with its last exchanges',
      { params: form.ConversationParams, ok: form.ConversationResponse },
      409,
    ),
    async (request) => {
      const { status, verdicts } = await service.conversation(idOf(request))
      return { ...UNOWNED, ...status, history: verdicts }
    },
  )

  app.delete<{ Params: form.ConversationParams }>(
    '/v1/conversations/:id',
    describe('deleteConversation', 'Delete a conversation', { params: form.ConversationParams, ok: form.Health }),
    async (request) => {
      await service.forget(idOf(request), contextOf(request))
      return { status: 'deleted' }
    },
  )

  for (const { owner, path, operationId } of [
    { owner: 'caller', path: '/v1/callers/:id', operationId: 'deleteCaller' },
    { owner: 'tenant', path: '/v1/tenants/:id', operationId: 'deleteTenant' },
  ] as const) {
    app.delete<{ Params: form.ConversationParams }>(
      path,
      describe(operationId, `Delete all conversations of a ${owner}`, { params: form.ConversationParams, ok: DeletedConversations }),
      async (request) => ({
        status: 'deleted',
        conversations: await service.forgetOwned(owner, request.params.id, contextOf(request)),
      }),
    )
  }

  app.get<{ Querystring: form.ListQuery }>(
    '/v1/conversations',
    describe(
      'listConversations',
      'Conversations, the most recently used first',
      { querystring: form.ListQuery, ok: form.Conversations },
      409,
    ),
    async ({ query }) => {
      // A conversation stored by an earlier release has no owner.
      const conversations = await service.conversations(query.limit ?? 100)
      return { conversations: conversations.map((status) => ({ ...UNOWNED, ...status })) }
    },
  )
}
