// What both ways of answering a watched request share: formats of responses, and passing one through.

import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { ChatWatch } from './chat-watch.js'
import { canDecode } from './content-coding.js'
import type { ChatProtocol, ReadRequest } from './protocols/protocol.js'
import { EventReader, LineReader, type StreamReader } from './stream-reader.js'
import { endToEnd, type UpstreamResponse } from './upstream.js'

/** Bytes of a response that are kept for judging: a longer one passes, and counts as not judged. */
export const MAX_JUDGED_BYTES = 64 * 1024 * 1024

/** A successful response to a watched request. */
export interface WatchedResponse {
  readonly reply: FastifyReply
  readonly response: UpstreamResponse
  readonly protocol: ChatProtocol
  readonly requested: ReadRequest
  readonly chatWatch: ChatWatch
  /** Of the request. */
  readonly headers: IncomingHttpHeaders
  /** Fires when the client leaves. */
  readonly signal: AbortSignal
  /** Runs work that the client does not wait for. */
  readonly background: (work: Promise<unknown>) => void
}

/** Format of a response by its headers; null for one that cannot be read. */
export function formatOf({ headers }: UpstreamResponse): 'json' | 'events' | 'lines' | null {
  if (!canDecode(headers['content-encoding'])) return null
  const type = String(headers['content-type'] ?? '')
    .split(';')[0]!
    .trim()
    .toLowerCase()
  if (type === 'text/event-stream') return 'events'
  if (/^application\/(x-)?(ndjson|jsonl|json-lines|jsonlines)$/.test(type)) return 'lines'
  return /[/+]json$/.test(type) ? 'json' : null
}

/** A reader for the response's stream. */
export function streamReader(protocol: ChatProtocol, format: 'events' | 'lines'): StreamReader {
  return format === 'events' ? new EventReader(protocol.reader()) : new LineReader(protocol.reader())
}

/** Passes a response through as it came. */
export function passThrough(reply: FastifyReply, response: UpstreamResponse, extraHeaders: Record<string, string> = {}): FastifyReply {
  return reply.code(response.statusCode).headers(unchangedHeaders(response)).headers(extraHeaders).send(response.body)
}

/** The headers of a response whose body is sent as it came. */
export function unchangedHeaders({ headers }: UpstreamResponse): Record<string, string | string[]> {
  const length = headers['content-length']
  return { ...endToEnd(headers), ...(length !== undefined && { 'content-length': length }) }
}
