// Owns one reply that grows: which of its characters have been read, and by which windows. Knows no pieces and no time.

import type { LineCrossing, ReplyReading, ReplyWindow } from '../../detection/reply-reading.js'

/** Tokens of a window: as many of a reply as the guard reads at once. */
const WINDOW_TOKENS = 190
/** Tokens of a window that the one before has read, too. */
const OVERLAP_TOKENS = 40
/** Windows of one reading; what is behind them is read by the next. */
const MAX_WINDOWS = 8
/** Characters within which a window begins at a word. */
const MAX_WORD = 24
/** Characters before the current window from which they are dropped: not at every reading, since that copies the rest. */
const DROPPED_LENGTH = 2048

/**
 * Tokens of a text, estimated: four ASCII characters each, and one for every other character. Sums are those of the whole, so that a text
 * counts the same however it is cut.
 */
export function tokensIn(text: string): number {
  let tokens = 0
  for (let at = 0; at < text.length; at++) tokens += tokensAt(text, at)
  return tokens
}

function tokensAt(text: string, at: number): number {
  return text.charCodeAt(at) < 128 ? 0.25 : 1
}

/** A reply so far. */
export class GrowingReply {
  readonly #begin: () => Promise<ReplyReading>
  #reading: ReplyReading | null = null
  /** Of the reply, from `#dropped` on: a reading takes no longer for a long reply. */
  #text = ''
  #dropped = 0
  #read = 0
  /** Where the current window begins: it grows with the reply until it is full. */
  #window = 0

  /** @param begin - begins its reading; called again if it fails */
  constructor(begin: () => Promise<ReplyReading>) {
    this.#begin = begin
  }

  get length(): number {
    return this.#dropped + this.#text.length
  }

  /** Characters that have been read. */
  get read(): number {
    return this.#read
  }

  add(text: string): void {
    this.#text += text
  }

  /** Reads what is new, or its beginning if it is long. A rejection leaves it unread. */
  async readMore(signal: AbortSignal): Promise<LineCrossing | null> {
    if (this.#read === this.length) return null
    this.#reading ??= await this.#begin()
    const { windows, start, end } = this.#newWindows()
    const crossing = await this.#reading.read(windows, signal)
    this.#window = start
    this.#read = end
    this.#dropRead()
    return crossing
  }

  /** The windows over what has not been read, as the guard has them when it reads the reply so far: the last one may still grow. */
  #newWindows(): { windows: ReplyWindow[]; start: number; end: number } {
    const text = this.#text
    const dropped = this.#dropped
    const windows: ReplyWindow[] = []
    let [start, end] = [this.#window - dropped, this.#read - dropped]
    for (;;) {
      const full = forward(text, start, WINDOW_TOKENS)
      if (full > end) windows.push({ text: text.slice(start, full), start: start + dropped })
      end = Math.max(end, full)
      if (end === text.length || windows.length === MAX_WINDOWS) return { windows, start: start + dropped, end: end + dropped }
      start = backward(text, end, OVERLAP_TOKENS)
    }
  }

  #dropRead(): void {
    const excess = this.#window - this.#dropped
    if (excess < DROPPED_LENGTH) return
    this.#text = this.#text.slice(excess)
    this.#dropped += excess
  }
}

/** The index so many tokens before `end`, at the beginning of a word if there is one. */
function backward(text: string, end: number, tokens: number): number {
  let at = end
  for (let left = tokens; at > 0 && left > 0; at--) left -= tokensAt(text, at - 1)
  if (at === 0) return 0
  const space = /\s/.exec(text.slice(at, Math.min(end, at + MAX_WORD)))
  return space === null ? wholeCharacter(text, at) : at + space.index + 1
}

function forward(text: string, start: number, tokens: number): number {
  let at = start
  for (let left = tokens; at < text.length && left > 0; at++) left -= tokensAt(text, at)
  return wholeCharacter(text, at)
}

/** The index, or that behind it between two halves of a character. */
function wholeCharacter(text: string, at: number): number {
  return /[\ud800-\udbff]/.test(text.charAt(at - 1)) && /[\udc00-\udfff]/.test(text.charAt(at)) ? at + 1 : at
}
