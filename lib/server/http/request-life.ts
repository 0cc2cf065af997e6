// Owns the frame of every HTTP request: id, deadline, cancellation, API key check, metrics.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { GabionError } from '../../errors.js'
import { checkHost, type ApiKeys } from '../api-keys.js'
import { MAX_DEADLINE_MS, RequestContext } from '../request-context.js'
import type { Service } from '../service.js'

declare module 'fastify' {
  interface FastifyRequest {
    context: RequestContext | null
  }
  interface FastifyContextConfig {
    /** Needs no API key. */
    open?: boolean
    /** Uses the encoder: refused before its body is read when the queue is full. */
    encodes?: boolean
    /** Has no default deadline: the upstream's response may take any time. */
    unbounded?: boolean
  }
}

/** The context of a request; exists from the first hook on. */
export function contextOf(request: FastifyRequest): RequestContext {
  if (request.context === null) throw new GabionError('INTERNAL', 'a request without a context')
  return request.context
}

/** Times of a response's stages in milliseconds. */
interface StageTimes {
  readonly tokenizeMs: number
  readonly queueMs: number
  readonly encodeMs: number
  readonly projectMs: number
  readonly detectMs?: number
  readonly totalMs: number
}

/** The value of the `Server-Timing` header. */
export function serverTiming({ tokenizeMs, queueMs, encodeMs, projectMs, detectMs = 0, totalMs }: StageTimes): string {
  return (
    `tokenize;dur=${tokenizeMs.toFixed(3)}, queue;dur=${queueMs.toFixed(3)}, encode;dur=${encodeMs.toFixed(3)}, ` +
    `project;dur=${projectMs.toFixed(3)}, detect;dur=${detectMs.toFixed(3)}, total;dur=${totalMs.toFixed(3)}`
  )
}

/** Adds the hooks. */
export function manageRequests(app: FastifyInstance, service: Service, keys: ApiKeys): void {
  app.decorateRequest('context', null)
  app.addHook('onRequest', (request, reply, done) => {
    const { headers, routeOptions } = request
    reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
    })
    const context = new RequestContext(
      request.id,
      deadlineOf(headers['x-request-timeout-ms'], routeOptions.config.unbounded === true ? MAX_DEADLINE_MS : service.limits.requestMs),
      headers,
    )
    request.context = context
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) context.leave()
      context.end()
    })
    if (keys.size === 0) checkHost(headers.host)
    if (routeOptions.config.open !== true) keys.check(headers.authorization, headerOf(headers['x-api-key']))
    if (routeOptions.config.encodes === true) service.admission.refuseIfFull()
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unknown'
    const seconds = reply.elapsedTime / 1000
    service.metrics.answered('http', route, String(reply.statusCode), seconds)
    if (isLogged(route)) {
      const { id: requestId, method } = request
      request.log.info({ requestId, method, route, status: reply.statusCode, ms: round(reply.elapsedTime) }, 'answered')
    }
    done()
  })
}

/** Milliseconds of a request's deadline: as requested, at most `maximum`. */
function deadlineOf(requested: string | string[] | undefined, maximum: number): number {
  if (requested === undefined) return maximum
  const milliseconds = Number(headerOf(requested))
  if (!Number.isInteger(milliseconds) || milliseconds < 1) {
    throw new GabionError('INVALID_ARGUMENT', 'X-Request-Timeout-Ms must be an integer of 1 or more')
  }
  return Math.min(milliseconds, maximum)
}

/** Probes and scrapes come every few seconds and would fill the log. */
function isLogged(route: string): boolean {
  return route !== '/health' && route !== '/ready' && route !== '/metrics'
}

function headerOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100
}
