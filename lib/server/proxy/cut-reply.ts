// Owns one reply that may be cut: what came of it, what the client has got, what of it is judged, and how it ends. Knows no time.

import type { GatedEnd } from '../../monitor/stream/gated-stream.js'
import type { Reply } from '../../monitor/reply.js'
import { PieceGroup, type ReplyGate } from '../../monitor/stream/reply-gate.js'
import { DELIVERED, type Delivery } from './delivery.js'
import type { ChatProtocol, ReadCompletion, ReadRequest } from './protocols/protocol.js'
import { messageAfter } from './protocols/stream-parts.js'
import { MAX_JUDGED_BYTES } from './response.js'
import type { Frame } from './stream-frames.js'

/** Before the name of a reply: its calls. */
const CALLS = 'calls of '

/** A reply's frames, in and out. */
export class CutReply {
  readonly #protocol: ChatProtocol
  readonly #requested: ReadRequest
  readonly #message: string
  readonly #parts: ReturnType<ChatProtocol['stream']>
  /** What came, and what the client gets. */
  readonly #came: ReturnType<ChatProtocol['reader']>
  readonly #delivered: ReturnType<ChatProtocol['reader']>
  /** Frames with which a client takes the reply for finished. */
  readonly #last = new WeakSet<Frame>()
  /** Calls of tools that are not complete. */
  #calls: PieceGroup | null = null
  #size = 0
  /** The latest frame that the client got. */
  #latest: Frame | null = null

  /** @param message - the replacement message */
  constructor(protocol: ChatProtocol, requested: ReadRequest, message: string) {
    this.#protocol = protocol
    this.#requested = requested
    this.#message = message
    this.#parts = protocol.stream()
    this.#came = protocol.reader()
    this.#delivered = protocol.reader()
  }

  /** The client has got something that ends where a comment may follow. */
  get isAtBoundary(): boolean {
    return this.#latest?.isWhole === true
  }

  /** With this frame, or one before it, a client takes the reply for finished. */
  isLast(frame: Frame): boolean {
    return this.#last.has(frame)
  }

  /** Takes a frame that came, and adds it to the gate. Refuses with `failClosed` one that cannot be read. */
  add(gate: ReplyGate<Frame>, frame: Frame, failClosed: boolean): void {
    const { data, bytes } = frame
    this.#size += bytes.length
    if (data === null) {
      if (frame.isEnd || this.#parts.isOver) this.#last.add(frame)
      gate.add(frame, [], this.#calls)
      return
    }
    this.#came.part(data)
    const isTooLong = this.#size > MAX_JUDGED_BYTES
    if ((data === undefined || isTooLong) && failClosed) {
      gate.refuse()
      return
    }
    if (isTooLong && this.#calls !== null) gate.close(this.#calls, [])
    const { words, isCall, calls } = this.#parts.read(data)
    if (this.#parts.isOver) this.#last.add(frame)
    if (isCall) this.#calls ??= new PieceGroup()
    gate.add(frame, words, this.#calls)
    if (calls === null || this.#calls === null) return
    gate.close(
      this.#calls,
      // Read by themselves, as they are judged.
      calls.map(({ reply, text }) => ({ reply: `${CALLS}${reply}`, text: `${text}\n` })),
    )
    this.#calls = null
  }

  /** The bytes of a frame that the client gets. */
  deliver(frame: Frame): Buffer {
    this.#latest = frame
    if (frame.data !== null) this.#delivered.part(frame.data)
    if (frame.data !== null) this.#parts.passed(frame.data)
    return frame.bytes
  }

  /** What is judged: what came, or what the client got before it left. */
  judged({ stop, failure }: GatedEnd): [ReadCompletion, Delivery] {
    const delivered = this.#delivered.read()
    if (stop?.kind === 'aborted' && failure === null) return [delivered, DELIVERED]
    const came = this.#came.read()
    const isWhole = stop === null || stop.kind === 'aborted'
    const replacementOf = (text: string): string => {
      const passed = delivered.replies[came.replies.findIndex(({ words, calls }) => words === text || calls === text)]?.words ?? ''
      return passed + messageAfter(passed !== '', this.#message)
    }
    const why = isWhole ? {} : stop.kind === 'cut' ? { cutFor: stop.crossing.reasons } : { refusedFor: 'DEADLINE_EXCEEDED' as const }
    const replies = stop?.kind === 'cut' ? came.replies.map(crossingPart(stop.reply)) : came.replies
    return [
      { ...came, replies },
      { outcome: 'cut', replacementOf, ...why },
    ]
  }

  /** The end of a reply that is filtered, after what the client has got. */
  filtered(): string {
    const { info } = this.#came.read()
    return this.#parts.end({ ...info, model: info.model ?? this.#requested.model }, this.#message)
  }

  /** The end of a reply whose verdict is missing. */
  failed(code: string): string {
    return this.#protocol.failure(code, 'the reply could not be judged, or its verdict not stored', this.#parts.nextNumber)
  }
}

/** Of a reply that was cut, the words or the calls that crossed the line: the other part has raised no alert. */
function crossingPart(crossed: string): (reply: Reply) => Reply {
  return ({ words, calls }) => (crossed.startsWith(CALLS) ? { words: '', calls } : { words, calls: '' })
}
