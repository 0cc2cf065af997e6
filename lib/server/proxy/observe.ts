// Answers a watched request without holding anything back: bytes pass as they come, and are judged when the last one has passed, the client
// has left or the upstream has broken off.

import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { accepts, decodeBody, decodeStream } from './content-coding.js'
import { commentOf, headersOf, verdictHeaders, VERDICT_HEADERS, type Outcome } from './outcome.js'
import type { PolicyOptions } from './policy.js'
import { parseJson, UNREADABLE, type ReadCompletion } from './protocols/protocol.js'
import { formatOf, MAX_JUDGED_BYTES, streamReader, unchangedHeaders, type WatchedResponse } from './response.js'
import { endToEnd } from './upstream.js'

/** Sends a response as it comes. `latest` is the verdict on an earlier exchange, and not awaited. */
export async function observe(
  watched: WatchedResponse,
  options: PolicyOptions,
  latest: Promise<ExchangeVerdict | null>,
): Promise<FastifyReply> {
  const { reply, response, protocol, headers } = watched
  const format = formatOf(response)
  const encoding = response.headers['content-encoding']
  const streamed = format === 'events' || format === 'lines'
  // A comment cannot be added to compressed bytes.
  const decode = encoding !== undefined && format !== null && (streamed || !accepts(headers['accept-encoding'], encoding))
  const body = decode ? decodeStream(response.body, encoding) : response.body
  const observed = new Observed(streamed ? new StreamBody(streamReader(protocol, format)) : new WholeBody(watched, decode), watched)
  const wantsTrailers = /(^|,)\s*trailers\s*(;|,|$)/i.test(String(headers.te ?? ''))
  reply.code(response.statusCode).headers(decode || wantsTrailers ? endToEnd(response.headers) : unchangedHeaders(response))
  if (decode) reply.removeHeader('content-encoding')
  if (streamed) reply.header('x-accel-buffering', 'no')
  const before = await Promise.race([latest, Promise.resolve(null)])
  if (before !== null) reply.headers(verdictHeaders(before))
  if (wantsTrailers) {
    for (const name of VERDICT_HEADERS) {
      reply.trailer(name, async () => headersOf((await observed.outcome) ?? NOT_JUDGED)[name] ?? '')
    }
  }
  const comment = format === 'events' && options.comments ? options.verdictWaitMs : null
  return reply.send(Readable.from(observed.pass(body as AsyncIterable<Buffer>, comment), { objectMode: false }))
}

const NOT_JUDGED: Outcome = { verdict: null, failure: null, missing: false, blocked: false }

/** Reads a body while it passes. */
interface ObservedBody {
  push(chunk: Buffer): void
  /** True if the body ended at an event's boundary. */
  finish(): boolean
  read(): Promise<ReadCompletion>
}

/** A body that passes, and the outcome of judging what passed. */
class Observed {
  /** Null until the body has ended. */
  readonly outcome: Promise<Outcome | null>
  readonly #body: ObservedBody
  readonly #watched: WatchedResponse
  #judge: () => void = () => undefined

  constructor(body: ObservedBody, watched: WatchedResponse) {
    this.#body = body
    this.#watched = watched
    this.outcome = new Promise((resolve) => {
      this.#judge = (): void => resolve(body.read().then((read) => watched.chatWatch.judge(read)))
    })
  }

  /**
   * Passes all chunks on. After the last complete event of an event stream it waits at most `commentMs` for the verdict and adds it as
   * a comment; null adds none. However the pass ends, what has passed is judged.
   */
  async *pass(body: AsyncIterable<Buffer>, commentMs: number | null): AsyncGenerator<Buffer> {
    let atBoundary: boolean
    try {
      for await (const chunk of body) {
        this.#body.push(chunk)
        yield chunk
      }
    } finally {
      atBoundary = this.#body.finish()
      this.#judge()
      this.#watched.background(this.outcome)
    }
    if (commentMs === null || !atBoundary) return
    const outcome = await within(commentMs, this.outcome)
    const comment = outcome === null ? '' : commentOf(outcome)
    if (comment !== '') yield Buffer.from(comment)
  }
}

class StreamBody implements ObservedBody {
  readonly #reader: ReturnType<typeof streamReader>

  constructor(reader: ReturnType<typeof streamReader>) {
    this.#reader = reader
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk)
  }

  finish(): boolean {
    return this.#reader.finish()
  }

  read(): Promise<ReadCompletion> {
    return Promise.resolve(this.#reader.read())
  }
}

class WholeBody implements ObservedBody {
  readonly #watched: WatchedResponse
  readonly #decoded: boolean
  #chunks: Buffer[] = []
  #length = 0

  /** @param decoded - the chunks are decoded already */
  constructor(watched: WatchedResponse, decoded: boolean) {
    this.#watched = watched
    this.#decoded = decoded
  }

  push(chunk: Buffer): void {
    this.#length += chunk.length
    if (this.#length <= MAX_JUDGED_BYTES) this.#chunks.push(chunk)
    else this.#chunks = []
  }

  finish(): boolean {
    return false
  }

  async read(): Promise<ReadCompletion> {
    const { response, protocol } = this.#watched
    if (formatOf(response) === null || this.#length > MAX_JUDGED_BYTES) return UNREADABLE
    const bytes = await decodeBody(
      Buffer.concat(this.#chunks),
      this.#decoded ? undefined : response.headers['content-encoding'],
      MAX_JUDGED_BYTES,
    )
    if (bytes === null) return UNREADABLE
    const reader = protocol.reader()
    reader.whole(parseJson(bytes.toString()))
    return reader.read()
  }
}

/** A promise's value if it settles in time, else null. */
export async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
