// Ends with a test file what it started, also where a test failed, ran out of time or was killed: a process or a listener that is left
// keeps the file's own process, and with it the whole run, from ending.

import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { after } from 'node:test'

/** Milliseconds in which one thing has to end, and in which a file's process has to end after its last test. */
const ENDING_MS = 10_000

const open = new Set<() => Promise<unknown>>()

/** Has `stop` called after the file's last test; the returned function takes that back. What began last ends first. */
export function atEnd(stop: () => Promise<unknown>): () => void {
  open.add(stop)
  return () => void open.delete(stop)
}

after(async () => {
  for (const stop of [...open].reverse()) {
    await Promise.race([stop().catch(() => undefined), new Promise((resolve) => setTimeout(resolve, ENDING_MS).unref())])
  }
  // Fires only where something keeps this process alive all the same: a test has to stop what it starts.
  setTimeout(() => {
    console.error(`${process.argv[1] ?? 'a test file'} left open: ${process.getActiveResourcesInfo().join(', ')}`)
    process.exit(1)
  }, ENDING_MS).unref()
})

/** A process that dies with this one, however this one dies. */
export interface OwnProcess {
  readonly child: ChildProcess
  /** Sends a signal and resolves with the exit code (null when a signal ended it). Does nothing to one that has ended. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

/** Starts a program. The kernel kills it when this process is killed and could not do it itself. */
export function startProcess(command: string, args: readonly string[], stdio: StdioOptions, env: NodeJS.ProcessEnv = {}): OwnProcess {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], { stdio, env: { ...process.env, ...env } })
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  const kill = atEnd(async () => {
    child.kill('SIGKILL')
    await exit
  })
  exit.then(kill, kill)
  return {
    child,
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      return (await exit)[0]
    },
  }
}

/** Milliseconds after which what a test waits for will not come any more. */
const WAITING_MS = 60_000

/** Asks again until there is an answer; one of null or false counts as none. */
export async function until<T>(what: string, ask: () => T | Promise<T>, pauseMs = 2): Promise<NonNullable<T>> {
  const last = performance.now() + WAITING_MS
  for (;;) {
    const answer = await ask()
    if (answer !== null && answer !== undefined && answer !== false) return answer
    if (performance.now() > last) throw new Error(`waited ${WAITING_MS / 1000} s in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}
