// What every request has, whatever its protocol: an id, a deadline, the headers that continue a trace, and one signal that ends it.

import { randomUUID } from 'node:crypto'
import { GabionError } from '../errors.js'

/** A deadline for requests that take as long as they take: what a timer can hold. */
export const MAX_DEADLINE_MS = 2 ** 31 - 1

/** A request's own id if it is a harmless one, else a new one. */
export function requestIdOf(given: unknown): string {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID()
}

/** A request's life: `signal` fires when its deadline passes, its client leaves or the service has to stop. */
export class RequestContext {
  readonly id: string
  /** The request's headers or metadata, in which a caller's trace may be named. */
  readonly headers: object
  readonly #abort = new AbortController()
  readonly #timer: NodeJS.Timeout

  /** @param deadlineMs - milliseconds from now */
  constructor(id: string, deadlineMs: number, headers: object) {
    this.id = id
    this.headers = headers
    this.#timer = setTimeout(() => {
      this.#abort.abort(new GabionError('DEADLINE_EXCEEDED', `the request was not done within its ${Math.round(deadlineMs)} ms`))
    }, deadlineMs)
    this.#timer.unref()
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** The client went away: what it waits for is dropped from the queue. */
  leave(): void {
    this.#abort.abort(new GabionError('ABORTED', 'the client went away'))
  }

  /** The request is answered. */
  end(): void {
    clearTimeout(this.#timer)
  }
}
