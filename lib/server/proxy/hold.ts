// Answers a watched request after its whole response is judged: with the response as it came, or with the replacement message.

import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { GabionError } from '../../errors.js'
import { toPublicFailure } from '../status.js'
import { accepts, decodeBody } from './content-coding.js'
import { within } from './observe.js'
import { commentOf, headersOf, type Outcome } from './outcome.js'
import type { PolicyOptions } from './policy.js'
import { parseJson, UNREADABLE, type ReadCompletion } from './protocols/protocol.js'
import { formatOf, MAX_JUDGED_BYTES, passThrough, streamReader, unchangedHeaders, type WatchedResponse } from './response.js'
import { endToEnd } from './upstream.js'

/** A judged response: what came, and what is sent. */
interface Held {
  readonly outcome: Outcome
  /** As it came. */
  readonly raw: Buffer
  /** Without its encoding; null if it could not be decoded. */
  readonly decoded: Buffer | null
  /** In place of a blocked response. */
  readonly replacement: Buffer
}

/** Collects, judges and answers. */
export async function hold(watched: WatchedResponse, options: PolicyOptions): Promise<FastifyReply> {
  const { reply, response, chatWatch } = watched
  const format = formatOf(response)
  if (format === null) {
    const outcome = await chatWatch.judge(UNREADABLE)
    if (!outcome.blocked) return passThrough(reply, response, headersOf(outcome))
    response.body.on('error', () => undefined).destroy()
    return sendHeld(watched, { outcome, ...replacementOf(watched, options, UNREADABLE, undefined), raw: Buffer.alloc(0), decoded: null })
  }
  const held = collect(watched, options, format)
  if (format !== 'events' || !options.comments) return sendHeld(watched, await held)
  // Handled below or by the stream; until then a rejection must not count as unhandled.
  held.catch(() => undefined)
  const soon = await within(options.keepAliveMs, held)
  if (soon !== null) return sendHeld(watched, soon, commentOf(soon.outcome))
  return reply
    .code(response.statusCode)
    .headers(withoutBodyHeaders(watched))
    .header('content-type', 'text/event-stream; charset=utf-8')
    .header('x-accel-buffering', 'no')
    .send(Readable.from(keptOpen(watched, held, options.keepAliveMs), { objectMode: false }))
}

/** Comments until the verdict, so that nothing between closes the idle connection; then the response. */
async function* keptOpen({ protocol }: WatchedResponse, held: Promise<Held>, keepAliveMs: number): AsyncGenerator<Buffer> {
  try {
    for (;;) {
      yield Buffer.from(': gabion is judging\n\n')
      const done = await within(keepAliveMs, held)
      if (done === null) continue
      yield Buffer.from(commentOf(done.outcome))
      yield done.outcome.blocked ? done.replacement : (done.decoded ?? done.raw)
      return
    }
  } catch (error) {
    const { code, message } = toPublicFailure(error)
    yield Buffer.from(protocol.failure(code, message))
  }
}

async function collect(watched: WatchedResponse, options: PolicyOptions, format: 'json' | 'events' | 'lines'): Promise<Held> {
  const { response, protocol, chatWatch } = watched
  const raw = await bytesOf(watched)
  const decoded = await decodeBody(raw, response.headers['content-encoding'], MAX_JUDGED_BYTES)
  const body = format === 'json' && decoded !== null ? parseJson(decoded.toString()) : undefined
  const read = decoded === null ? UNREADABLE : format === 'json' ? readWhole(watched, body) : readStream(decoded)
  const outcome = await chatWatch.judge(read)
  return { outcome, raw, decoded, ...replacementOf(watched, options, read, body) }

  function readStream(bytes: Buffer): ReadCompletion {
    const reader = streamReader(protocol, format as 'events' | 'lines')
    reader.push(bytes)
    reader.finish()
    return reader.read()
  }
}

function readWhole({ protocol }: WatchedResponse, body: unknown): ReadCompletion {
  const reader = protocol.reader()
  reader.whole(body)
  return reader.read()
}

/** @throws GabionError `UPSTREAM_FAILED` when the upstream aborts the response, `ABORTED` when the client leaves */
async function bytesOf({ response, signal }: WatchedResponse): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > MAX_JUDGED_BYTES) break
      chunks.push(chunk)
    }
  } catch (cause) {
    if (signal.aborted) throw new GabionError('ABORTED', 'the client disconnected', { cause: signal.reason })
    throw new GabionError('UPSTREAM_FAILED', `the upstream aborted its response: ${(cause as Error).message}`, { cause })
  }
  if (length > MAX_JUDGED_BYTES) {
    throw new GabionError('UPSTREAM_FAILED', `the upstream's response is longer than ${MAX_JUDGED_BYTES} bytes and cannot be judged`)
  }
  return Buffer.concat(chunks)
}

function replacementOf(
  { protocol, requested }: WatchedResponse,
  { replacementMessage }: PolicyOptions,
  { info }: ReadCompletion,
  body: unknown,
): { replacement: Buffer } {
  const about = { ...info, model: info.model ?? requested.model }
  const text = requested.stream
    ? protocol.replacementStream(about, replacementMessage)
    : JSON.stringify(protocol.replacement(about, replacementMessage, body))
  return { replacement: Buffer.from(text) }
}

function sendHeld(watched: WatchedResponse, { outcome, raw, decoded, replacement }: Held, comment = ''): FastifyReply {
  const { reply, response, requested, protocol, headers } = watched
  reply.code(outcome.blocked ? 200 : response.statusCode).headers(headersOf(outcome))
  if (outcome.blocked) {
    const type = !requested.stream ? 'application/json' : protocol.framing === 'events' ? 'text/event-stream' : 'application/x-ndjson'
    reply.headers(withoutBodyHeaders(watched)).header('content-type', `${type}; charset=utf-8`)
    if (requested.stream) reply.header('x-accel-buffering', 'no')
    return reply.send(Buffer.concat([Buffer.from(requested.stream ? comment : ''), replacement]))
  }
  if (decoded === null || accepts(headers['accept-encoding'], response.headers['content-encoding'])) {
    return reply.headers(unchangedHeaders(response)).send(raw)
  }
  reply.headers(endToEnd(response.headers)).removeHeader('content-encoding')
  return reply.send(decoded)
}

const BODY_HEADERS = new Set([
  'content-encoding',
  'content-type',
  'etag',
  'content-md5',
  'digest',
  'content-digest',
  'repr-digest',
  'accept-ranges',
])

/** The headers of a response without those that describe its body. */
function withoutBodyHeaders({ response }: WatchedResponse): Record<string, string | string[]> {
  return Object.fromEntries(Object.entries(endToEnd(response.headers)).filter(([name]) => !BODY_HEADERS.has(name)))
}
