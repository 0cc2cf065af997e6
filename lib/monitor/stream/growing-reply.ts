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
/** Characters before the unread ones that are kept: more than a window's. */
const KEPT_LENGTH = 2048

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
    const dropped = this.#dropped
    const { windows, end } = windowsOf(this.#text, this.#read - dropped)
    const crossing = await this.#reading.read(
      windows.map(({ text, start }) => ({ text, start: start + dropped })),
      signal,
    )
    this.#read = end + dropped
    this.#dropRead()
    return crossing
  }

  #dropRead(): void {
    const excess = this.#read - this.#dropped - KEPT_LENGTH
    if (excess < KEPT_LENGTH) return
    this.#text = this.#text.slice(excess)
    this.#dropped += excess
  }
}

/** The windows over what follows `from`, and where the last one ends. A text of at most a window is one, as the guard itself reads it. */
function windowsOf(text: string, from: number): { windows: ReplyWindow[]; end: number } {
  const last = backward(text, text.length, WINDOW_TOKENS)
  if (last <= backward(text, from, OVERLAP_TOKENS)) return { windows: [{ text: text.slice(last), start: last }], end: text.length }
  const windows: ReplyWindow[] = []
  let end = from
  while (end < text.length && windows.length < MAX_WINDOWS) {
    const start = backward(text, end, OVERLAP_TOKENS)
    end = forward(text, start, WINDOW_TOKENS)
    windows.push({ text: text.slice(start, end), start })
  }
  return { windows, end }
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
