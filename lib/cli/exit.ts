// Owns the exit of the process in every case: success, failure, signal, closed stdout, uncaught error. Written output is flushed
// before. Nothing else in lib ends the process. Knows no command.

import { setImmediate as nextTick } from 'node:timers/promises'
import { EXIT_INTERRUPTED, EXIT_READER_LEFT, reportFailure } from './failure.js'

/** Termination signals and their exit codes, by the shells' convention: 128 plus the signal's number. */
const SIGNALS = { SIGHUP: 129, SIGINT: EXIT_INTERRUPTED, SIGTERM: 143 } as const

/**
 * Time limit for flushing output after a signal; without a signal there is none. A pipe and the queue in front of it hold some 100 KiB, which a
 * reader of 100 KiB/s takes in half of this. With the 20 s that a service has for requests in flight it stays well below the 30 s that
 * Kubernetes and our Compose file wait before SIGKILL.
 */
const DRAIN_AFTER_SIGNAL_MS = 2000

/** Request to a running command to stop. */
export interface Interruption {
  /** Fires at the first signal, and when the process exits while a command still runs. */
  readonly signal: AbortSignal
  /** The signal's exit code; null before any signal. */
  readonly exitCode: number | null
}

const controller = new AbortController()
/** Streams without a reader. */
const broken = new Set<NodeJS.WriteStream>()
let signaled: number | null = null
/** Not null once the exit has begun. */
let exitCode: number | null = null
/** The exit does not wait for the command: a failure was reported, or stdout was closed. */
let abandoned = false

export const interruption: Interruption = {
  signal: controller.signal,
  get exitCode() {
    return signaled
  },
}

/** Runs the program and exits with its exit code, or reports its failure and exits with that code. */
export async function runToEnd(program: () => Promise<number>): Promise<void> {
  for (const [name, code] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      onSignal(code)
    })
  }
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  process.stdout.on('error', onStdoutError)
  // It cannot be reported anywhere, and results and a service's requests do not depend on it.
  process.stderr.on('error', () => broken.add(process.stderr))
  try {
    end(await program())
  } catch (error) {
    if (!abandoned) end(reportFailure(error))
  }
}

function onSignal(code: number): void {
  // A second signal exits at once.
  if (signaled !== null) process.exit(code)
  signaled = code
  controller.abort()
  if (exitCode === null) return
  exitCode = code
  exitAfterBound()
}

function onStdoutError(error: NodeJS.ErrnoException): void {
  if (broken.has(process.stdout)) return
  broken.add(process.stdout)
  // A closed terminal fails with EIO.
  const readerLeft = error.code === 'EPIPE' || error.code === 'ECONNRESET' || (error.code === 'EIO' && process.stdout.isTTY)
  if (!readerLeft) fail(error)
  else abandon(EXIT_READER_LEFT)
}

function fail(error: unknown): void {
  // After a first failure or a closed stdout, later failures of the running command are consequences.
  if (!abandoned) abandon(reportFailure(error))
}

/** Exits without waiting for the command. */
function abandon(code: number): void {
  abandoned = true
  controller.abort()
  // A completed command keeps a non-zero exit code.
  if (exitCode === null) end(code)
  else if (exitCode === 0) exitCode = code
}

function end(code: number): void {
  if (exitCode !== null) return
  exitCode = signaled ?? code
  if (signaled !== null) exitAfterBound()
  void drained().then(exit)
}

function exitAfterBound(): void {
  setTimeout(exit, DRAIN_AFTER_SIGNAL_MS)
}

function exit(): never {
  process.exit(exitCode ?? 0)
}

/** Resolves when both streams are flushed or have no reader. */
async function drained(): Promise<void> {
  const streams = [process.stdout, process.stderr]
  do {
    // The failure of a write is reported in a later tick.
    await nextTick()
    await Promise.all(streams.filter(isPending).map(flushed))
  } while (streams.some(isPending))
}

function isPending(stream: NodeJS.WriteStream): boolean {
  return stream.writableLength > 0 && !broken.has(stream)
}

/** The callback of an empty write runs after all writes before it; a failure is reported as an event. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => {
      resolve()
    })
  })
}
