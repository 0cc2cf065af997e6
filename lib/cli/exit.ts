// Owns the end of the process, whichever way it comes: done, failed, a signal, a reader that left, an error that nothing caught. What was written
// reaches its readers first. Nothing else in lib ends the process. Knows no command.

import { setImmediate as nextTick } from 'node:timers/promises'
import { EXIT_INTERRUPTED, EXIT_READER_LEFT, reportFailure } from './failure.js'

/** Signals that ask for the end, and their exit codes as shells count them: 128 and the signal's number. */
const SIGNALS = { SIGHUP: 129, SIGINT: EXIT_INTERRUPTED, SIGTERM: 143 } as const

/**
 * How long readers have, after a signal, for what is already written; without a signal they have all the time they need. A pipe and the queue in
 * front of it hold some 100 KiB, which a reader of 100 KiB/s takes in half of this. With the 20 s in which a service finishes its requests it
 * stays well below the 30 s that Kubernetes and our Compose file wait before SIGKILL.
 */
const DRAIN_AFTER_SIGNAL_MS = 2000

/** What asked a running command to stop. */
export interface Interruption {
  /** Fires at the first signal, and where the process ends although a command still runs. */
  readonly signal: AbortSignal
  /** The exit code that a signal asks for; null while there was none. */
  readonly exitCode: number | null
}

const controller = new AbortController()
/** Streams with nobody at the other end. */
const broken = new Set<NodeJS.WriteStream>()
let signaled: number | null = null
/** Not null once the end has begun. */
let exitCode: number | null = null
/** The end did not wait for the work: a failure was reported, or the reader left. */
let abandoned = false

export const interruption: Interruption = {
  signal: controller.signal,
  get exitCode() {
    return signaled
  },
}

/** Runs the program and ends the process with the exit code it resolves with, or with that of its failure, which is reported. */
export async function runToEnd(program: () => Promise<number>): Promise<void> {
  for (const [name, code] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      onSignal(code)
    })
  }
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  process.stdout.on('error', onStdoutError)
  // Nobody is left to whom it could be reported, and results and a service's requests do not depend on it.
  process.stderr.on('error', () => broken.add(process.stderr))
  try {
    end(await program())
  } catch (error) {
    if (!abandoned) end(reportFailure(error))
  }
}

function onSignal(code: number): void {
  // A second one ends the process at once, whatever is still written or computed.
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
  // A terminal that was closed answers with EIO.
  const readerLeft = error.code === 'EPIPE' || error.code === 'ECONNRESET' || (error.code === 'EIO' && process.stdout.isTTY)
  if (!readerLeft) fail(error)
  else abandon(EXIT_READER_LEFT)
}

function fail(error: unknown): void {
  // What still runs after a failure, or after its reader left, may fail in its turn; that says nothing new.
  if (!abandoned) abandon(reportFailure(error))
}

/** Ends without waiting for the work. */
function abandon(code: number): void {
  abandoned = true
  controller.abort()
  // Work that was done before keeps an exit code that says more than 0.
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

/** Resolves when both streams have handed over everything, or have nobody to hand it to. */
async function drained(): Promise<void> {
  const streams = [process.stdout, process.stderr]
  do {
    // The failure of a write that has just been made is reported in a tick of its own.
    await nextTick()
    await Promise.all(streams.filter(isPending).map(flushed))
  } while (streams.some(isPending))
}

function isPending(stream: NodeJS.WriteStream): boolean {
  return stream.writableLength > 0 && !broken.has(stream)
}

/** An empty write is called back after all before it; its failure is reported as an event. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => {
      resolve()
    })
  })
}
