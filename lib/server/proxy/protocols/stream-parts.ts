// The interface of streams that may be cut: what each part adds, and how a stream ends after the parts that a client has got.

import type { PieceWords } from '../../../monitor/stream/reply-gate.js'
import { Calls, type CallPart } from './calls.js'
import type { CompletionInfo } from './protocol.js'

/** What a part of a stream adds. */
export interface StreamPart {
  readonly words: PieceWords
  /** It belongs to a call of a tool, which a client may execute once it is complete. */
  readonly isCall: boolean
  /** With this part all calls so far are complete: what they say; null if they are not. */
  readonly calls: PieceWords | null
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
  readonly #open = new Set<unknown>()
  #calls = new Calls()

  has(at: unknown): boolean {
    return this.#open.has(at)
  }

  begin(call: CallPart): StreamPart {
    this.#open.add(call.key)
    this.#calls.add(call)
    return CALL_PART
  }

  /** Adds to a call's arguments. */
  add(at: unknown, json: string): StreamPart {
    this.#calls.add({ key: at, args: json })
    return CALL_PART
  }

  /** Ends a call; its arguments are those that were added, unless they are given. The last open one completes all. */
  end(call: CallPart): StreamPart {
    this.#calls.complete(call)
    this.#open.delete(call.key)
    if (this.#open.size > 0) return CALL_PART
    const text = this.#calls.text()
    this.#calls = new Calls()
    return { ...CALL_PART, calls: [{ reply: '', text }] }
  }
}

/** The message after words that have passed. */
export function messageAfter(passed: boolean, message: string): string {
  return passed ? `\n\n${message}` : message
}
