// Runs one outside command for the set-up. Owns the log files under build/logs and the form of a failure; knows nothing of the steps.

import { spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, realpathSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { once } from 'node:events'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The repository's root folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** True for the module that Node was started with; `url` is its import.meta.url. */
export const isMain = (url) => process.argv[1] !== undefined && url === pathToFileURL(realpathSync(process.argv[1])).href

/**
 * Thrown when a step cannot go on. `exitCode` 2 means that the user has to do something first; `lines` are shown above the message,
 * `output` is everything the command printed.
 */
export class StepFailed extends Error {
  constructor(message, { lines = [], output = null, log = null, exitCode = 1 } = {}) {
    super(message)
    this.lines = lines
    this.output = output
    this.log = log
    this.exitCode = exitCode
  }
}

const keptLines = 30

/**
 * Runs a command to its end and returns its standard output.
 * With `log`, all output also goes to build/logs/<log>.log, and a failure shows its last lines. With `echo`, it goes to the terminal too.
 */
export async function run(command, args, { log = null, cwd = root, env = process.env, echo = false } = {}) {
  const logFile = log === null ? null : join(root, 'build', 'logs', `${log}.log`)
  if (logFile !== null) mkdirSync(dirname(logFile), { recursive: true })
  const sink = logFile === null ? null : createWriteStream(logFile, { flags: 'a' })
  sink?.write(`$ ${[command, ...args].join(' ')}\n`)
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', all: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8')
    child[name].on('data', (text) => {
      if (name === 'stdout') output.stdout += text
      output.all += text
      sink?.write(text)
      if (echo) process[name].write(text)
    })
  }
  const failure = await new Promise((resolve) => {
    child.once('error', (error) => resolve(`${command} could not be started: ${error.message}`))
    child.once('close', (code, signal) => {
      resolve(
        code === 0 ? null : `${command} ${args[0] ?? ''} ${code === null ? `was ended by ${signal}` : `failed with exit code ${code}`}`,
      )
    })
  })
  if (sink !== null) {
    sink.end()
    await once(sink, 'close')
  }
  if (failure !== null) {
    throw new StepFailed(failure, {
      lines: output.all.trimEnd().split('\n').slice(-keptLines),
      output: output.all.trimEnd(),
      log: logFile === null ? null : relative(root, logFile),
    })
  }
  return output.stdout
}

/** Prints a failure in the form of the set-up commands and sets the exit code. */
export function reportFailure(error) {
  if (!(error instanceof StepFailed)) throw error
  for (const line of error.lines) console.error(`  | ${line}`)
  console.error(`error: ${error.message}`)
  if (error.log !== null) console.error(`The whole log is in ${error.log}`)
  process.exitCode = error.exitCode
}
