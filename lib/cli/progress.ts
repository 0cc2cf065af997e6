// Owns the progress bars of long work, in one step or several: on stderr, on a terminal, after a delay. Knows no command.

import { Presets, SingleBar } from 'cli-progress'
import type { Output } from './output.js'

/** Work shorter than this shows no bar. */
const SHOW_AFTER_MS = 400

/** A bar that appears after a delay; without a bar, all methods are no-ops. */
export class Progress {
  readonly #bar: SingleBar | null
  readonly #startedAt = performance.now()
  readonly #total: number
  #shown = false

  /**
   * @param label  name of the work
   * @param unit   unit of `count`
   * @param total  in the unit of `done`; null if unknown
   * @param mayShow false if results go to the terminal
   */
  constructor(output: Output, label: string, unit: string, total: number | null, mayShow = true) {
    this.#total = total ?? 0
    const format =
      total === null
        ? `${label}  {count} ${unit}  {duration_formatted}`
        : `${label}  {bar} {percentage}%  {count} ${unit}  {eta_formatted} left`
    this.#bar =
      output.showsProgress && mayShow
        ? new SingleBar({ format, stream: process.stderr, barsize: 28, clearOnComplete: true, gracefulExit: false }, Presets.shades_classic)
        : null
  }

  /** Moves the bar to `done` of `total` and shows `count`. */
  update(done: number, count: number): void {
    if (this.#bar === null) return
    const payload = { count: count.toLocaleString('en') }
    if (!this.#shown) {
      if (performance.now() - this.#startedAt < SHOW_AFTER_MS) return
      this.#shown = true
      this.#bar.start(this.#total, Math.min(done, this.#total), payload)
    }
    this.#bar.update(Math.min(done, this.#total), payload)
  }

  /** Removes the bar. */
  stop(): void {
    if (this.#shown) this.#bar?.stop()
    this.#shown = false
  }

  [Symbol.dispose](): void {
    this.stop()
  }
}

/** The current step of some work. */
export interface ProgressStep {
  readonly doing: string
  readonly done: number
  readonly total: number
  readonly count?: number
  readonly unit?: string
}

/** Shows the current step. */
export class ProgressSteps {
  readonly #output: Output
  #doing = ''
  #bar: Progress | null = null

  constructor(output: Output) {
    this.#output = output
  }

  /** Shows a step's bar; `count` of `unit` is what people read, `done` of `total` the length of the bar. */
  readonly report = ({ doing, done, total, count = done, unit = 'done' }: ProgressStep): void => {
    if (doing !== this.#doing) {
      this.stop()
      this.#doing = doing
      this.#bar = new Progress(this.#output, doing, unit, total)
    }
    this.#bar?.update(done, count)
  }

  stop(): void {
    this.#bar?.stop()
    this.#bar = null
    this.#doing = ''
  }

  [Symbol.dispose](): void {
    this.stop()
  }
}
