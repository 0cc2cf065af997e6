// Owns one conversation: its turns one after the other, its detector state, saving and forking.
// Knows that texts become vectors and vectors verdicts, not how.

import { nodeUtil } from '../lazy.js'
import type { Detector, DetectorVerdict, EmbeddedText } from '../detection/detector.js'
import type { Embedder } from '../embedding/embedder.js'
import type { EmbeddingBatch } from '../embedding/embedding-batch.js'
import { GabionError } from '../errors.js'
import { checkOptions, checkSignal, checkString, invalidArgument } from '../options.js'

/** What a conversation needs of an embedder. */
export type ConversationEmbedder = Pick<Embedder, 'embedBatch' | 'embedWindows'>

/** One exchange: what the user wrote, and the assistant's reply to it. Either may be empty. */
export interface Exchange {
  readonly user: string
  readonly assistant: string
}

/** Where the milliseconds of a turn went. The first three are summed over the two texts, which may run side by side. */
export interface TurnTimings {
  readonly tokenizeMs: number
  readonly encodeMs: number
  readonly projectMs: number
  readonly detectMs: number
  /** From the call to the verdict, waiting for earlier turns included. */
  readonly totalMs: number
}

/** What a monitor adds to a detector's verdict. */
export interface TurnFacts {
  /** The conversation's id. */
  readonly conversation: string
  /** Counts exchanges from 1. */
  readonly turn: number
  /** A text was longer than the model reads and was cut. */
  readonly truncated: boolean
  readonly timings: TurnTimings
}

/** The verdict on one exchange of a conversation. */
export type TurnVerdict<Verdict extends DetectorVerdict = DetectorVerdict> = Verdict & TurnFacts

/** A conversation as plain JSON, from {@link Conversation.toJSON}. */
export interface SavedConversation {
  readonly format: 'gabion-conversation'
  readonly version: 1
  readonly id: string
  readonly detector: { readonly name: string; readonly fingerprint: string }
  /** Exchanges judged so far. */
  readonly turns: number
  readonly state: unknown
}

/**
 * The exchanges of one conversation. Texts are embedded as soon as they come, also of several turns at once; the detector
 * sees the turns strictly in the order of the calls. A turn that fails leaves the conversation as it was.
 */
export class Conversation<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> {
  readonly id: string
  readonly #embedder: ConversationEmbedder
  readonly #detector: Detector<State, Verdict>
  #state: State
  #turns: number
  /** Settles when every earlier turn has. */
  #last: Promise<unknown> = Promise.resolve()
  #underWay = 0

  /** Use `Monitor.conversation` instead. */
  constructor(embedder: ConversationEmbedder, detector: Detector<State, Verdict>, id: string, from?: { state: State; turns: number }) {
    this.id = id
    this.#embedder = embedder
    this.#detector = detector
    this.#state = from?.state ?? detector.start()
    this.#turns = from?.turns ?? 0
  }

  /** Exchanges judged so far. */
  get turns(): number {
    return this.#turns
  }

  /**
   * Judges the next exchange.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `ABORTED`, and what `embedBatch` and the detector throw; always as a rejection
   */
  async addTurn(exchange: Exchange, options?: { signal?: AbortSignal }): Promise<TurnVerdict<Verdict>> {
    const started = performance.now()
    const { user, assistant } = checkExchange(exchange)
    const { signal: given } = checkOptions('options', options, ['signal'])
    const signal = given === undefined ? undefined : checkSignal('signal', given)
    const embedding = this.#embed([user, assistant], signal)
    // Its failure is met below, maybe only after earlier turns: until then it must not count as unhandled.
    embedding.catch(() => undefined)
    return this.#inOrder(async () => {
      const { texts, truncated, timings } = await embedding
      const detecting = performance.now()
      const { verdict, state } = await this.#detector.turn(this.#state, { user: texts[0], assistant: texts[1] })
      if (signal?.aborted === true) throw new GabionError('ABORTED', 'the turn was aborted by its signal', { cause: signal.reason })
      this.#state = state
      this.#turns++
      const now = performance.now()
      const { tokenizeMs, encodeMs, projectMs } = timings
      return {
        ...verdict,
        conversation: this.id,
        turn: this.#turns,
        truncated,
        timings: { tokenizeMs, encodeMs, projectMs, detectMs: now - detecting, totalMs: now - started },
      }
    })
  }

  /** Forgets every turn; those still under way count to what is forgotten. Takes effect at once when none is. */
  async reset(): Promise<void> {
    const forget = (): void => {
      this.#state = this.#detector.start()
      this.#turns = 0
    }
    if (this.#underWay === 0) forget()
    else await this.#inOrder(() => Promise.resolve().then(forget))
  }

  /** A copy that goes its own way from here; turns still under way are not in it, and no monitor keeps it. */
  fork(id: string = this.id): Conversation<State, Verdict> {
    const from = { state: this.#state, turns: this.#turns }
    return new Conversation(this.#embedder, this.#detector, checkString('id', id), from)
  }

  /** Everything needed to go on later, after the turns judged so far; see `Monitor.restore`. */
  toJSON(): SavedConversation {
    const { name, fingerprint } = this.#detector
    return {
      format: 'gabion-conversation',
      version: 1,
      id: this.id,
      detector: { name, fingerprint },
      turns: this.#turns,
      state: structuredClone(this.#state),
    }
  }

  /** Runs a step after all earlier ones, whether they went well or not. */
  async #inOrder<T>(step: () => Promise<T>): Promise<T> {
    const run = this.#last.then(step)
    this.#last = run.catch(() => undefined)
    this.#underWay++
    try {
      return await run
    } finally {
      this.#underWay--
    }
  }

  /** Both texts in one call; empty ones are left out and have no windows. */
  async #embed(texts: readonly [string, string], signal: AbortSignal | undefined): Promise<EmbeddedTurn> {
    const { projection, windows: rule } = this.#detector
    const worded = texts.filter(hasWords)
    const read = worded.map((text) => this.#detector.normalize?.(text) ?? text)
    const options = { ...(projection !== null && { projection }), ...(signal !== undefined && { signal }) }
    if (rule !== undefined) {
      const batch = await this.#embedder.embedWindows(read, rule, options)
      const place = (text: string): EmbeddedText => ({ text, windows: hasWords(text) ? batch.windows(worded.indexOf(text)) : [] })
      return { texts: [place(texts[0]), place(texts[1])], truncated: false, timings: batch.timings }
    }
    const batch = await this.#embedder.embedBatch(read, options)
    const place = (text: string): EmbeddedText => ({ text, windows: hasWords(text) ? [windowOf(batch, worded.indexOf(text), text)] : [] })
    return {
      texts: [place(texts[0]), place(texts[1])],
      truncated: worded.some((_, index) => batch.truncated(index)),
      timings: batch.timings,
    }
  }
}

interface EmbeddedTurn {
  texts: [EmbeddedText, EmbeddedText]
  truncated: boolean
  timings: EmbeddingBatch['timings']
}

/**
 * Reads a saved conversation for a detector.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming the field, also when it was saved with another detector
 */
export function readSavedConversation<State>(
  saved: unknown,
  detector: Detector<State>,
): { id: string; from: { state: State; turns: number } } {
  const wrong = (field: string, expected: string): GabionError =>
    new GabionError('ARTIFACT_INVALID', `field '${field}' of a saved conversation must be ${expected}`)
  if (typeof saved !== 'object' || saved === null) throw wrong('format', `'gabion-conversation'`)
  const fields = saved as Readonly<Record<keyof SavedConversation, unknown>>
  if (fields.format !== 'gabion-conversation') throw wrong('format', `'gabion-conversation'`)
  if (fields.version !== 1) throw wrong('version', '1, the version that this release reads')
  if (typeof fields.id !== 'string') throw wrong('id', 'a string')
  if (typeof fields.turns !== 'number' || !Number.isSafeInteger(fields.turns) || fields.turns < 0)
    throw wrong('turns', 'an integer of 0 or more')
  const { name, fingerprint } = detector
  if (!nodeUtil().isDeepStrictEqual(fields.detector, { name, fingerprint })) {
    throw wrong(
      'detector',
      `that of this monitor (${name}, ${fingerprint.slice(0, 12)}): it was saved with another detector or other settings`,
    )
  }
  return { id: fields.id, from: { state: detector.checkState(fields.state), turns: fields.turns } }
}

function checkExchange(exchange: unknown): Exchange {
  if (typeof exchange !== 'object' || exchange === null) throw invalidArgument('exchange', 'an object with user and assistant', exchange)
  const { user, assistant } = exchange as Partial<Exchange>
  return { user: checkString('user', user), assistant: checkString('assistant', assistant) }
}

function hasWords(text: string): boolean {
  return text.trim() !== ''
}

function windowOf(batch: EmbeddingBatch, index: number, text: string): EmbeddedText['windows'][number] {
  return { vector: batch.row(index), point: batch.projected === null ? null : batch.point(index), start: 0, end: text.length }
}
