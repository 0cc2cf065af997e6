// `gabion` before readers that are slow, stuck or gone: its stdout or stderr is a pipe that is full from the start, as it is behind a program that is
// busy. Whatever the command writes, however little, has to wait in the process itself.

import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { atEnd } from '../service/ending.js'

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const SLOW_READER = fileURLToPath(new URL('../fixtures/slow-reader.mjs', import.meta.url))

/** What a pipe holds on Linux. */
const PIPE_BYTES = 65_536
/** Milliseconds after which a slow reader begins: by then a short command has computed what it writes. */
const WAIT_MS = 700

/** Readers of the full pipe, as commands of a shell; what a slow one has read comes out where the stream would have gone. */
const READERS = {
  slow: `NODE_OPTIONS= exec "$NODE" "$SLOW_READER" ${PIPE_BYTES} "$BEGIN"`,
  leaving: 'exec sleep 0.7',
  stuck: 'exec sleep 60',
} as const

/** A process and how it ended. */
export interface Piped {
  readonly child: ChildProcessWithoutNullStreams
  /** Resolves when the process has ended; its code counts 128 and the signal's number where a signal ended it. */
  readonly exit: Promise<number>
  /** Has a slow reader begin. */
  readonly read: () => void
  /** Resolves with both streams when all their readers have ended too. */
  readonly output: Promise<{ stdout: string; stderr: string }>
}

/** How `gabion` is started before a reader. */
export interface PipedOptions {
  /** Which of its streams the reader has; the other comes to this process. */
  readonly stream?: 'stdout' | 'stderr'
  readonly stdin?: string
  readonly env?: NodeJS.ProcessEnv
  /** Milliseconds after which a slow reader begins; null where `read` has it begin. */
  readonly waitMs?: number | null
}

/** Starts `gabion` with one stream into a full pipe before `reader`, or onto a full disk. Signals to the child reach gabion itself. */
export function startPiped(
  args: readonly string[],
  reader: keyof typeof READERS | 'full',
  { stream = 'stdout', stdin = '', env = {}, waitMs = WAIT_MS }: PipedOptions = {},
): Piped {
  const number = stream === 'stdout' ? 1 : 2
  const place = reader === 'full' ? '/dev/full' : `>(${READERS[reader]} >&${number}); head -c ${PIPE_BYTES} /dev/zero >&${number}`
  const script = `exec ${number}> ${place}; exec "$NODE" "$MAIN" "$@"`
  const folder = mkdtempSync(join(tmpdir(), 'gabion-piped-'))
  atEnd(() => rm(folder, { recursive: true, force: true }))
  const begin = join(folder, 'begin')
  const read = (): void => {
    writeFileSync(begin, '')
  }
  if (waitMs !== null) setTimeout(read, waitMs)
  const more = { NODE: process.execPath, MAIN, SLOW_READER, BEGIN: begin, ...env }
  return { ...start('bash', ['-c', script, 'gabion', ...args], more, stdin), read }
}

/** Starts `gabion` with its streams into this process, which reads them as fast as they come. */
export function startPlain(args: readonly string[]): Omit<Piped, 'read'> {
  return start(process.execPath, [MAIN, ...args], {}, '')
}

function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv, stdin: string): Omit<Piped, 'read'> {
  const { FORCE_COLOR: _force, NO_COLOR: _no, GABION_DEBUG: _debug, NODE_OPTIONS: _options, ...inherited } = process.env
  // A group of its own, so that readers end with it.
  const child = spawn(command, args, { env: { ...inherited, ...env }, detached: true })
  child.stdin.end(stdin)
  const texts = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text))
  atEnd(() => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // All of the group have ended.
    }
    return Promise.resolve()
  })
  return {
    child,
    exit: new Promise((resolve) =>
      child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal as NodeJS.Signals])),
    ),
    output: new Promise((resolve) => child.once('close', () => resolve(texts))),
  }
}
