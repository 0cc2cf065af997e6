// The proxy's routes: chat completions are monitored, everything else is passed through unchanged.

import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { GabionError } from '../../errors.js'
import { contextOf } from '../http/request-life.js'
import type { Service } from '../service.js'
import { ChatWatch, type Outcome, type PolicyOptions } from './chat-watch.js'
import { canDecode, decodeBody, decodeStream } from './content-coding.js'
import { EventSplitter } from './event-splitter.js'
import { messagesOf, parseJson, readCompletion, StreamedCompletion, UNREADABLE, type ReadCompletion } from './messages.js'
import { replacementCompletion, replacementStream, type CompletionInfo } from './replacement.js'
import { endToEnd, type UpstreamResponse, type ProxiedRequest, type Upstream } from './upstream.js'

/** Prefix of gabion's own routes in proxy mode. */
export const OWN_PREFIX = '/gabion'

// Limit against decompression bombs: a larger response is not read.
const MAX_DECODED_BYTES = 256 * 1024 * 1024

/** A monitored chat completion. */
interface MonitoredChat {
  readonly reply: FastifyReply
  readonly response: UpstreamResponse
  readonly chatWatch: ChatWatch
  /** Parts of the request that a replacement needs. */
  readonly requested: { readonly stream: boolean; readonly info: CompletionInfo }
}

/** Adds the routes, in a separate scope: bodies are read as bytes and forwarded unchanged. */
export function addProxyRoutes(app: FastifyInstance, service: Service, upstream: Upstream, options: PolicyOptions): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body))
  // Authentication is the upstream's.
  const config = { open: true, unbounded: true }

  for (const path of ['/v1/chat/completions', '/chat/completions']) {
    app.post(path, { config, schema: { hide: true } }, (request, reply) => monitor(request, reply))
  }
  app.route({
    method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'],
    url: '/*',
    config,
    schema: { hide: true },
    handler: async (request, reply) => {
      refuseOwnPath(request)
      return passThrough(reply, await upstream.send(proxiedRequestOf(request), contextOf(request).signal))
    },
  })

  async function monitor(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const context = contextOf(request)
    const sent = proxiedRequestOf(request)
    const bytes = sent.body === null ? null : await decodeBody(sent.body, sent.headers['content-encoding'], service.limits.bodyBytes)
    const body = bytes === null ? undefined : parseJson(bytes.toString())
    const chatWatch = new ChatWatch(service, options, messagesOf(body), sent.headers, context)
    await chatWatch.refuseIfEnded()
    // A compressed stream could only be judged by decoding and encoding it again.
    const response = await upstream.send({ ...sent, headers: { ...sent.headers, 'accept-encoding': 'identity' } }, context.signal)
    if (response.statusCode < 200 || response.statusCode > 299) return passThrough(reply, response)
    const { stream, model } = (body ?? {}) as Record<string, unknown>
    const requested = { stream: stream === true, info: { model: typeof model === 'string' ? model : undefined } }
    return await judgeAndSend({ reply, response, chatWatch, requested })
  }

  async function judgeAndSend(chat: MonitoredChat): Promise<FastifyReply> {
    const { reply, response, chatWatch, requested } = chat
    const kind = kindOf(response)
    if (kind === 'events' && options.policy === 'observe') return sendObserved(chat)
    if (kind === null) {
      const outcome = await chatWatch.judge(UNREADABLE)
      if (!outcome.blocked) return passThrough(reply, response, headersOf(outcome))
      response.body.on('error', () => undefined).destroy()
      return block(chat, outcome, requested.info, undefined)
    }
    const raw = await bytesOf(response)
    const bytes = await decodeBody(raw, response.headers['content-encoding'], MAX_DECODED_BYTES)
    const body = kind === 'json' && bytes !== null ? parseJson(bytes.toString()) : undefined
    const read = bytes === null ? UNREADABLE : kind === 'json' ? readCompletion(body) : readStream(bytes)
    const outcome = await chatWatch.judge(read)
    if (outcome.blocked) return block(chat, outcome, { id: read.info.id, model: read.info.model ?? requested.info.model }, body)
    return reply.code(response.statusCode).headers(endToEnd(response.headers)).headers(headersOf(outcome)).send(raw)
  }

  function block({ reply, response, requested }: MonitoredChat, outcome: Outcome, info: CompletionInfo, body: unknown): FastifyReply {
    const { replacementMessage } = options
    reply.code(200).headers(withoutBodyHeaders(response)).headers(headersOf(outcome))
    if (requested.stream) {
      const comment = options.comments ? commentOf(outcome) : ''
      return reply
        .header('content-type', 'text/event-stream; charset=utf-8')
        .header('x-accel-buffering', 'no')
        .send(Buffer.from(comment + replacementStream(info, replacementMessage)))
    }
    return reply
      .header('content-type', 'application/json; charset=utf-8')
      .send(Buffer.from(JSON.stringify(replacementCompletion(body, info, replacementMessage))))
  }

  function sendObserved({ reply, response, chatWatch }: MonitoredChat): FastifyReply {
    const decoded = decodeStream(response.body, response.headers['content-encoding'])
    const judge = async (read: ReadCompletion): Promise<string> => {
      const comment = commentOf(await chatWatch.judge(read))
      return options.comments ? comment : ''
    }
    const headers = endToEnd(response.headers)
    if (decoded !== response.body) delete headers['content-encoding']
    return reply
      .code(response.statusCode)
      .headers(headers)
      .header('x-accel-buffering', 'no')
      .send(Readable.from(withVerdict(decoded as AsyncIterable<Buffer>, judge), { objectMode: false }))
  }
}

/**
 * Passes an event stream through, and inserts the comment that `judge` returns at an event boundary: before the end event, else
 * after the last complete event. Apart from the comment, the stream is unchanged byte for byte.
 */
export async function* withVerdict(body: AsyncIterable<Buffer>, judge: (read: ReadCompletion) => Promise<string>): AsyncGenerator<Buffer> {
  const splitter = new EventSplitter()
  const reader = new StreamedCompletion()
  // A byte order mark before the first event has to stay in front.
  const at = { firstEvent: true, end: false }
  const verdict = async (): Promise<Buffer[]> => {
    at.end = true
    const comment = await judge(reader.read())
    return at.firstEvent || comment === '' ? [] : [Buffer.from(comment)]
  }
  for await (const chunk of body) {
    for (const event of splitter.push(chunk)) {
      if (!at.end && reader.push(event)) yield* await verdict()
      yield event
      at.firstEvent = false
    }
  }
  const { rest, whole } = splitter.finish()
  if (at.end) {
    if (rest.length > 0) yield rest
    return
  }
  const isLast = rest.length > 0 && reader.push(rest)
  const goesFirst = whole && !isLast
  if (goesFirst) {
    yield rest
    at.firstEvent = false
  }
  yield* await verdict()
  if (rest.length > 0 && !goesFirst) yield rest
}

function readStream(bytes: Buffer): ReadCompletion {
  const splitter = new EventSplitter()
  const reader = new StreamedCompletion()
  for (const event of splitter.push(bytes)) if (reader.push(event)) return reader.read()
  reader.push(splitter.finish().rest)
  return reader.read()
}

/** Format of a response by its headers; null for one that cannot be read. */
function kindOf({ headers }: UpstreamResponse): 'json' | 'events' | null {
  if (!canDecode(headers['content-encoding'])) return null
  const type = String(headers['content-type'] ?? '')
    .split(';')[0]!
    .trim()
    .toLowerCase()
  if (type === 'text/event-stream') return 'events'
  return /[/+]json$/.test(type) ? 'json' : null
}

/** @throws GabionError `UPSTREAM_FAILED` when the upstream aborts the response */
async function bytesOf({ body }: UpstreamResponse): Promise<Buffer> {
  try {
    return Buffer.from(await body.arrayBuffer())
  } catch (cause) {
    throw new GabionError('UPSTREAM_FAILED', `the upstream aborted its response: ${(cause as Error).message}`, { cause })
  }
}

/** Requests below gabion's prefix carry its API key, so none of them may reach the upstream. */
function refuseOwnPath({ method, params }: FastifyRequest): void {
  const path = `/${(params as { '*': string })['*']}`
  if (path === OWN_PREFIX || path.startsWith(`${OWN_PREFIX}/`)) {
    throw new GabionError('NOT_FOUND', `there is no ${method} ${path.slice(0, 100)}; see GET ${OWN_PREFIX}/openapi.json`)
  }
}

function passThrough(reply: FastifyReply, response: UpstreamResponse, extraHeaders: Record<string, string> = {}): FastifyReply {
  return reply.code(response.statusCode).headers(endToEnd(response.headers)).headers(extraHeaders).send(response.body)
}

function proxiedRequestOf({ method, raw, headers, body }: FastifyRequest): ProxiedRequest {
  return { method, url: raw.url ?? '', headers, body: Buffer.isBuffer(body) && body.length > 0 ? body : null }
}

/** The headers of a response without those that describe its body. */
function withoutBodyHeaders({ headers }: UpstreamResponse): Record<string, string | string[]> {
  const bodyHeaders = new Set([
    'content-encoding',
    'content-type',
    'etag',
    'content-md5',
    'digest',
    'content-digest',
    'repr-digest',
    'accept-ranges',
  ])
  return Object.fromEntries(Object.entries(endToEnd(headers)).filter(([name]) => !bodyHeaders.has(name)))
}

/** The outcome as response headers. */
function headersOf({ verdict, failure, blocked }: Outcome): Record<string, string> {
  const flags = { ...(failure !== null && { 'x-gabion-error': failure }), ...(blocked && { 'x-gabion-blocked': 'true' }) }
  if (verdict === null) return flags
  const { conversation, exchange, level, alert, likelihood, truncated } = verdict
  return {
    'x-gabion-conversation': encodeURIComponent(conversation),
    'x-gabion-exchange': String(exchange),
    'x-gabion-level': level,
    'x-gabion-alert': String(alert),
    'x-gabion-likelihood': likelihood.toFixed(6),
    ...(truncated && { 'x-gabion-truncated': 'true' }),
    ...flags,
  }
}

/** The outcome as a comment of the event stream, which clients ignore; empty without any header. */
function commentOf(outcome: Outcome): string {
  const headers = headersOf(outcome)
  return Object.keys(headers).length === 0 ? '' : `: gabion ${JSON.stringify(headers)}\n\n`
}
