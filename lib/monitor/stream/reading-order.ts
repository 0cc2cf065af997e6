// Owns the order in which replies are read while they are written, where more are due than the encoder runs at once: those of which nothing has
// been read go first, so that the first words of a stream do not wait for the readings of all others.

import { onAbort } from '../../abort.js'
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

  /** Reads when nothing is before it. An abort rejects at once and gives the place away, also where the reading itself never ends. */
  async run<T>(isFirst: boolean, read: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (!(await this.#place(isFirst ? this.#first : this.#later, signal))) throw notWanted(signal)
    try {
      if (signal?.aborted === true) throw notWanted(signal)
      return await unlessAborted(read(), signal)
    } finally {
      // Its place passes to the next one.
      const next = this.#first.shift() ?? this.#later.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }

  /** Waits for a place; false for a reading that left the queue, since it is not wanted any more. */
  async #place(queue: (() => void)[], signal: AbortSignal | undefined): Promise<boolean> {
    if (signal?.aborted === true) return false
    if (this.#running < this.#atOnce) {
      this.#running++
      return true
    }
    return new Promise((resolve) => {
      const enter = (): void => {
        endWait()
        resolve(true)
      }
      const leave = (): void => {
        queue.splice(queue.indexOf(enter), 1)
        resolve(false)
      }
      queue.push(enter)
      const endWait = signal === undefined ? () => undefined : onAbort(signal, leave)
    })
  }
}

function notWanted(signal: AbortSignal | undefined): GabionError {
  return new GabionError('ABORTED', 'the reply is not read any more', { cause: signal?.reason })
}

/** Settles as the promise does, or rejects as soon as the signal fires. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const endWait = onAbort(signal, () => {
      reject(notWanted(signal))
    })
    promise.then(resolve, reject).finally(endWait)
  })
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
    const crossing = await this.#order.run(this.#isFirst, () => this.#reading.read(windows, signal), signal)
    this.#isFirst = false
    return crossing
  }
}
