// Owns the progress bars of work in several steps.

import type { Output } from './output.js'
import { Progress } from './progress.js'

/** Shows the current step. */
export class ProgressSteps {
  readonly #output: Output
  #doing = ''
  #bar: Progress | null = null

  constructor(output: Output) {
    this.#output = output
  }

  readonly report = ({ doing, done, total }: { readonly doing: string; readonly done: number; readonly total: number }): void => {
    if (doing !== this.#doing) {
      this.stop()
      this.#doing = doing
      this.#bar = new Progress(this.#output, doing, 'done', total)
    }
    this.#bar?.update(done, done)
  }

  stop(): void {
    this.#bar?.stop()
    this.#bar = null
    this.#doing = ''
  }
}
