// Owns the context of a request in any protocol: id, deadline, trace headers, and one signal that ends it.

import { randomUUID } from 'node:crypto'
import { GabionError } from '../errors.js'

/** The deadline of requests without one: the maximum of a timer. */
export const MAX_DEADLINE_MS = 2 ** 31 - 1

/** The request's own id if it is well-formed, else a new one. */
export function requestIdOf(given: unknown): string {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID()
}

/** A request's context; `signal` fires when its deadline passes or its client disconnects. */
export class RequestContext {
  readonly id: string
  /** The request's headers or metadata, which may carry a trace context. */
  readonly headers: object
  readonly #abort = new AbortController()
  readonly #timer: NodeJS.Timeout

  /** @param deadlineMs - milliseconds from now */
  constructor(id: string, deadlineMs: number, headers: object) {
    this.id = id
    this.headers = headers
    this.#timer = setTimeout(() => {
      this.#abort.abort(new GabionError('DEADLINE_EXCEEDED', `the request's deadline of ${Math.round(deadlineMs)} ms passed`))
    }, deadlineMs)
    this.#timer.unref()
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** The client disconnected: its pending work is cancelled. */
  leave(): void {
    this.#abort.abort(new GabionError('ABORTED', 'the client disconnected'))
  }

  /** The request is answered. */
  end(): void {
    clearTimeout(this.#timer)
  }
}
