// Runs the command line as a user does: a process of its own, with its output and its exit code.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import assert from 'node:assert/strict'

/** As it is shipped: it starts in a tenth of the time that its sources take. `npm test` builds it when they changed. */
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** How a run ended. */
export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** What a run is given. */
export interface RunOptions {
  stdin?: string
  env?: NodeJS.ProcessEnv
  /** Looks at the process while it runs. */
  watch?: (child: ChildProcess) => void
}

/** Runs `gabion` with these arguments. */
export function gabion(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  // What colors or debugs in the test's own environment must not reach the child.
  const { FORCE_COLOR: _force, NO_COLOR: _no, GABION_DEBUG: _debug, NODE_OPTIONS: _options, ...env } = process.env
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...env, ...options.env }, stdio: 'pipe' })
  const ended = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (ended.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (ended.stderr += text))
  child.stdin.on('error', () => undefined)
  if (options.stdin !== undefined) child.stdin.end(options.stdin)
  else if (options.watch === undefined) child.stdin.end()
  options.watch?.(child)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      resolve({ code, signal, ...ended })
    })
  })
}

/** Every line of a text as JSON; fails on a line that is none. */
export function jsonLines(text: string): Record<string, unknown>[] {
  assert.ok(text === '' || text.endsWith('\n'), 'the last line must be complete')
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gabion-cli-'))
  after(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

/** A failed run: this exit code, nothing on stdout, one coded line on stderr that matches, and no stack trace. */
export function assertRefused(ended: Ended, code: number, message: RegExp): void {
  assert.equal(ended.code, code, ended.stderr)
  assert.equal(ended.stdout, '')
  assert.match(ended.stderr, /^error: [A-Z_]+: [^\n]+\n$/)
  assert.match(ended.stderr, message)
}
