// The routes of alerts: list them, acknowledge one.

import type { FastifyInstance } from 'fastify'
import type { Service } from '../service.js'
import { describe } from './documents.js'
import * as form from './alert-schemas.js'

/** Adds the routes. */
export function addAlertRoutes(app: FastifyInstance, service: Service): void {
  app.get<{ Querystring: form.AlertsQuery }>(
    '/v1/alerts',
    describe('listAlerts', 'Alerts of all conversations, newest first', { querystring: form.AlertsQuery, ok: form.Alerts }),
    async ({ query: { limit = 100, offset = 0, open = false } }) => await service.alerts({ limit, offset, openOnly: open }),
  )

  app.put<{ Params: form.ExchangeParams; Body: form.AcknowledgeRequest }>(
    '/v1/conversations/:id/exchanges/:exchange/acknowledgement',
    describe('acknowledgeAlert', 'Mark the alert of an exchange as taken care of; the first to do so stays', {
      params: form.ExchangeParams,
      body: form.AcknowledgeRequest,
      ok: form.AcknowledgeResponse,
    }),
    async ({ params: { id, exchange }, body: { by = null } }) => ({ acknowledged: await service.acknowledge(id, exchange, by) }),
  )
}
