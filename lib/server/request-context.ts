// How long a request may take and whether its client still waits: one signal for both. Knows no protocol.

import { GabionError } from '../errors.js'

/** A request's life: `signal` fires when its deadline passes, its client leaves or the service has to stop. */
export class RequestContext {
  readonly id: string
  readonly #abort = new AbortController()
  readonly #timer: NodeJS.Timeout

  /** @param deadlineMs - milliseconds from now */
  constructor(id: string, deadlineMs: number) {
    this.id = id
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
