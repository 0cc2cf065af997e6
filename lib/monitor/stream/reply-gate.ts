// Owns when the pieces of a reply pass: in their order, each once its words have been read without crossing the alert line, or once it has
// waited too long. Knows time and replies; pieces are opaque.

import type { LineCrossing, ReplyReading } from '../../detection/reply-reading.js'
import { GrowingReply, tokensIn } from './growing-reply.js'

/** How long pieces wait. */
export interface GateLimits {
  /** A reading begins when so many tokens are waiting, … */
  readonly lagTokens: number
  /** … and so early that, if it takes as long as the one before, no token waits for more milliseconds. */
  readonly lagMs: number
  /** Milliseconds after which a piece passes unread because reading is behind. */
  readonly maxLagMs: number
  /** Ends the reply instead of passing an unread piece. */
  readonly failClosed: boolean
}

/** The limits that apply where none are given. */
export const GATE_LIMITS: GateLimits = { lagTokens: 40, lagMs: 400, maxLagMs: 2000, failClosed: false }

/** Why nothing passes any more: the reply crossed the line, could not be read in time, or nobody wants the rest. */
export type GateStop =
  | { readonly kind: 'cut'; readonly crossing: LineCrossing; readonly reply: string }
  | { readonly kind: 'refused'; readonly cause: unknown }
  | { readonly kind: 'aborted' }

/** Words of a piece, by the reply that they belong to: a response may have several choices. */
export type PieceWords = readonly { readonly reply: string; readonly text: string }[]

/** Pieces that pass together, once all of them have come and their words have been read: the parts of a tool call. */
export class PieceGroup {
  closedAt: number | null = null
}

interface Waiting<Piece> {
  readonly piece: Piece
  readonly at: number
  /** Replies with their lengths behind the piece. */
  readonly ends: (readonly [GrowingReply, number])[]
  readonly group: PieceGroup | null
  readonly length: number
}

/** A reading is expected to take at most this share of the lag, as the first one is. */
const MAX_EXPECTED = 0.5
/** After a reading, the pause is at most this share of the longest waiting time. */
const MAX_PACE = 0.5
/** The pause after a reading in multiples of its time: under load, readings become fewer and longer. */
const PACE = 2

/** Passed pieces that are kept in front of those that wait. */
const MAX_PASSED = 1024

/** Lets the pieces of one response pass. */
export class ReplyGate<Piece> {
  /** Characters that have passed, and those of them that have passed unread. */
  passed = 0
  unread = 0
  readonly #begin: () => Promise<ReplyReading>
  readonly #limits: GateLimits
  readonly #pass: (piece: Piece) => void
  readonly #changed: () => void
  readonly #replies = new Map<string, GrowingReply>()
  readonly #abort = new AbortController()
  #stop: GateStop | null = null
  #waiting: Waiting<Piece>[] = []
  /** Index of the first waiting piece. */
  #first = 0
  /** When the last group was closed that pieces had to wait for. */
  #openUntil = 0
  /** Since the beginning of the last reading: when the first words came, and how many tokens. */
  #newSince: number | null = null
  #newTokens = 0
  #isReading = false
  #readingSince = 0
  #nextReading = 0
  /** Milliseconds that the next reading is expected to take. */
  #expectedMs: number
  /** Reads without waiting for more words. */
  #hurries = false
  #finished = false
  /** What made the last reading fail. */
  #failure: unknown = null
  #timer: ReturnType<typeof setTimeout> | undefined
  /** When the timer fires; it may be earlier than anything that is due. */
  #timerAt = Infinity

  /**
   * @param begin - begins the reading of a reply
   * @param pass - gets the pieces that pass
   * @param changed - called after {@link stop}, {@link isEmpty} or {@link waitsForGroup} has changed
   */
  constructor(begin: () => Promise<ReplyReading>, limits: GateLimits, pass: (piece: Piece) => void, changed: () => void) {
    this.#begin = begin
    this.#limits = limits
    this.#expectedMs = MAX_EXPECTED * limits.lagMs
    this.#pass = pass
    this.#changed = changed
  }

  /** Null as long as pieces pass. */
  get stop(): GateStop | null {
    return this.#stop
  }

  /** Everything that came has passed. */
  get isEmpty(): boolean {
    return this.#first === this.#waiting.length
  }

  /** Nothing passes before an open group is closed. */
  get waitsForGroup(): boolean {
    return this.#waiting[this.#first]?.group?.closedAt === null
  }

  /** Adds the next piece. It passes at once if it has no words and nothing waits before it. */
  add(piece: Piece, words: PieceWords, group: PieceGroup | null = null): void {
    if (this.#stop !== null) return
    const now = performance.now()
    const ends = words.map(({ reply, text }) => this.#grow(reply, text, now))
    const length = group === null ? words.reduce((sum, { text }) => sum + text.length, 0) : 0
    this.#waiting.push({ piece, at: now, ends, group, length })
    this.#advance()
  }

  /** All pieces of a group have come. It passes when its words, which are read as part of their replies, have been read. */
  close(group: PieceGroup, words: PieceWords): void {
    if (this.#stop !== null || group.closedAt !== null) return
    const now = performance.now()
    const ends = words.map(({ reply, text }) => this.#grow(reply, text, now))
    for (const one of this.#waiting) if (one.group === group) one.ends.push(...ends)
    group.closedAt = now
    this.#hurry()
  }

  /** No more pieces come: those that wait are read without delay. */
  finish(): void {
    if (this.#stop !== null) return
    for (const { group } of this.#waiting.slice(this.#first)) if (group !== null) group.closedAt ??= performance.now()
    this.#finished = true
    this.#hurry()
  }

  /** Ends the reply: something of it cannot be read. */
  refuse(): void {
    this.#end({ kind: 'refused', cause: null })
  }

  /** Drops what waits. */
  abort(): void {
    this.#end({ kind: 'aborted' })
  }

  #grow(key: string, text: string, now: number): readonly [GrowingReply, number] {
    const reply = this.#replies.get(key) ?? new GrowingReply(this.#begin)
    this.#replies.set(key, reply)
    reply.add(text)
    if (text !== '') {
      this.#newSince ??= now
      this.#newTokens += tokensIn(text)
    }
    return [reply, reply.length]
  }

  #hurry(): void {
    this.#hurries = true
    if (this.#failure === null) this.#nextReading = 0
    this.#advance()
  }

  /** Passes what may pass, begins a reading if one is due, and sets the timer for what comes next. */
  #advance(): void {
    const now = performance.now()
    const overdue = this.#passReady(now)
    if (this.stop !== null) return
    if (!this.#isReading && this.#readingDue(now) <= now) void this.#readAll(now)
    this.#wakeAt(this.#isReading ? overdue : Math.min(overdue, this.#readingDue(now)), now)
    this.#changed()
  }

  /** Advances then, or earlier: a timer for every piece would cost more than the rest of its way. */
  #wakeAt(next: number, now: number): void {
    if (next < Infinity && next >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = next
    if (next === Infinity) return
    const wake = (): void => {
      this.#timerAt = Infinity
      this.#advance()
    }
    this.#timer = setTimeout(wake, Math.max(1, Math.ceil(next - now)))
  }

  /** Passes pieces from the front. When the first that remains is overdue; Infinity without one. */
  #passReady(now: number): number {
    for (; ; this.#first++) {
      if (this.isEmpty || this.#first === MAX_PASSED) {
        this.#waiting = this.#waiting.slice(this.#first)
        this.#first = 0
      }
      const first = this.#waiting[this.#first]
      if (first === undefined) return Infinity
      const { piece, ends, group, length } = first
      if (group?.closedAt === null) return Infinity
      this.#openUntil = Math.max(this.#openUntil, group?.closedAt ?? 0)
      const isRead = ends.every(([reply, end]) => reply.read >= end)
      const overdue = isRead ? 0 : this.#overdueAt(first)
      if (now < overdue) return overdue
      if (!isRead && this.#limits.failClosed) {
        this.#end({ kind: 'refused', cause: this.#failure })
        return Infinity
      }
      this.passed += length
      if (!isRead) this.unread += length
      this.#pass(piece)
    }
  }

  /** Where this process itself was busy, a piece waits for a reading all the same. */
  #overdueAt({ at }: Waiting<Piece>): number {
    const { lagMs, maxLagMs } = this.#limits
    const overdue = Math.max(at, this.#openUntil) + maxLagMs
    if (this.#failure !== null) return overdue
    return this.#isReading ? Math.max(overdue, this.#readingSince + lagMs) : Math.max(overdue, this.#nextReading + 2 * lagMs)
  }

  /** When the next reading may begin; Infinity if there is nothing to read. */
  #readingDue(now: number): number {
    if (!this.#hasNew()) return Infinity
    const isWanted = this.#hurries || this.#newTokens >= this.#limits.lagTokens
    return Math.max(isWanted ? now : (this.#newSince ?? now) + this.#limits.lagMs - this.#expectedMs, this.#nextReading)
  }

  #hasNew(): boolean {
    for (const { read, length } of this.#replies.values()) if (read < length) return true
    return false
  }

  async #readAll(started: number): Promise<void> {
    const lengths = [...this.#replies].map(([key, reply]) => [reply, reply.length, key] as const)
    this.#isReading = true
    this.#readingSince = started
    this.#newSince = null
    this.#newTokens = 0
    this.#hurries = this.#finished
    try {
      for (const [reply, , key] of lengths) {
        const crossing = await reply.readMore(this.#abort.signal)
        if (crossing !== null) {
          this.#end({ kind: 'cut', crossing, reply: key })
          return
        }
      }
      this.#failure = null
    } catch (error) {
      this.#failure = error
    }
    this.#isReading = false
    const now = performance.now()
    const { lagMs, maxLagMs } = this.#limits
    this.#expectedMs = Math.min(now - started, MAX_EXPECTED * lagMs)
    const isBehind = lengths.some(([reply, length]) => reply.read < length)
    if (isBehind) this.#hurries = true
    if (this.#failure !== null) this.#nextReading = now + lagMs
    else this.#nextReading = this.#hurries ? 0 : now + Math.min(PACE * (now - started), MAX_PACE * maxLagMs)
    this.#advance()
  }

  #end(stop: GateStop): void {
    if (this.#stop !== null) return
    clearTimeout(this.#timer)
    this.#stop = stop
    this.#waiting = []
    this.#first = 0
    this.#abort.abort()
    this.#changed()
  }
}
