// Owns the guard's reading of a reply while it is being written. Rules are chosen once, and other texts prepared once, so that the work is
// proportional to the reply's length.

import type { BegunExchange, LineCrossing, ReplyReading, ReplyWindow } from '../reply-reading.js'
import type { GuardSignals } from '../verdict.js'
import type { GuardDescription } from './description.js'
import { describeLine } from './explain.js'
import { reachedLine, type ReachedLine } from './guard-level.js'
import { readableExchange, readableReply, readableText } from './readable.js'
import { refusalFeatures } from './refusals.js'
import type { RuleBook } from './rule-book.js'
import type { GuardScorer } from './scorer.js'
import { linearPart, signalsOf } from './signals.js'
import { FULL_STRENGTH } from './strength.js'
import type { TermModel } from './terms.js'

/** The parts of a guard that read. */
export interface ReadingParts {
  readonly description: GuardDescription
  readonly scorer: GuardScorer
  readonly terms: TermModel | null
  readonly rules: RuleBook
}

/** Compares `breaks` and `unsafe` of each window with the lines of the level alert; level and strength of the conversation do not count. */
export class GuardReading implements ReplyReading {
  readonly #parts: ReadingParts
  /** Its texts as they are read. */
  readonly #exchange: BegunExchange
  #shown: readonly string[] | null = null
  #opensRefusing = 0
  #refuses = 0

  constructor(parts: ReadingParts, exchange: BegunExchange) {
    this.#parts = parts
    this.#exchange = { ...exchange, user: readableText(exchange.user), history: exchange.history.map(readableExchange) }
  }

  async read(windows: readonly ReplyWindow[], signal?: AbortSignal): Promise<LineCrossing | null> {
    const { description, scorer, terms } = this.#parts
    const { user, history } = this.#exchange
    const read = windows.map(({ text, start }) => ({ reply: readableReply(text), start })).filter(({ reply }) => reply.trim() !== '')
    const [first] = read
    if (first === undefined) return null
    const rules = await this.#rulesFor(first.reply)
    const logits = await scorer.score(
      read.map(({ reply }) => ({ rules, history, user, reply })),
      { signal },
    )
    const crossed = read.map(({ reply, start }, index) => {
      const flags = this.#flagsOf(reply, start)
      const pass = { logits: logits[index]!, flags, terms: linearPart(terms, description, user, reply) }
      return alertLine(description, signalsOf(description, pass))
    })
    const line = crossed.find((one) => one !== null) ?? null
    return line === null ? null : { likelihood: line.value, reasons: [describeLine(line, null)] }
  }

  /** Chosen at the first reading: a choice for each window would embed the text of each. */
  async #rulesFor(reply: string): Promise<readonly string[]> {
    const { rules, description } = this.#parts
    if (description.shownRules === 0) return []
    this.#shown ??= await rules.shown({ ...this.#exchange, assistant: reply }, description.shownRules)
    return this.#shown
  }

  /** The refusal features are those of the reply so far, not of a window of it. */
  #flagsOf(reply: string, start: number): readonly [number, number] {
    const [opening, anywhere] = refusalFeatures(reply)
    if (start === 0) this.#opensRefusing = opening
    this.#refuses = Math.max(this.#refuses, anywhere)
    return [this.#opensRefusing, this.#refuses]
  }
}

/** The line of the level alert that one reading reaches; the strength stays what it was. */
function alertLine({ lines }: GuardDescription, signals: GuardSignals): ReachedLine | null {
  const line = reachedLine({ signals, strengthBefore: FULL_STRENGTH, strength: FULL_STRENGTH }, lines)
  return line?.level === 'alert' ? line : null
}
