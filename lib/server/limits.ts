// What one request and all requests together may ask of the service. Knows no protocol.

import { GabionError } from '../errors.js'

/** Bounds of a service; all have defaults. */
export interface Limits {
  /** Bytes of a request's body. */
  readonly bodyBytes: number
  /** Texts of one request. */
  readonly texts: number
  /** UTF-16 units of one text. */
  readonly textLength: number
  /** Texts that may be admitted and not yet answered. */
  readonly pendingTexts: number
  /** UTF-16 units of all those texts. */
  readonly pendingLength: number
  /** Streams of events that may be open. */
  readonly eventStreams: number
  /** A request's time where it gives none, in milliseconds; also the most that it may ask for. */
  readonly requestMs: number
}

/** The limits of a service that is given none. */
export const DEFAULT_LIMITS: Limits = {
  bodyBytes: 8 * 1024 * 1024,
  texts: 2048,
  textLength: 256 * 1024,
  pendingTexts: 1024,
  pendingLength: 64 * 1024 * 1024,
  eventStreams: 256,
  requestMs: 30_000,
}

/** @throws GabionError `TOO_LARGE` naming the limit and what came */
export function checkTexts(texts: readonly string[], limits: Limits): number {
  if (texts.length > limits.texts) {
    throw new GabionError('TOO_LARGE', `a request may have ${limits.texts} texts, got ${texts.length}; send them in parts`)
  }
  let length = 0
  for (const [index, text] of texts.entries()) {
    if (text.length > limits.textLength) {
      throw new GabionError('TOO_LARGE', `a text may have ${limits.textLength} characters, text ${index} has ${text.length}`)
    }
    length += text.length
  }
  return length
}

/**
 * Counts what is admitted and not yet answered, and refuses at once what would be too much: a client that is told in a
 * microsecond can go elsewhere, one that waits in a line that is too long has waited for nothing.
 */
export class Admission {
  readonly #limits: Pick<Limits, 'pendingTexts' | 'pendingLength'>
  #texts = 0
  #length = 0
  #refused = 0

  constructor(limits: Pick<Limits, 'pendingTexts' | 'pendingLength'>) {
    this.#limits = limits
  }

  /** Texts admitted and not yet answered. */
  get texts(): number {
    return this.#texts
  }

  /** Characters of those texts. */
  get length(): number {
    return this.#length
  }

  /** Requests refused so far. */
  get refused(): number {
    return this.#refused
  }

  /** Refuses without looking at a request, where not even one more text would be admitted. */
  refuseIfFull(): void {
    if (this.#texts >= this.#limits.pendingTexts || this.#length >= this.#limits.pendingLength) throw this.#refusal(1)
  }

  /**
   * Admits texts until the returned function is called. A request larger than all that may be pending is admitted by an
   * idle service: its own limits bound it.
   *
   * @throws GabionError `OVERLOADED`
   */
  admit(texts: number, length: number): () => void {
    const { pendingTexts, pendingLength } = this.#limits
    if (this.#texts > 0 && (this.#texts + texts > pendingTexts || this.#length + length > pendingLength)) throw this.#refusal(texts)
    this.#texts += texts
    this.#length += length
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#texts -= texts
      this.#length -= length
    }
  }

  #refusal(texts: number): GabionError {
    this.#refused++
    return new GabionError(
      'OVERLOADED',
      `${this.#texts} texts are waiting and ${texts} more would be over the limit of ${this.#limits.pendingTexts}; try again later`,
    )
  }
}
