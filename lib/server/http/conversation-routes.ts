// The routes of conversations: judge a turn, look, list, forget.

import type { FastifyInstance } from 'fastify'
import type { Service } from '../service.js'
import { describe } from './documents.js'
import { contextOf } from './request-life.js'
import * as form from './schemas.js'
import { serverTiming } from './timing.js'

/** Adds the routes. */
export function addConversationRoutes(app: FastifyInstance, service: Service): void {
  app.post<{ Body: form.TurnRequest; Params: form.ConversationParams }>(
    '/v1/conversations/:id/turns',
    {
      config: { encodes: true },
      ...describe(
        'addTurn',
        'Judge the next exchange of a conversation',
        { body: form.TurnRequest, params: form.ConversationParams, ok: form.Turn },
        409,
      ),
    },
    async (request, reply) => {
      const { user, assistant, turnId = null, turn = null } = request.body
      const asked = { conversation: request.params.id, user, assistant, turnId, turn }
      const { judged, repeated } = await service.addTurn(asked, contextOf(request), request.headers)
      reply.header('server-timing', serverTiming(judged.timings))
      if (repeated) reply.header('x-gabion-repeated', 'true')
      return judged
    },
  )

  app.get<{ Params: form.ConversationParams }>(
    '/v1/conversations/:id',
    describe('getConversation', 'A conversation with its last turns', { params: form.ConversationParams, ok: form.ConversationAnswer }),
    async ({ params }) => {
      const { brief, turns } = await service.conversation(params.id)
      return { ...brief, history: turns }
    },
  )

  app.delete<{ Params: form.ConversationParams }>(
    '/v1/conversations/:id',
    describe('deleteConversation', 'Forget a conversation', { params: form.ConversationParams, ok: form.Health }),
    async (request) => {
      await service.forget(request.params.id, contextOf(request))
      return { status: 'deleted' }
    },
  )

  app.get<{ Querystring: form.ListQuery }>(
    '/v1/conversations',
    describe('listConversations', 'Conversations, the most recently used first', { querystring: form.ListQuery, ok: form.Briefs }),
    async ({ query }) => ({ conversations: await service.conversations(query.limit ?? 100) }),
  )
}
