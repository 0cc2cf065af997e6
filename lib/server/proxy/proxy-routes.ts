// The routes of the proxy: chat completions are watched, everything else is passed through as it is.

import type { Readable } from 'node:stream'
import { PassThrough } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { GabionError } from '../../errors.js'
import { contextOf } from '../http/request-life.js'
import type { Service } from '../service.js'
import { ChatWatch, type PolicyOptions, type ReplyOutcome } from './chat-watch.js'
import { heldAnswer, heldStream } from './held-reply.js'
import { messagesOf, replyOf, StreamedReply } from './messages.js'
import { endToEnd, type Incoming, type Upstream } from './upstream.js'

/** Where gabion's own routes are in front of another service. */
export const OWN_PREFIX = '/gabion'

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
    const history = messagesOf(parsed(sent.body))
    if (history === null) return passThrough(reply, await upstream.send(sent, context.signal))
    const id = request.headers['x-gabion-conversation']
    const who = { id: typeof id === 'string' && id !== '' ? id : undefined, caller: request.headers.authorization ?? '' }
    const watch = new ChatWatch(service, options, history, who, context)
    await watch.refuseIfEnded()
    const answer = await upstream.send(sent, context.signal)
    if (answer.statusCode !== 200) return passThrough(reply, answer)
    const type = String(answer.headers['content-type'] ?? '')
    if (type.startsWith('text/event-stream')) return streamed(reply, answer, watch)
    return await whole(reply, answer, watch)
  }

  async function whole(reply: FastifyReply, answer: Awaited<ReturnType<Upstream['send']>>, watch: ChatWatch): Promise<FastifyReply> {
    const bytes = Buffer.from(await answer.body.arrayBuffer())
    const body = parsed(bytes)
    const outcome = await watch.judge(replyOf(body))
    reply.code(answer.statusCode).headers(endToEnd(answer.headers)).headers(factsOf(outcome))
    if (!outcome.hold) return reply.send(bytes)
    return reply.type('application/json').send(Buffer.from(JSON.stringify(heldAnswer(body ?? {}, options.heldWords))))
  }

  function streamed(reply: FastifyReply, answer: Awaited<ReturnType<Upstream['send']>>, watch: ChatWatch): FastifyReply {
    const out = new PassThrough()
    const passing =
      options.policy === 'observe' ? passWords(answer.body, out, watch) : holdWords(answer.body, out, watch, options.heldWords)
    passing.then(
      () => out.end(),
      (error: unknown) => out.destroy(error as Error),
    )
    return reply.code(answer.statusCode).headers(endToEnd(answer.headers)).header('x-accel-buffering', 'no').send(out)
  }
}

/** Words go on as they come; the verdict follows the last of them as a comment, before the stream's end is told. */
async function passWords(body: Readable, out: PassThrough, watch: ChatWatch): Promise<void> {
  const reply = new StreamedReply()
  let kept = Buffer.alloc(0)
  for await (const chunk of body as AsyncIterable<Buffer>) {
    reply.push(chunk)
    kept = Buffer.concat([kept, chunk])
    const end = kept.indexOf('data: [DONE]')
    // What could be the beginning of the end is kept until more is known.
    const safe = end === -1 ? Math.max(0, kept.length - 'data: [DONE]'.length) : end
    if (safe > 0) out.write(kept.subarray(0, safe))
    kept = kept.subarray(safe)
  }
  const outcome = await watch.judge(reply.reply)
  out.write(commentOf(outcome))
  out.write(kept)
}

/** Nothing goes on before the verdict is there. */
async function holdWords(body: Readable, out: PassThrough, watch: ChatWatch, words: string): Promise<void> {
  const reply = new StreamedReply()
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) {
    reply.push(chunk)
    chunks.push(chunk)
  }
  const outcome = await watch.judge(reply.reply)
  out.write(commentOf(outcome))
  out.write(outcome.hold ? heldStream(reply.about, words) : Buffer.concat(chunks))
}

/** Requests below gabion's own prefix carry its key, so that none of them may reach the upstream. */
function refuseOwnPath({ method, params }: FastifyRequest): void {
  const path = `/${(params as { '*': string })['*']}`
  if (path === OWN_PREFIX || path.startsWith(`${OWN_PREFIX}/`)) {
    throw new GabionError('NOT_FOUND', `there is no ${method} ${path.slice(0, 100)}; see GET ${OWN_PREFIX}/openapi.json`)
  }
}

function passThrough(reply: FastifyReply, answer: Awaited<ReturnType<Upstream['send']>>): FastifyReply {
  return reply.code(answer.statusCode).headers(endToEnd(answer.headers)).send(answer.body)
}

function incoming({ method, url, headers, body }: FastifyRequest): Incoming {
  return { method, url, headers, body: Buffer.isBuffer(body) && body.length > 0 ? body : null }
}

function parsed(bytes: Buffer | null): unknown {
  try {
    return bytes === null ? null : (JSON.parse(bytes.toString()) as unknown)
  } catch {
    return null
  }
}

/** What the verdict says, in names that fit a header. */
function factsOf({ judged, failure, hold }: ReplyOutcome): Record<string, string> {
  if (judged === null) return failure === null ? {} : { 'x-gabion-error': failure }
  const { conversation, exchange, level, alert, likelihood } = judged
  return {
    'x-gabion-conversation': encodeURIComponent(conversation),
    'x-gabion-exchange': String(exchange),
    'x-gabion-level': level,
    'x-gabion-alert': String(alert),
    'x-gabion-likelihood': likelihood.toFixed(6),
    ...(hold && { 'x-gabion-held': 'true' }),
  }
}

/** A comment of the stream: every client of server-sent events passes over it. */
function commentOf(outcome: ReplyOutcome): string {
  return `: gabion ${JSON.stringify(factsOf(outcome))}\n\n`
}
