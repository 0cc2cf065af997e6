// Streams of OpenAI's chat completions and completions of a prompt that may be cut.

import { Calls, callsOf, type CallPart } from './calls.js'
import { readContent } from './content.js'
import type { PieceWords } from '../../../monitor/stream/reply-gate.js'
import { eventOf, fieldsOf, listOf, stringOf, type CompletionInfo } from './protocol.js'
import { messageAfter, type StreamPart, type StreamParts } from './stream-parts.js'

/** What a choice of a part adds. */
interface ChoicePart {
  readonly text: string
  /** Calls of tools, or parts of them. */
  readonly calls: readonly CallPart[]
}

/** A choice as the client has it. */
interface PassedChoice {
  hasWords: boolean
  hasFinished: boolean
}

/** The part of a protocol that differs. */
export interface ChoiceForm {
  readonly read: (choice: Readonly<Record<string, unknown>>) => ChoicePart
  /** An event that adds words to a choice, and the one that ends it; together or apart. */
  readonly end: (common: object, index: number, message: string, usage: object) => string
}

/** A stream of choices. */
export class ChoiceStream implements StreamParts {
  readonly #form: ChoiceForm
  readonly #identity: (info: CompletionInfo) => object
  /** The calls of choices that have not finished. */
  readonly #calls = new Map<number, Calls>()
  readonly #passed = new Map<number, PassedChoice>()
  /** The choices that came, and whether each is finished. */
  readonly #came = new Map<number, boolean>()
  #usage: unknown

  /** @param identity - the fields that all events of a stream have */
  constructor(form: ChoiceForm, identity: (info: CompletionInfo) => object) {
    this.#form = form
    this.#identity = identity
  }

  /** All choices that came are finished. */
  get isOver(): boolean {
    return this.#came.size > 0 && [...this.#came.values()].every((isFinished) => isFinished)
  }

  read(data: unknown): StreamPart {
    const choices = listOf(fieldsOf(data).choices).map((choice) => {
      const fields = fieldsOf(choice)
      return { index: indexOf(fields), hasFinished: isFinished(fields), ...this.#form.read(fields) }
    })
    for (const { index, hasFinished, calls } of choices) {
      this.#came.set(index, hasFinished || this.#came.get(index) === true)
      const known = this.#calls.get(index) ?? new Calls()
      for (const call of calls) known.add(call)
      if (!known.isEmpty) this.#calls.set(index, known)
    }
    return {
      words: choices.map(({ index, text }) => ({ reply: String(index), text })),
      isCall: choices.some(({ calls }) => calls.length > 0),
      calls: this.#complete(),
    }
  }

  /** What all calls say once every choice that has any is finished. */
  #complete(): PieceWords | null {
    if (this.#calls.size === 0 || [...this.#calls.keys()].some((index) => this.#came.get(index) !== true)) return null
    const words = [...this.#calls].map(([index, calls]) => ({ reply: String(index), text: calls.text() }))
    this.#calls.clear()
    return words
  }

  passed(data: unknown): void {
    const { choices, usage } = fieldsOf(data)
    if (usage !== undefined && usage !== null) this.#usage = usage
    for (const choice of listOf(choices)) {
      const fields = fieldsOf(choice)
      const known = this.#passed.get(indexOf(fields)) ?? { hasWords: false, hasFinished: false }
      known.hasWords ||= this.#form.read(fields).text !== ''
      known.hasFinished ||= isFinished(fields)
      this.#passed.set(indexOf(fields), known)
    }
  }

  end(info: CompletionInfo, message: string): string {
    if (this.#passed.size === 0) this.#passed.set(0, { hasWords: false, hasFinished: false })
    const common = this.#identity(info)
    const usage = this.#usage === undefined ? {} : { usage: this.#usage }
    const events = [...this.#passed].flatMap(([index, { hasWords, hasFinished }]) =>
      hasFinished ? [] : [this.#form.end(common, index, messageAfter(hasWords, message), usage)],
    )
    return `${events.join('')}data: [DONE]\n\n`
  }
}

function indexOf({ index }: Readonly<Record<string, unknown>>): number {
  return typeof index === 'number' ? index : 0
}

/** Some services write an empty reason where there is none. */
function isFinished({ finish_reason: reason }: Readonly<Record<string, unknown>>): boolean {
  return reason !== undefined && reason !== null && reason !== ''
}

/** Choices with a message. */
export const MESSAGE_CHOICE: ChoiceForm = {
  read({ delta }) {
    const { content, refusal } = fieldsOf(delta)
    return { text: (readContent(content, '')?.text ?? '') + (stringOf(refusal) ?? ''), calls: callsOf(delta) }
  },
  end: (common, index, message, usage) =>
    eventOf({ ...common, choices: [{ index, delta: { content: message }, finish_reason: null }] }) +
    eventOf({ ...common, choices: [{ index, delta: {}, finish_reason: 'content_filter' }], ...usage }),
}

/** Choices with a text. */
export const TEXT_CHOICE: ChoiceForm = {
  read: ({ text }) => ({ text: stringOf(text) ?? '', calls: [] }),
  end: (common, index, message, usage) =>
    eventOf({ ...common, choices: [{ index, text: message, finish_reason: 'content_filter', logprobs: null }], ...usage }),
}
