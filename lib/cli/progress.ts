// Owns the progress bar of long work: on stderr, on a terminal, only after a moment. Knows no command.

import { Presets, SingleBar } from 'cli-progress'
import type { Output } from './output.js'

/** Work shorter than this shows no bar. */
const PATIENCE_MS = 400

/** A bar that appears once the work turns out to be long; every method is harmless where none is shown. */
export class Progress {
  readonly #bar: SingleBar | null
  readonly #startedAt = performance.now()
  readonly #total: number
  #shown = false

  /** `label` says what is being done, `unit` what `count` counts; `total` is in any unit that {@link update} uses too. */
  constructor(output: Output, label: string, unit: string, total: number | null) {
    this.#total = total ?? 0
    const format =
      total === null
        ? `${label}  {count} ${unit}  {duration_formatted}`
        : `${label}  {bar} {percentage}%  {count} ${unit}  {eta_formatted} left`
    this.#bar = output.showsProgress
      ? new SingleBar({ format, stream: process.stderr, barsize: 28, clearOnComplete: true, gracefulExit: false }, Presets.shades_classic)
      : null
  }

  /** Moves the bar to `done` of `total` and shows `count`. */
  update(done: number, count: number): void {
    if (this.#bar === null) return
    const payload = { count: count.toLocaleString('en') }
    if (!this.#shown) {
      if (performance.now() - this.#startedAt < PATIENCE_MS) return
      this.#shown = true
      this.#bar.start(this.#total, 0, payload)
    }
    this.#bar.update(Math.min(done, this.#total), payload)
  }

  /** Takes the bar away. */
  stop(): void {
    if (this.#shown) this.#bar?.stop()
    this.#shown = false
  }
}
