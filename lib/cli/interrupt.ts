// Owns Ctrl-C and SIGTERM: the first one aborts the work in hand, a second one ends the process at once.

import { EXIT_INTERRUPTED } from './failure.js'

const EXIT_TERMINATED = 143

/** What came from outside while a command ran. */
export interface Interrupt {
  /** Fires at the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal
  /** The exit code that the interruption asks for; null while there was none. */
  readonly exitCode: number | null
  /** Gives the signals back to Node's own handling. */
  stop(): void
}

/** Starts listening. */
export function listenForInterrupt(): Interrupt {
  const controller = new AbortController()
  let exitCode: number | null = null
  const on = (code: number) => (): void => {
    if (exitCode !== null) process.exit(code)
    exitCode = code
    controller.abort()
  }
  const onInterrupt = on(EXIT_INTERRUPTED)
  const onTerminate = on(EXIT_TERMINATED)
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode
    },
    stop() {
      process.off('SIGINT', onInterrupt)
      process.off('SIGTERM', onTerminate)
    },
  }
}
