// Owns what reaches stdout and stderr: results, JSON lines, notes, colors. Knows no command.

import pc from 'picocolors'

type Colors = ReturnType<typeof pc.createColors>

/** Whether to color what goes to `stream`: FORCE_COLOR and NO_COLOR decide, else only a terminal gets colors. */
export function wantsColor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false
  const force = env.FORCE_COLOR
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false'
  // A pipe has no isTTY at all; undefined would leave the choice to the library, which colors wherever CI is set.
  return stream.isTTY === true && env.TERM !== 'dumb'
}

/** How a command speaks: `--json` and `--quiet` as given by the user. */
export interface OutputOptions {
  /** stdout carries JSON objects only, one a line. */
  json: boolean
  /** No notes and no progress on stderr. */
  quiet: boolean
  /** Once it has fired, nothing waits for a slow reader any more. */
  signal: AbortSignal
}

/** The two streams of a command. */
export class Output {
  readonly json: boolean
  readonly quiet: boolean
  /** Colors for stdout; they do nothing where stdout shall not be colored. */
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

  /** True if a person reads stdout as it comes. */
  get interactive(): boolean {
    return process.stdout.isTTY && !this.json
  }

  /** True if a progress bar may be drawn on stderr. */
  get showsProgress(): boolean {
    return process.stderr.isTTY && !this.quiet
  }

  /** Columns to lay out for: the terminal's, between 60 and 140, or 100 where there is none. */
  get columns(): number {
    const columns = process.stdout.isTTY ? process.stdout.columns : 100
    return Math.min(140, Math.max(60, columns))
  }

  /** Writes a line of result; resolves when stdout can take more. */
  line(text = ''): Promise<void> {
    return this.write(`${text}\n`)
  }

  /** Writes an object as one line of JSON. */
  jsonLine(value: object): Promise<void> {
    return this.write(`${JSON.stringify(value)}\n`)
  }

  /**
   * Writes text as it is; resolves when stdout can take more. After an interruption it resolves at once, so that a command can end although
   * nobody reads; what waits is handed over by exit.ts.
   */
  async write(text: string): Promise<void> {
    const { stdout } = process
    if (stdout.write(text) || this.#signal.aborted) return
    await new Promise<void>((resolve) => {
      const goOn = (): void => {
        stdout.off('drain', goOn)
        this.#signal.removeEventListener('abort', goOn)
        resolve()
      }
      stdout.on('drain', goOn)
      this.#signal.addEventListener('abort', goOn)
    })
  }

  /** A remark for a person, on stderr; `--quiet` silences it. */
  note(text: string): void {
    if (!this.quiet) process.stderr.write(`${text}\n`)
  }

  /** A remark that something is not as it should be. */
  warn(text: string): void {
    this.note(`${this.noteColors.yellow('warning:')} ${text}`)
  }
}
