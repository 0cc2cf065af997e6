// The interface of streams that may be cut: what each part adds, and how a stream ends after the parts that a client has got.

import type { PieceWords } from '../../../monitor/stream/reply-gate.js'
import { fieldsOf, listOf, parseJson, type CompletionInfo } from './protocol.js'

/** What a part of a stream adds. */
export interface StreamPart {
  readonly words: PieceWords
  /** It belongs to a call of a tool, which a client may execute once it is complete. */
  readonly isCall: boolean
  /** With this part all calls so far are complete: their arguments; null if none are. */
  readonly calls: readonly unknown[] | null
}

/** One stream. */
export interface StreamParts {
  /** A client takes the reply for finished with the last part that was read. */
  readonly isOver: boolean
  /** The number of the part after those that have passed, of an API that numbers them. */
  readonly nextNumber?: number
  /** Reads the next part; undefined for malformed JSON. */
  read(data: unknown): StreamPart
  /** Notes a part that the client gets. */
  passed(data: unknown): void
  /** The rest of a stream that is cut after what has passed: it ends as filtered, with the message as its last words. */
  end(info: CompletionInfo, message: string): string
}

/** A part without words. */
export const NO_WORDS: StreamPart = { words: [], isCall: false, calls: null }

/** A part of a call of a tool. */
export const CALL_PART: StreamPart = { words: [], isCall: true, calls: null }

/** Calls of tools that have begun, by their place in the reply, where each has an end of its own. */
export class OpenCalls {
  readonly #open = new Map<unknown, string>()
  #complete: unknown[] = []

  has(at: unknown): boolean {
    return this.#open.has(at)
  }

  begin(at: unknown): void {
    this.#open.set(at, '')
  }

  /** Adds to a call's arguments. */
  add(at: unknown, json: string): StreamPart {
    this.#open.set(at, (this.#open.get(at) ?? '') + json)
    return CALL_PART
  }

  /** Ends a call; its arguments are those that were added, unless they are given. The last open one completes all. */
  end(at: unknown, given?: unknown): StreamPart {
    this.#complete.push(given ?? this.#open.get(at))
    this.#open.delete(at)
    if (this.#open.size > 0) return CALL_PART
    const calls = this.#complete
    this.#complete = []
    return { ...CALL_PART, calls }
  }
}

/** The message after words that have passed. */
export function messageAfter(passed: boolean, message: string): string {
  return passed ? `\n\n${message}` : message
}

// Shorter values are names and numbers, which say nothing by themselves.
const MIN_WORDS = 4

/** What a call says: the strings of its arguments that have several words, or malformed arguments as they are. */
export function wordsOfCall(args: unknown): string {
  const parsed = typeof args === 'string' ? (parseJson(args) ?? args) : args
  return stringsIn(parsed)
    .filter((text) => text.trim().split(/\s+/).length >= MIN_WORDS)
    .join('\n')
}

// Deeper values are not read.
const MAX_DEPTH = 32

function stringsIn(value: unknown, depth = 0): string[] {
  if (typeof value === 'string') return [value]
  if (depth > MAX_DEPTH) return []
  const values = Array.isArray(value) ? listOf(value) : Object.values(fieldsOf(value))
  return values.flatMap((one) => stringsIn(one, depth + 1))
}
