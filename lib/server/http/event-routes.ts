// Server-sent event streams of one conversation or of all. A reader that does not keep up is disconnected.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { GabionError } from '../../errors.js'
import type { NumberedChange } from '../events.js'
import type { Service } from '../service.js'
import { idOfTenant } from '../tenants.js'
import { describe } from './documents.js'
import * as form from './schemas.js'

// Proxies close connections that are silent for about a minute.
const HEARTBEAT_MS = 15_000

// Bytes that may wait for a slow reader.
const MAX_UNREAD_BYTES = 1024 * 1024

/** Adds the routes. */
export function addEventRoutes(app: FastifyInstance, service: Service): void {
  const stream = (operationId: string, summary: string, params: Parameters<typeof describe>[2]) => {
    const { schema } = describe(operationId, summary, params, 409)
    const ok = { description: 'A stream of events', content: { 'text/event-stream': { schema: { type: 'string' } } } }
    return { schema: { ...schema, response: { ...(schema.response as object), 200: ok } } }
  }

  app.get('/v1/events', stream('watchAll', 'Events of all conversations', {}), (request, reply) => {
    sendEvents(service, request, reply, null)
  })

  app.get<{ Params: form.ConversationParams }>(
    '/v1/conversations/:id/events',
    stream('watchConversation', 'Events of one conversation, which need not exist yet', { params: form.ConversationParams }),
    (request, reply) => {
      sendEvents(service, request, reply, idOfTenant(service.tenants.nameIn(request.headers), request.params.id))
    },
  )
}

function sendEvents(service: Service, request: FastifyRequest, reply: FastifyReply, conversation: string | null): void {
  const { raw } = reply
  const missed: NumberedChange[] = []
  let send = (numbered: NumberedChange): void => {
    missed.push(numbered)
  }
  // Before anything is written, so that a refusal is an ordinary response.
  const unwatch = service.watch(
    conversation,
    lastEventOf(request.headers['last-event-id']),
    (numbered) => send(numbered),
    () => raw.end(),
  )
  // A stream has no deadline.
  request.context?.end()
  reply.hijack()
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'x-accel-buffering': 'no',
  })
  raw.write(': connected\n\n')
  send = ({ id, change }) => {
    raw.write(`id: ${id}\nevent: ${change.kind}\ndata: ${JSON.stringify(change)}\n\n`)
    if (raw.writableLength > MAX_UNREAD_BYTES) raw.destroy()
  }
  missed.forEach(send)
  const heartbeat = setInterval(() => raw.write(': heartbeat\n\n'), HEARTBEAT_MS)
  raw.once('close', () => {
    clearInterval(heartbeat)
    unwatch()
  })
}

function lastEventOf(header: string | string[] | undefined): number | null {
  if (header === undefined || header === '') return null
  const id = Number(header)
  if (!Number.isSafeInteger(id) || id < 0) throw new GabionError('INVALID_ARGUMENT', 'Last-Event-ID must be an event id')
  return id
}
