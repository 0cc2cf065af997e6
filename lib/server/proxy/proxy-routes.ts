// The proxy's routes: requests of chat APIs are watched, everything else passes through unchanged and is counted.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { GabionError } from '../../errors.js'
import { contextOf } from '../http/request-life.js'
import type { RequestContext } from '../request-context.js'
import type { Service } from '../service.js'
import { Caller, type ClientKeys } from './caller.js'
import { ChatWatch } from './chat-watch.js'
import { decodeBody } from './content-coding.js'
import { cut } from './cut.js'
import { hold } from './hold.js'
import { observe } from './observe.js'
import type { PolicyOptions } from './policy.js'
import { parseJson, type ChatProtocol } from './protocols/protocol.js'
import { formatOf, passThrough, type WatchedResponse } from './response.js'
import type { ProxiedRequest, Upstream } from './upstream.js'
import { protocolOf, routeLabel } from './watched-paths.js'

/** Prefix of gabion's own routes in proxy mode. */
export const OWN_PREFIX = '/gabion'

/** Adds the routes, in a separate scope: bodies are read as bytes and forwarded unchanged. */
export function addProxyRoutes(
  app: FastifyInstance,
  service: Service,
  { upstream, policy, clientKeys }: { upstream: Upstream; policy: PolicyOptions; clientKeys: ClientKeys | null },
): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body))
  /** Verdicts that nobody waits for; the service stops after them. */
  const pending = new Set<Promise<unknown>>()
  const background = (work: Promise<unknown>): void => {
    pending.add(work)
    void work.finally(() => pending.delete(work))
  }
  app.addHook('onClose', async () => {
    await Promise.allSettled(pending)
  })
  app.route({
    method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'],
    url: '/*',
    // Without client keys, authentication is the upstream's.
    config: { open: true, unbounded: true },
    schema: { hide: true },
    handler: async (request, reply) => {
      refuseOwnPath(request)
      const context = contextOf(request)
      const sent = proxiedRequestOf(request)
      // A client key decides on the tenant, whatever the request names.
      const admitted =
        clientKeys === null ? { tenant: service.tenants.nameIn(sent.headers), headers: sent.headers } : clientKeys.admit(sent.headers)
      const caller = new Caller(sent.headers, { tenant: admitted.tenant, callerHeader: policy.callerHeader })
      const forwarded = { ...sent, headers: admitted.headers }
      const path = upstream.pathOf(sent.url)
      const protocol = protocolOf(sent.method, path)
      if (protocol !== null) {
        const tenant = admitted.tenant !== null && service.tenants.knows(admitted.tenant) ? admitted.tenant : null
        return await watch({ protocol, forwarded, caller, tenant, context, reply })
      }
      service.metrics.unwatched(routeLabel(path))
      if (policy.onlyWatched) throw new GabionError('PATH_REFUSED', 'this proxy forwards requests of the chat APIs that it watches only')
      return passThrough(reply, await upstream.send(forwarded, context.signal))
    },
  })

  async function watch({ protocol, forwarded, caller, tenant, context, reply }: WatchedRequest): Promise<FastifyReply> {
    const { body: raw, headers } = forwarded
    const bytes = raw === null ? null : await decodeBody(raw, headers['content-encoding'], service.limits.bodyBytes)
    const requested = protocol.readRequest(bytes === null ? undefined : parseJson(bytes.toString()))
    const chatWatch = new ChatWatch(service, policy, requested, { caller, tenant }, context)
    await chatWatch.refuseIfEnded()
    // Of an earlier exchange, for a response that does not wait for its own.
    const latest = policy.policy === 'observe' ? chatWatch.latest().catch(() => null) : Promise.resolve(null)
    const response = await upstream.send({ ...forwarded, headers: { ...headers, 'accept-encoding': 'identity' } }, context.signal)
    if (response.statusCode < 200 || response.statusCode > 299) return passThrough(reply, response)
    const watched: WatchedResponse = { reply, response, protocol, requested, chatWatch, headers, signal: context.signal, background }
    if (policy.policy === 'observe') return await observe(watched, policy, latest)
    const format = policy.policy === 'cut' ? formatOf(response) : null
    return format === 'events' || format === 'lines' ? cut(watched, policy, format) : await hold(watched, policy)
  }
}

interface WatchedRequest {
  readonly protocol: ChatProtocol
  readonly forwarded: ProxiedRequest
  readonly caller: Caller
  /** One of the service's tenants; null for none. */
  readonly tenant: string | null
  readonly context: RequestContext
  readonly reply: FastifyReply
}

/** Requests below gabion's prefix carry its API key, so none of them may reach the upstream. */
function refuseOwnPath({ method, params }: FastifyRequest): void {
  const path = `/${(params as { '*': string })['*']}`
  if (path === OWN_PREFIX || path.startsWith(`${OWN_PREFIX}/`)) {
    throw new GabionError('NOT_FOUND', `there is no ${method} ${path.slice(0, 100)}; see GET ${OWN_PREFIX}/openapi.json`)
  }
}

function proxiedRequestOf({ method, raw, headers, body }: FastifyRequest): ProxiedRequest {
  return { method, url: raw.url ?? '', headers, body: Buffer.isBuffer(body) && body.length > 0 ? body : null }
}
