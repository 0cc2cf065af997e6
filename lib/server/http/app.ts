// Assembles the HTTP server: Fastify, validation, routes. Knows the use cases only through Service.

import type { ServerOptions as TlsOptions } from 'node:https'
import type { Socket } from 'node:net'
import swagger from '@fastify/swagger'
import { Ajv } from 'ajv'
import fastify, { LogController, type FastifyInstance, type FastifySchemaCompiler } from 'fastify'
import type { Logger } from 'pino'
import { GabionError } from '../../errors.js'
import type { ApiKeys } from '../api-keys.js'
import type { ClientKeys } from '../proxy/caller.js'
import type { PolicyOptions } from '../proxy/policy.js'
import { addProxyRoutes, OWN_PREFIX } from '../proxy/proxy-routes.js'
import type { Upstream } from '../proxy/upstream.js'
import { requestIdOf } from '../request-context.js'
import type { Service } from '../service.js'
import { TENANT_HEADER } from '../tenants.js'
import { addAlertRoutes } from './alert-routes.js'
import { addClassifierRoutes } from './classifier-routes.js'
import { addConversationRoutes } from './conversation-routes.js'
import { addDashboard } from './dashboard-routes.js'
import { addEmbeddingRoutes } from './embedding-routes.js'
import { addEventRoutes } from './event-routes.js'
import { sendFailure, handleFailures } from './failures.js'
import { addOperationRoutes } from './operation-routes.js'
import { addModelRoutes } from './model-routes.js'
import { manageRequests } from './request-life.js'
import { schemaFailure } from './schema-failure.js'
import { NAMED_SCHEMAS } from './schemas.js'

/** Options of the HTTP server. */
export interface HttpOptions {
  readonly keys: ApiKeys
  readonly logger: Logger
  /** Certificate and key; null for plain HTTP. */
  readonly tls: Pick<TlsOptions, 'cert' | 'key'> | null
  /** Runs as a proxy in front of an upstream; null or absent for none. */
  readonly proxy?: ProxyOptions | null
}

/** The proxy's upstream, and its policy on alerts. */
export interface ProxyOptions {
  readonly upstream: Upstream
  readonly policy: PolicyOptions
  /** Keys that the proxy asks its clients for; absent or null for none. */
  readonly clientKeys?: ClientKeys | null
}

/** Builds the app, ready to listen. */
export async function buildHttpApp(service: Service, { keys, logger, tls, proxy = null }: HttpOptions): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: logger,
    // A logger per request would cost more than the few log calls that pass the request's id themselves.
    childLoggerFactory: (parent) => parent,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: service.limits.bodyBytes,
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    routerOptions: { maxParamLength: 1024 },
    rewriteUrl: (request) => {
      const split = service.tenants.split(request.url ?? '/')
      if (split === null) return request.url ?? '/'
      request.headers[TENANT_HEADER] = split.name
      return split.rest
    },
    ...(tls !== null && { https: tls }),
    clientErrorHandler: refuseBrokenRequest,
    frameworkErrors: (error, request, reply) => {
      void sendFailure(error, request, reply)
    },
  }) as unknown as FastifyInstance
  for (const schema of NAMED_SCHEMAS) app.addSchema(schema)
  app.setValidatorCompiler(validatorCompiler())
  app.setSchemaErrorFormatter((errors, part) => schemaFailure(errors, part))
  // Return values of routes are typed already; compiled serializers would only slow down the start.
  app.setSerializerCompiler(() => (response) => JSON.stringify(response))
  handleFailures(app)
  manageRequests(app, service, keys)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'gabion',
        description: 'Sentence embeddings, and conversations monitored for guardrail erosion',
        version: service.version,
      },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      security: keys.size === 0 ? [] : [{ key: [] }],
    },
    refResolver: { buildLocalReference: (json, _, __, index) => (typeof json.$id === 'string' ? json.$id : `def-${index}`) },
  })
  // A proxy's own routes have a prefix, since the upstream has a /v1 too.
  const own = { prefix: proxy === null ? '' : OWN_PREFIX }
  await app.register((routes, _, done) => {
    if (proxy === null) {
      addModelRoutes(routes, service)
      addEmbeddingRoutes(routes, service)
      addClassifierRoutes(routes, service)
    }
    addConversationRoutes(routes, service)
    addAlertRoutes(routes, service)
    addEventRoutes(routes, service)
    addOperationRoutes(routes, service)
    addDashboard(routes)
    done()
  }, own)
  if (proxy !== null) {
    await app.register((routes, _, done) => {
      addProxyRoutes(routes, service, { clientKeys: null, ...proxy })
      done()
    })
    app.addHook('onClose', () => proxy.upstream.close())
  }
  return app
}

/** Bodies are validated strictly; path and query values are strings and may be coerced to numbers. */
function validatorCompiler(): FastifySchemaCompiler<object> {
  const common = { useDefaults: true, allErrors: false, strict: false, verbose: true } as const
  const strict = new Ajv({ ...common, coerceTypes: false })
  const lenient = new Ajv({ ...common, coerceTypes: true })
  for (const ajv of [strict, lenient]) for (const schema of NAMED_SCHEMAS) ajv.addSchema(schema)
  return ({ schema, httpPart }) => (httpPart === 'body' ? strict : lenient).compile(schema)
}

/** Sends a coded failure for input that is not an HTTP request, if the socket is still writable. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW'
  const failure = new GabionError(tooLarge ? 'TOO_LARGE' : 'INVALID_ARGUMENT', 'this is not a valid HTTP request')
  const body = JSON.stringify({ error: { code: failure.code, message: failure.message, type: 'invalid_request_error', requestId: '' } })
  const line = tooLarge ? '431 Request Header Fields Too Large' : '400 Bad Request'
  socket.end(
    `HTTP/1.1 ${line}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}
