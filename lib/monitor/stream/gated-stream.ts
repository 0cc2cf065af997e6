// Owns the way of a stream's pieces through a gate, with back pressure: pieces in, those that pass out.

import type { GateStop, ReplyGate } from './reply-gate.js'

/** Size of the pieces in the gate beyond which the source is not read, unless the gate waits for the rest of a group. */
const MAX_WAITING_SIZE = 256 * 1024

/** How pieces go through a gate. */
export interface Gating<Piece> {
  /** Makes the gate; `pass` and `changed` are its arguments. */
  readonly gate: (pass: (piece: Piece) => void, changed: () => void) => ReplyGate<Piece>
  /** Adds a piece with its words to the gate. */
  readonly add: (gate: ReplyGate<Piece>, piece: Piece) => void
  readonly sizeOf: (piece: Piece) => number
}

/** How a stream ended. */
export interface GatedEnd {
  /** Null if everything passed. */
  readonly stop: GateStop | null
  /** Characters that passed, and those of them that passed unread. */
  readonly passed: number
  readonly unread: number
  /** What the source threw, if everything that came before has passed; else null. */
  readonly failure: { readonly error: unknown } | null
}

/** The end of a stream that did not begin. */
export const NOTHING_PASSED: GatedEnd = { stop: { kind: 'aborted' }, passed: 0, unread: 0, failure: null }

/**
 * The pieces of a source that pass. Ends when the gate stops, and then ends the source; what the source throws is thrown after all that
 * came before.
 *
 * @param ended - called at the end, however it comes
 */
export async function* gated<Piece>(
  source: AsyncIterable<Piece>,
  gating: Gating<Piece>,
  ended: (end: GatedEnd) => void,
): AsyncGenerator<Piece> {
  const passage = new Passage(source, gating)
  let hasEnded = false
  try {
    for (;;) {
      const changed = passage.changed()
      passage.feed()
      const pieces = passage.takePassed()
      yield* pieces
      if (pieces.length > 0) continue
      if (passage.gate.stop !== null || passage.isOver) break
      await changed
    }
    hasEnded = true
    passage.rethrow()
  } finally {
    ended(passage.end(hasEnded))
  }
}

/** A source that is read one piece ahead, and its gate. */
class Passage<Piece> {
  readonly gate: ReplyGate<Piece>
  readonly #gating: Gating<Piece>
  readonly #source: AsyncIterator<Piece>
  #passed: Piece[] = []
  #waitingSize = 0
  #isReading = false
  #came: IteratorResult<Piece> | null = null
  #ended = false
  #failure: { readonly error: unknown } | null = null
  #wake = (): void => undefined

  constructor(source: AsyncIterable<Piece>, gating: Gating<Piece>) {
    this.#gating = gating
    this.#source = source[Symbol.asyncIterator]()
    const pass = (piece: Piece): void => {
      this.#passed.push(piece)
      this.#waitingSize -= gating.sizeOf(piece)
    }
    this.gate = gating.gate(pass, () => this.#wake())
  }

  /** Resolves after the next change. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  /** The source has ended, and everything has passed. */
  get isOver(): boolean {
    return this.#ended && this.gate.isEmpty && this.#passed.length === 0
  }

  /** Adds what came to the gate, and asks the source for more. */
  feed(): void {
    const came = this.#came
    this.#came = null
    if (came !== null && came.done !== true) {
      this.#waitingSize += this.#gating.sizeOf(came.value)
      this.#gating.add(this.gate, came.value)
    }
    const hasRoom = this.#waitingSize <= MAX_WAITING_SIZE || this.gate.waitsForGroup
    if (!this.#isReading && !this.#ended && this.gate.stop === null && hasRoom) void this.#read()
  }

  takePassed(): readonly Piece[] {
    const passed = this.#passed
    this.#passed = []
    return passed
  }

  rethrow(): void {
    if (this.#failure !== null) throw this.#failure.error
  }

  /** @param hasEnded - the consumer has got everything that passed; else it left before */
  end(hasEnded: boolean): GatedEnd {
    if (!hasEnded || this.#failure !== null) this.gate.abort()
    if (!this.#ended) {
      this.#ended = true
      // Not awaited: a source that waits for its next piece ends after it.
      this.#source.return?.().catch(() => undefined)
    }
    const { stop, passed, unread } = this.gate
    // A reading of what has passed already is not wanted any more.
    this.gate.abort()
    return { stop, passed, unread, failure: hasEnded ? this.#failure : null }
  }

  async #read(): Promise<void> {
    this.#isReading = true
    try {
      const result = await this.#source.next()
      if (result.done === true) this.#finish()
      else this.#came = result
    } catch (error) {
      this.#failure = { error }
      this.#finish()
    }
    this.#isReading = false
    this.#wake()
  }

  #finish(): void {
    this.#ended = true
    this.gate.finish()
  }
}
