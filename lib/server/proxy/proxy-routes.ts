// The routes of the proxy: chat completions are watched, everything else is passed through as it is.

import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { GabionError } from '../../errors.js'
import { contextOf } from '../http/request-life.js'
import type { Service } from '../service.js'
import { ChatWatch, type Outcome, type PolicyOptions } from './chat-watch.js'
import { canDecode, decodeBody, decodeStream } from './content-coding.js'
import { EventSplitter } from './event-splitter.js'
import { messagesOf, parseJson, readAnswer, StreamedAnswer, UNREADABLE, type ReadAnswer } from './messages.js'
import { replacementAnswer, replacementStream, type AnswerFacts } from './replacement.js'
import { endToEnd, type Answer, type Incoming, type Upstream } from './upstream.js'

/** Where gabion's own routes are in front of another service. */
export const OWN_PREFIX = '/gabion'

// A few bytes of a coding can become any number: an answer that becomes more than this is not read.
const MAX_DECODED_BYTES = 256 * 1024 * 1024

/** The route of a chat that is watched. */
interface Watched {
  readonly reply: FastifyReply
  readonly answer: Answer
  readonly watch: ChatWatch
  /** What the client asked for, for an answer that has to be made here. */
  readonly asked: { readonly stream: boolean; readonly facts: AnswerFacts }
}

/** Adds the routes, in a scope of their own: bodies are taken as bytes and passed on as they came. */
export function addProxyRoutes(app: FastifyInstance, service: Service, upstream: Upstream, options: PolicyOptions): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body))
  // Who may ask the model is for the model's service to say.
  const config = { open: true, unbounded: true }

  for (const path of ['/v1/chat/completions', '/chat/completions']) {
    app.post(path, { config, schema: { hide: true } }, (request, reply) => watched(request, reply))
  }
  app.route({
    method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'],
    url: '/*',
    config,
    schema: { hide: true },
    handler: async (request, reply) => {
      refuseOwnPath(request)
      return passThrough(reply, await upstream.send(incoming(request), contextOf(request).signal))
    },
  })

  async function watched(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const context = contextOf(request)
    const sent = incoming(request)
    const bytes = sent.body === null ? null : await decodeBody(sent.body, sent.headers['content-encoding'], service.limits.bodyBytes)
    const body = bytes === null ? undefined : parseJson(bytes.toString())
    const watch = new ChatWatch(service, options, messagesOf(body), sent.headers, context)
    await watch.refuseIfEnded()
    // What is encoded could not be judged while it is streamed without decoding and encoding it again.
    const answer = await upstream.send({ ...sent, headers: { ...sent.headers, 'accept-encoding': 'identity' } }, context.signal)
    if (answer.statusCode < 200 || answer.statusCode > 299) return passThrough(reply, answer)
    const { stream, model } = (body ?? {}) as Record<string, unknown>
    const asked = { stream: stream === true, facts: { model: typeof model === 'string' ? model : undefined } }
    return await answered({ reply, answer, watch, asked })
  }

  async function answered(chat: Watched): Promise<FastifyReply> {
    const { reply, answer, watch, asked } = chat
    const kind = kindOf(answer)
    if (kind === 'events' && options.policy === 'observe') return observed(chat)
    if (kind === null) {
      const outcome = await watch.judge(UNREADABLE)
      if (!outcome.blocked) return passThrough(reply, answer, factsOf(outcome))
      answer.body.on('error', () => undefined).destroy()
      return block(chat, outcome, asked.facts, undefined)
    }
    const raw = await bytesOf(answer)
    const bytes = await decodeBody(raw, answer.headers['content-encoding'], MAX_DECODED_BYTES)
    const body = kind === 'json' && bytes !== null ? parseJson(bytes.toString()) : undefined
    const read = bytes === null ? UNREADABLE : kind === 'json' ? readAnswer(body) : readStream(bytes)
    const outcome = await watch.judge(read)
    if (outcome.blocked) return block(chat, outcome, { id: read.facts.id, model: read.facts.model ?? asked.facts.model }, body)
    return reply.code(answer.statusCode).headers(endToEnd(answer.headers)).headers(factsOf(outcome)).send(raw)
  }

  function block({ reply, answer, asked }: Watched, outcome: Outcome, facts: AnswerFacts, body: unknown): FastifyReply {
    const headers = withoutBodyFacts(answer)
    const { replacementMessage } = options
    reply.code(200).headers(headers).headers(factsOf(outcome))
    if (asked.stream) {
      const comment = options.comments ? commentOf(outcome) : ''
      return reply
        .header('content-type', 'text/event-stream; charset=utf-8')
        .header('x-accel-buffering', 'no')
        .send(Buffer.from(comment + replacementStream(facts, replacementMessage)))
    }
    return reply
      .header('content-type', 'application/json; charset=utf-8')
      .send(Buffer.from(JSON.stringify(replacementAnswer(body, facts, replacementMessage))))
  }

  function observed({ reply, answer, watch }: Watched): FastifyReply {
    const decoded = decodeStream(answer.body, answer.headers['content-encoding'])
    const judge = async (read: ReadAnswer): Promise<string> => {
      const comment = commentOf(await watch.judge(read))
      return options.comments ? comment : ''
    }
    const headers = endToEnd(answer.headers)
    if (decoded !== answer.body) delete headers['content-encoding']
    return reply
      .code(answer.statusCode)
      .headers(headers)
      .header('x-accel-buffering', 'no')
      .send(Readable.from(withVerdict(decoded as AsyncIterable<Buffer>, judge), { objectMode: false }))
  }
}

/**
 * A stream of events as it comes, with what `judge` says of its words at an event boundary: before the event that ends it, else
 * behind the last whole event. Without that, it is the stream byte for byte.
 */
export async function* withVerdict(body: AsyncIterable<Buffer>, judge: (read: ReadAnswer) => Promise<string>): AsyncGenerator<Buffer> {
  const splitter = new EventSplitter()
  const words = new StreamedAnswer()
  // Before the first event there may be a byte order mark, which has to stay in front.
  const at = { firstEvent: true, end: false }
  const verdict = async (): Promise<Buffer[]> => {
    at.end = true
    const comment = await judge(words.read())
    return at.firstEvent || comment === '' ? [] : [Buffer.from(comment)]
  }
  for await (const chunk of body) {
    for (const event of splitter.push(chunk)) {
      if (!at.end && words.push(event)) yield* await verdict()
      yield event
      at.firstEvent = false
    }
  }
  const { rest, whole } = splitter.finish()
  if (at.end) {
    if (rest.length > 0) yield rest
    return
  }
  const isLast = rest.length > 0 && words.push(rest)
  const goesFirst = whole && !isLast
  if (goesFirst) {
    yield rest
    at.firstEvent = false
  }
  yield* await verdict()
  if (rest.length > 0 && !goesFirst) yield rest
}

function readStream(bytes: Buffer): ReadAnswer {
  const splitter = new EventSplitter()
  const words = new StreamedAnswer()
  for (const event of splitter.push(bytes)) if (words.push(event)) return words.read()
  words.push(splitter.finish().rest)
  return words.read()
}

/** In which form an answer is, by its headers; null for one that cannot be read. */
function kindOf({ headers }: Answer): 'json' | 'events' | null {
  if (!canDecode(headers['content-encoding'])) return null
  const type = String(headers['content-type'] ?? '')
    .split(';')[0]!
    .trim()
    .toLowerCase()
  if (type === 'text/event-stream') return 'events'
  return /[/+]json$/.test(type) ? 'json' : null
}

/** @throws GabionError `UPSTREAM_FAILED` when the upstream broke it off */
async function bytesOf({ body }: Answer): Promise<Buffer> {
  try {
    return Buffer.from(await body.arrayBuffer())
  } catch (cause) {
    throw new GabionError('UPSTREAM_FAILED', `the upstream broke its answer off: ${(cause as Error).message}`, { cause })
  }
}

/** Requests below gabion's own prefix carry its key, so that none of them may reach the upstream. */
function refuseOwnPath({ method, params }: FastifyRequest): void {
  const path = `/${(params as { '*': string })['*']}`
  if (path === OWN_PREFIX || path.startsWith(`${OWN_PREFIX}/`)) {
    throw new GabionError('NOT_FOUND', `there is no ${method} ${path.slice(0, 100)}; see GET ${OWN_PREFIX}/openapi.json`)
  }
}

function passThrough(reply: FastifyReply, answer: Answer, facts: Record<string, string> = {}): FastifyReply {
  return reply.code(answer.statusCode).headers(endToEnd(answer.headers)).headers(facts).send(answer.body)
}

function incoming({ method, raw, headers, body }: FastifyRequest): Incoming {
  return { method, url: raw.url ?? '', headers, body: Buffer.isBuffer(body) && body.length > 0 ? body : null }
}

/** The headers of an answer without those that speak of the bytes of its body. */
function withoutBodyFacts({ headers }: Answer): Record<string, string | string[]> {
  const about = new Set([
    'content-encoding',
    'content-type',
    'etag',
    'content-md5',
    'digest',
    'content-digest',
    'repr-digest',
    'accept-ranges',
  ])
  return Object.fromEntries(Object.entries(endToEnd(headers)).filter(([name]) => !about.has(name)))
}

/** What the verdict says, in names that fit a header. */
function factsOf({ judged, failure, blocked }: Outcome): Record<string, string> {
  const marks = { ...(failure !== null && { 'x-gabion-error': failure }), ...(blocked && { 'x-gabion-blocked': 'true' }) }
  if (judged === null) return marks
  const { conversation, exchange, level, alert, likelihood, truncated } = judged
  return {
    'x-gabion-conversation': encodeURIComponent(conversation),
    'x-gabion-exchange': String(exchange),
    'x-gabion-level': level,
    'x-gabion-alert': String(alert),
    'x-gabion-likelihood': likelihood.toFixed(6),
    ...(truncated && { 'x-gabion-truncated': 'true' }),
    ...marks,
  }
}

/** A comment of the stream: every client of server-sent events passes over it. Empty where there is nothing to say. */
function commentOf(outcome: Outcome): string {
  const facts = factsOf(outcome)
  return Object.keys(facts).length === 0 ? '' : `: gabion ${JSON.stringify(facts)}\n\n`
}
