// Answers a watched request with a stream that is read while it passes, and ends it where the reply crosses the alert line. Without a cut,
// bytes pass as they came.

import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { gated, NOTHING_PASSED, type GatedEnd, type Gating } from '../../monitor/stream/gated-stream.js'
import { PieceGroup, ReplyGate } from '../../monitor/stream/reply-gate.js'
import { DELIVERED, type Delivery, type Outcome } from './chat-watch.js'
import { decodeStream } from './content-coding.js'
import { within } from './observe.js'
import { commentOf } from './outcome.js'
import type { PolicyOptions } from './policy.js'
import type { ReadCompletion } from './protocols/protocol.js'
import { messageAfter, wordsOfCall } from './protocols/stream-parts.js'
import { MAX_JUDGED_BYTES, type WatchedResponse } from './response.js'
import { framesOf, type Frame } from './stream-frames.js'
import { endToEnd } from './upstream.js'

/** Sends a stream as far as it may pass. */
export function cut(watched: WatchedResponse, options: PolicyOptions, format: 'events' | 'lines'): FastifyReply {
  const { reply, response } = watched
  const body = decodeStream(response.body, response.headers['content-encoding'])
  reply.code(response.statusCode).headers(endToEnd(response.headers)).removeHeader('content-encoding').header('x-accel-buffering', 'no')
  const stream = new CutStream(watched, options)
  return reply.send(Readable.from(stream.pass(framesOf(body as AsyncIterable<Buffer>, format)), { objectMode: false }))
}

/** One stream on its way. */
class CutStream {
  readonly #watched: WatchedResponse
  readonly #options: PolicyOptions
  readonly #parts: ReturnType<WatchedResponse['protocol']['stream']>
  /** What came, and what the client gets. */
  readonly #came: ReturnType<WatchedResponse['protocol']['reader']>
  readonly #delivered: ReturnType<WatchedResponse['protocol']['reader']>
  /** Calls of tools that are not complete. */
  #calls: PieceGroup | null = null
  #wordsOfCalls = ''
  #size = 0
  #isWhole = false

  constructor(watched: WatchedResponse, options: PolicyOptions) {
    const { protocol } = watched
    this.#watched = watched
    this.#options = options
    this.#parts = protocol.stream()
    this.#came = protocol.reader()
    this.#delivered = protocol.reader()
  }

  async *pass(frames: AsyncIterable<Frame>): AsyncGenerator<Buffer> {
    const { chatWatch, background, response } = this.#watched
    let end: GatedEnd = NOTHING_PASSED
    let outcome: Promise<Outcome>
    try {
      for await (const { bytes, data, isWhole } of gated(frames, this.#gating(), (reached) => (end = reached))) {
        this.#isWhole = isWhole
        if (data !== null) this.#delivered.part(data)
        if (data !== null) this.#parts.passed(data)
        yield bytes
      }
    } finally {
      if (end.unread > 0) chatWatch.passedUnread()
      const [read, delivery] = this.#judged(end)
      outcome = chatWatch.judge(read, delivery)
      background(outcome)
    }
    if (end.stop !== null) {
      response.body.on('error', () => undefined).destroy()
      yield Buffer.from(this.#ending())
    }
    if (this.#watched.protocol.framing === 'lines' || !this.#options.comments || (end.stop === null && !this.#isWhole)) return
    const judged = await within(this.#options.verdictWaitMs, outcome)
    if (judged !== null) yield Buffer.from(commentOf(judged))
  }

  #gating(): Gating<Frame> {
    const { chatWatch } = this.#watched
    const limits = { ...this.#options.lag, failClosed: this.#options.failClosed }
    return {
      gate: (pass, changed) => new ReplyGate(() => chatWatch.beginReply(), limits, pass, changed),
      add: (gate, frame) => this.#add(gate, frame),
      sizeOf: ({ bytes }) => bytes.length,
    }
  }

  #add(gate: ReplyGate<Frame>, frame: Frame): void {
    const { data, bytes } = frame
    this.#size += bytes.length
    if (data === null) {
      gate.add(frame, [], this.#calls)
      return
    }
    this.#came.part(data)
    const isTooLong = this.#size > MAX_JUDGED_BYTES
    if ((data === undefined || isTooLong) && this.#options.failClosed) {
      gate.refuse()
      return
    }
    if (isTooLong && this.#calls !== null) gate.close(this.#calls, [])
    const { words, isCall, calls } = this.#parts.read(data)
    if (isCall) this.#calls ??= new PieceGroup()
    gate.add(frame, words, this.#calls)
    if (calls === null || this.#calls === null) return
    const said = calls.map(wordsOfCall).join('\n')
    this.#wordsOfCalls += said
    gate.close(this.#calls, [{ reply: words[0]?.reply ?? '', text: said === '' ? '' : `\n${said}` }])
    this.#calls = null
  }

  /** What is judged: what passed, or what came of a reply that was ended. */
  #judged({ stop }: GatedEnd): [ReadCompletion, Delivery] {
    const delivered = this.#delivered.read()
    if (stop === null || stop.kind === 'aborted') return [delivered, DELIVERED]
    const came = this.#came.read()
    const replies = came.replies.map((text) => (text.trim() === '' ? this.#wordsOfCalls : text))
    const replacementOf = (reply: string): string => {
      const passed = delivered.replies[replies.indexOf(reply)] ?? ''
      return passed + messageAfter(passed !== '', this.#options.replacementMessage)
    }
    const why = stop.kind === 'cut' ? { cutFor: stop.crossing.reasons } : { refusedFor: 'DEADLINE_EXCEEDED' as const }
    return [
      { ...came, replies },
      { outcome: 'cut', replacementOf, ...why },
    ]
  }

  #ending(): string {
    const { requested } = this.#watched
    const { info } = this.#came.read()
    return this.#parts.end({ ...info, model: info.model ?? requested.model }, this.#options.replacementMessage)
  }
}
