// Owns the guard of one streamed reply in a monitored conversation: text that has been read passes, and the finished reply becomes an exchange.

import type { DetectorVerdict, ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError, wrongType } from '../../errors.js'
import { checkBoolean, checkInteger, checkOptions, checkString, invalidArgument } from '../../options.js'
import { Conversation } from '../conversation.js'
import { gated, NOTHING_PASSED, type GatedEnd, type Gating } from './gated-stream.js'
import { GATE_LIMITS, ReplyGate, type GateLimits, type GateStop } from './reply-gate.js'

/** Options of {@link StreamGuard}. */
export interface StreamGuardOptions extends Partial<GateLimits> {
  /** Id of the exchange, copied to the verdict. */
  exchangeId?: string
}

/** How a guarded stream ended. */
export interface StreamGuardResult<Verdict extends DetectorVerdict = DetectorVerdict> {
  /**
   * `finished`: everything passed. `cut`: the reply crossed the alert line; what was held back is dropped. `refused`: text could not be read
   * in time, with `failClosed`. `aborted`: the consumer left, or the source failed.
   */
  readonly outcome: 'finished' | 'cut' | 'refused' | 'aborted'
  /** The reply as far as it came. */
  readonly reply: string
  /** Characters that passed. */
  readonly passed: number
  /** Characters that passed unread, since reading was behind. */
  readonly unread: number
  /** Why the stream was cut, as sentences for a person; else empty. */
  readonly reasons: readonly string[]
  /**
   * The verdict on the exchange, which the conversation continues from: on the whole reply, the same as without a stream; on what came of a
   * reply that was cut or refused; on what passed of one that was aborted. Null for an aborted stream of which nothing passed.
   */
  readonly verdict: ExchangeVerdict<Verdict> | null
}

/**
 * Reads one reply while it is being written: its text passes with a lag, once the reply so far has been read without crossing the alert
 * line. With the guard, that is its line for `breaks` or `unsafe`; with another detector, an alert for what was read, as if it were the
 * whole reply.
 */
export class StreamGuard<Verdict extends DetectorVerdict = DetectorVerdict> {
  /** Fires when no more text is wanted: give it to the model's client, so that it stops writing. */
  readonly signal: AbortSignal
  /** Settles after the stream's end; rejects if the exchange could not be judged. */
  readonly result: Promise<StreamGuardResult<Verdict>>
  readonly #conversation: Conversation<unknown, Verdict>
  readonly #user: string
  readonly #limits: GateLimits
  readonly #exchangeId: string | undefined
  readonly #abort = new AbortController()
  #resolve: (result: Promise<StreamGuardResult<Verdict>>) => void = () => undefined
  #isUsed = false

  /**
   * @param conversation - what the reply continues; its instructions apply
   * @param user - the message that is replied to
   * @throws GabionError `INVALID_ARGUMENT`
   */
  constructor(conversation: Conversation<unknown, Verdict>, user: string, options?: StreamGuardOptions) {
    if (!(conversation instanceof Conversation)) throw invalidArgument('conversation', 'a Conversation', conversation)
    const { exchangeId, ...limits } = checkOptions('options', options, ['exchangeId', 'lagTokens', 'lagMs', 'maxLagMs', 'failClosed'])
    this.#conversation = conversation
    this.#user = checkString('user', user)
    this.#exchangeId = exchangeId === undefined ? undefined : checkString('exchangeId', exchangeId)
    this.#limits = checkLimits({ ...GATE_LIMITS, ...limits })
    this.signal = this.#abort.signal
    this.result = new Promise((resolve) => {
      this.#resolve = resolve
    })
    // Whoever does not ask for the result need not handle its rejection.
    this.result.catch(() => undefined)
  }

  /**
   * The text that passes of a stream of text. Ends early if the stream is cut or refused, and then ends the source; {@link result} says how
   * it ended.
   *
   * @throws GabionError `INVALID_ARGUMENT` for a second stream, and what the source throws
   */
  async *pass(deltas: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
    if (this.#isUsed) throw wrongType('a StreamGuard reads one reply: make another one for the next')
    this.#isUsed = true
    let reply = ''
    let passed = ''
    let end: GatedEnd = NOTHING_PASSED
    const begin = (): ReturnType<Conversation['beginReply']> => this.#conversation.beginReply(this.#user)
    const gating: Gating<string> = {
      gate: (pass, changed) => new ReplyGate(begin, this.#limits, pass, changed),
      add: (gate, delta) => {
        reply += checkString('a delta', delta)
        gate.add(delta, [{ reply: '', text: delta }])
      },
      sizeOf: (delta) => delta.length,
    }
    try {
      for await (const delta of gated(deltas, gating, (reached) => (end = reached))) {
        passed += delta
        yield delta
      }
    } finally {
      const { stop, unread } = end
      if (stop !== null) this.#abort.abort()
      this.#resolve(this.#finish(stop, stop?.kind === 'aborted' ? passed : reply, { passed: passed.length, unread }))
    }
  }

  /** A transform of a stream of text, for `pipeThrough`. */
  transform(): { readonly readable: ReadableStream<string>; readonly writable: WritableStream<string> } {
    let source: TransformStreamDefaultController<string> | undefined
    const { readable, writable } = new TransformStream<string, string>({ start: (controller) => void (source = controller) })
    const passing = this.pass(readable)
    // A consumer that cancels does not wait for the next text: the source may be silent.
    const cancel = (): Promise<IteratorResult<string, void>> => {
      source?.error(new GabionError('ABORTED', 'the consumer of the stream left'))
      return passing.return()
    }
    const passed = { next: () => passing.next(), return: cancel, [Symbol.asyncIterator]: () => passed }
    return { readable: ReadableStream.from(passed), writable }
  }

  async #finish(
    stop: GateStop | null,
    reply: string,
    counts: { readonly passed: number; readonly unread: number },
  ): Promise<StreamGuardResult<Verdict>> {
    const outcome = stop?.kind ?? 'finished'
    const reasons = stop?.kind === 'cut' ? stop.crossing.reasons : []
    const options = this.#exchangeId === undefined ? {} : { exchangeId: this.#exchangeId }
    const verdict =
      outcome === 'aborted' && reply === '' ? null : await this.#conversation.addExchange({ user: this.#user, assistant: reply }, options)
    return { outcome, reply, ...counts, reasons, verdict }
  }
}

/** @throws GabionError `INVALID_ARGUMENT` */
export function checkLimits({ lagTokens, lagMs, maxLagMs, failClosed }: GateLimits): GateLimits {
  checkInteger('lagTokens', lagTokens, 1)
  checkInteger('lagMs', lagMs, 1)
  checkInteger('maxLagMs', maxLagMs, lagMs)
  checkBoolean('failClosed', failClosed)
  return { lagTokens, lagMs, maxLagMs, failClosed }
}
