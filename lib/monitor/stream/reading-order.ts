// Owns the order in which replies are read while they are written, where more are due than the encoder runs at once: those of which nothing has
// been read go first, so that the first words of a stream do not wait for the readings of all others.

import { GabionError } from '../../errors.js'
import type { LineCrossing, ReplyReading, ReplyWindow } from '../../detection/reply-reading.js'

/** Readings beyond the encoder's threads that are in its queue, so that no thread waits for the event loop. */
const QUEUED = 1

/** The order of all readings by one encoder. */
export class ReadingOrder {
  readonly #atOnce: number
  readonly #first: (() => void)[] = []
  readonly #later: (() => void)[] = []
  #running = 0

  /** @param threads - of the encoder */
  constructor(threads: number) {
    this.#atOnce = threads + QUEUED
  }

  /** Reads when nothing is before it. */
  async run<T>(isFirst: boolean, read: () => Promise<T>): Promise<T> {
    if (this.#running < this.#atOnce) this.#running++
    else await new Promise<void>((resolve) => (isFirst ? this.#first : this.#later).push(resolve))
    try {
      return await read()
    } finally {
      // Its place passes to the next one.
      const next = this.#first.shift() ?? this.#later.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}

/** A reading in that order. */
export class OrderedReading implements ReplyReading {
  readonly #reading: ReplyReading
  readonly #order: ReadingOrder
  #isFirst = true

  constructor(reading: ReplyReading, order: ReadingOrder) {
    this.#reading = reading
    this.#order = order
  }

  async read(windows: readonly ReplyWindow[], signal?: AbortSignal): Promise<LineCrossing | null> {
    return this.#order.run(this.#isFirst, async () => {
      if (signal?.aborted === true) throw new GabionError('ABORTED', 'the reply is not read any more', { cause: signal.reason })
      const crossing = await this.#reading.read(windows, signal)
      this.#isFirst = false
      return crossing
    })
  }
}
