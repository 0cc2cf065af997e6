// Owns the writing to stdout and stderr: results, JSON lines, notes, colors. Knows no command.

import pc from 'picocolors'

type Colors = ReturnType<typeof pc.createColors>

/** Whether to color output to `stream`: FORCE_COLOR and NO_COLOR decide, else only terminals get colors. */
export function wantsColor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false
  const force = env.FORCE_COLOR
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false'
  // A pipe has no isTTY; undefined would leave the choice to the library, which colors wherever CI is set.
  return stream.isTTY === true && env.TERM !== 'dumb'
}

/** Options of a command's output. */
export interface OutputOptions {
  /** stdout contains only JSON objects, one per line. */
  json: boolean
  /** No notes and no progress on stderr. */
  quiet: boolean
  /** Once it has fired, writes no longer wait for a slow reader. */
  signal: AbortSignal
}

/** The two streams of a command. */
export class Output {
  readonly json: boolean
  readonly quiet: boolean
  /** Colors for stdout; no-ops if stdout is not colored. */
  readonly colors: Colors
  /** Colors for stderr. */
  readonly noteColors: Colors
  readonly #signal: AbortSignal

  constructor(options: OutputOptions) {
    this.json = options.json
    this.quiet = options.quiet
    this.#signal = options.signal
    this.colors = pc.createColors(!options.json && wantsColor(process.stdout, process.env))
    this.noteColors = pc.createColors(wantsColor(process.stderr, process.env))
  }

  /** True if stdout is a terminal with text output. */
  get interactive(): boolean {
    return process.stdout.isTTY && !this.json
  }

  /** True if a progress bar may be drawn on stderr. */
  get showsProgress(): boolean {
    return process.stderr.isTTY && !this.quiet
  }

  /** Columns of the layout: the terminal's, clamped to 60 to 140, or 100 without a terminal. */
  get columns(): number {
    const columns = process.stdout.isTTY ? process.stdout.columns : 100
    return Math.min(140, Math.max(60, columns))
  }

  /** Writes a result line; resolves when stdout can take more. */
  line(text = ''): Promise<void> {
    return this.write(`${text}\n`)
  }

  /** Writes an object as one line of JSON. */
  jsonLine(value: object): Promise<void> {
    return this.write(`${JSON.stringify(value)}\n`)
  }

  /**
   * Writes text; resolves when stdout can take more. After an interruption it resolves at once, so that a command can end although
   * nobody reads; exit.ts flushes the rest.
   */
  async write(text: string): Promise<void> {
    const { stdout } = process
    if (stdout.write(text) || this.#signal.aborted) return
    await new Promise<void>((resolve) => {
      const proceed = (): void => {
        stdout.off('drain', proceed)
        this.#signal.removeEventListener('abort', proceed)
        resolve()
      }
      stdout.on('drain', proceed)
      this.#signal.addEventListener('abort', proceed)
    })
  }

  /** Writes a note to stderr, unless `--quiet`. */
  note(text: string): void {
    if (!this.quiet) process.stderr.write(`${text}\n`)
  }

  /** Writes a warning to stderr, unless `--quiet`. */
  warn(text: string): void {
    this.note(`${this.noteColors.yellow('warning:')} ${text}`)
  }
}
