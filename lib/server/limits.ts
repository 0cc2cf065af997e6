// Owns the limits of one request and of all pending requests together. Knows no protocol.

import { GabionError } from '../errors.js'

/** Limits of a service; all have defaults. */
export interface Limits {
  /** Bytes of a request's body. */
  readonly bodyBytes: number
  /** Texts of one request. */
  readonly texts: number
  /** UTF-16 units of one text. */
  readonly textLength: number
  /** Pending texts: admitted and not yet answered. */
  readonly pendingTexts: number
  /** UTF-16 units of all pending texts. */
  readonly pendingLength: number
  /** Open event streams. */
  readonly eventStreams: number
  /** Default and maximum deadline of a request, in milliseconds. */
  readonly requestMs: number
}

/** The default limits. */
export const DEFAULT_LIMITS: Limits = {
  bodyBytes: 8 * 1024 * 1024,
  texts: 2048,
  textLength: 256 * 1024,
  pendingTexts: 1024,
  pendingLength: 64 * 1024 * 1024,
  eventStreams: 256,
  requestMs: 30_000,
}

/** @throws GabionError `TOO_LARGE` with the limit and the actual value */
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
 * Backpressure: counts pending texts and refuses requests over the limit at once. A client refused within a microsecond
 * can use another instance; one that waits in a queue that is too long waits in vain.
 */
export class Admission {
  readonly #limits: Pick<Limits, 'pendingTexts' | 'pendingLength'>
  #texts = 0
  #length = 0
  #refused = 0

  constructor(limits: Pick<Limits, 'pendingTexts' | 'pendingLength'>) {
    this.#limits = limits
  }

  /** Pending texts. */
  get texts(): number {
    return this.#texts
  }

  /** UTF-16 units of the pending texts. */
  get length(): number {
    return this.#length
  }

  get refused(): number {
    return this.#refused
  }

  /** Refuses before a request is read, if not one more text would be admitted. */
  refuseIfFull(): void {
    if (this.#texts >= this.#limits.pendingTexts || this.#length >= this.#limits.pendingLength) throw this.#refusal(1)
  }

  /**
   * Admits texts until the returned function is called. An idle service admits a request that is larger than the limit of
   * pending texts: the limits per request bound it.
   *
   * @throws GabionError `OVERLOADED`
   */
  admit(texts: number, length: number): () => void {
    const { pendingTexts, pendingLength } = this.#limits
    if (this.#texts > 0 && (this.#texts + texts > pendingTexts || this.#length + length > pendingLength)) throw this.#refusal(texts)
    this.#texts += texts
    this.#length += length
    let released = false
    return () => {
      if (released) return
      released = true
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
