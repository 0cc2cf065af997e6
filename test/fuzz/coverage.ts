// Which stretches of lib/ an input reaches, from V8's own counters: what reaches new ones is kept to be changed further.

import { Session, type Profiler } from 'node:inspector'

/** Counts what has been reached so far. */
export class Coverage {
  readonly #session = new Session()
  readonly #reached = new Set<string>()

  constructor() {
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Stretches reached since the last call that were never reached before. */
  takeNew(): number {
    let result: Profiler.ScriptCoverage[] = []
    this.#session.post('Profiler.takePreciseCoverage', (failure, taken) => {
      if (failure === null) result = taken.result
    })
    let fresh = 0
    for (const { url, functions } of result) {
      if (!url.includes('/lib/')) continue
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count === 0) continue
          const stretch = `${url}:${String(startOffset)}:${String(endOffset)}`
          if (this.#reached.has(stretch)) continue
          this.#reached.add(stretch)
          fresh++
        }
      }
    }
    return fresh
  }

  get reached(): number {
    return this.#reached.size
  }
}
