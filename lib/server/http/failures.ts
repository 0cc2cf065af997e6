// Owns the HTTP form of failures. Statuses are mapped in status.ts.

import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { GabionError, isGabionError } from '../../errors.js'
import { isWorthRetrying, RETRY_AFTER_SECONDS, toPublicFailure } from '../status.js'

/** Sends a failure as a coded error, with `Retry-After` for transient ones. */
export function sendFailure(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { code, message, http } = toPublicFailure(isGabionError(error) ? error : ofFramework(error))
  if (http >= 500 && code !== 'UNAVAILABLE' && code !== 'DEADLINE_EXCEEDED')
    request.log.error({ requestId: request.id, err: error, code }, 'failed')
  if (http === 413) dropBody(request, reply)
  if (isWorthRetrying(code)) reply.header('retry-after', String(RETRY_AFTER_SECONDS))
  if (http === 401) reply.header('www-authenticate', 'Bearer')
  return reply
    .code(http)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify({ error: { code, message, type: typeOf(http), requestId: request.id } }))
}

/** How long the rest of a refused body is read, in milliseconds. */
const DROP_MS = 5_000

/**
 * Reads the rest of a body and drops it. A connection that is closed with unread data is reset, and a client that is still
 * sending may lose the response with it.
 */
function dropBody({ raw }: FastifyRequest, reply: FastifyReply): void {
  if (raw.complete) return
  reply.removeHeader('connection')
  const timer = setTimeout(() => raw.socket.destroy(), DROP_MS).unref()
  raw.once('close', () => clearTimeout(timer)).resume()
}

export function handleFailures(app: FastifyInstance): void {
  app.setErrorHandler(sendFailure)
  app.setNotFoundHandler((request, reply) =>
    sendFailure(
      new GabionError('NOT_FOUND', `there is no ${request.method} ${pathOf(request.url)}; see GET /openapi.json`),
      request,
      reply,
    ),
  )
}

/** Maps 4xx errors of Fastify and its parsers to gabion's codes; other errors are internal. */
function ofFramework(error: unknown): unknown {
  const { statusCode, message, code } = error as Partial<FastifyError>
  if (statusCode === undefined || statusCode < 400 || statusCode > 499) return error
  if (statusCode === 413) return new GabionError('TOO_LARGE', "the body exceeds the service's limit")
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new GabionError('INVALID_ARGUMENT', 'the body must be of content type application/json')
  return new GabionError('INVALID_ARGUMENT', message ?? STATUS_CODES[statusCode] ?? 'the request is malformed')
}

/** OpenAI's error type. */
function typeOf(http: number): string {
  if (http === 401) return 'authentication_error'
  if (http === 429) return 'rate_limit_error'
  return http < 500 ? 'invalid_request_error' : 'server_error'
}

function pathOf(url: string): string {
  return (url.split('?')[0] ?? '').slice(0, 100)
}
