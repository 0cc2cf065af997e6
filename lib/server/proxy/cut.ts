// Answers a watched request with a stream that is read while it passes, and ends it where the reply crosses the alert line. The end of a reply
// waits until its verdict is stored. Without a cut, bytes pass as they came.

import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { GabionError } from '../../errors.js'
import { gated, NOTHING_PASSED, type GatedEnd, type Gating } from '../../monitor/stream/gated-stream.js'
import { ReplyGate } from '../../monitor/stream/reply-gate.js'
import { decodeStream } from './content-coding.js'
import { CutReply } from './cut-reply.js'
import { within } from './observe.js'
import { commentOf, type Outcome } from './outcome.js'
import type { PolicyOptions } from './policy.js'
import type { WatchedResponse } from './response.js'
import { framesOf, type Frame } from './stream-frames.js'
import { endToEnd } from './upstream.js'

/** Bytes behind the end of a reply that are held; an upstream that sends more is broken. */
const MAX_HELD_BYTES = 1024 * 1024

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
  readonly #reply: CutReply
  /** The upstream has sent everything. */
  #hasCome = false

  constructor(watched: WatchedResponse, options: PolicyOptions) {
    this.#watched = watched
    this.#options = options
    this.#reply = new CutReply(watched.protocol, watched.requested, options.replacementMessage)
  }

  async *pass(frames: AsyncIterable<Frame>): AsyncGenerator<Buffer> {
    const { chatWatch, background } = this.#watched
    const held: Frame[] = []
    let heldBytes = 0
    let end: GatedEnd = NOTHING_PASSED
    let outcome: Promise<Outcome>
    try {
      for await (const frame of gated(this.#noted(frames), this.#gating(), (reached) => (end = reached))) {
        held.push(frame)
        heldBytes += frame.bytes.length
        if (this.#hasCome) continue
        if (this.#reply.isLast(frame)) refuseMore(heldBytes)
        else {
          heldBytes = 0
          for (const passed of held.splice(0)) yield this.#reply.deliver(passed)
        }
      }
    } catch (error) {
      // What came before the upstream failed is judged and passes before the failure does.
      if (end.failure === null) throw error
    } finally {
      if (end.unread > 0) chatWatch.passedUnread()
      outcome = chatWatch.judge(...this.#reply.judged(end))
      background(outcome)
    }
    if (end.stop !== null && end.stop.kind !== 'aborted') yield* this.#stopped(outcome)
    else {
      yield* this.#finished(held, await outcome)
      if (end.failure !== null) throw end.failure.error
    }
  }

  /** Ends a stream that was cut or refused. It does not depend on the verdict, which is reported if it comes soon. */
  async *#stopped(outcome: Promise<Outcome>): AsyncGenerator<Buffer> {
    this.#watched.response.body.on('error', () => undefined).destroy()
    yield Buffer.from(this.#reply.filtered())
    const judged = await within(this.#options.verdictWaitMs, outcome)
    if (judged !== null) yield* this.#comment(judged)
  }

  /** Ends a stream that came whole: with its own end, or as its verdict has it. A frame that is not whole comes last, and is held. */
  *#finished(held: readonly Frame[], outcome: Outcome): Generator<Buffer> {
    if (outcome.blocked) yield Buffer.from(outcome.missing ? this.#reply.failed(outcome.failure ?? 'INTERNAL') : this.#reply.filtered())
    else for (const frame of held) yield this.#reply.deliver(frame)
    if (outcome.blocked || this.#reply.isAtBoundary) yield* this.#comment(outcome)
  }

  *#comment(outcome: Outcome): Generator<Buffer> {
    const comment = this.#watched.protocol.framing === 'events' && this.#options.comments ? commentOf(outcome) : ''
    if (comment !== '') yield Buffer.from(comment)
  }

  #gating(): Gating<Frame> {
    const { chatWatch } = this.#watched
    const { lag, failClosed } = this.#options
    return {
      gate: (pass, changed) => new ReplyGate(() => chatWatch.beginReply(), { ...lag, failClosed }, pass, changed),
      add: (gate, frame) => this.#reply.add(gate, frame, failClosed),
      sizeOf: ({ bytes }) => bytes.length,
    }
  }

  async *#noted(frames: AsyncIterable<Frame>): AsyncGenerator<Frame> {
    try {
      yield* frames
    } finally {
      this.#hasCome = true
    }
  }
}

/** @throws GabionError `UPSTREAM_FAILED` */
function refuseMore(heldBytes: number): void {
  if (heldBytes <= MAX_HELD_BYTES) return
  throw new GabionError('UPSTREAM_FAILED', `the upstream sent more than ${MAX_HELD_BYTES} bytes behind the end of a reply`)
}
