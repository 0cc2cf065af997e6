// Owns the conversations of requests that repeat their history: which one a request continues, and what is new in it. By session where
// there is one, else by the history itself.

import type { Message } from './exchanges.js'
import type { RequestPiece } from './forms/form.js'
import { spoken } from './forms/request-parts.js'
import { nodeCrypto } from '../lazy.js'

/** What a request adds to a conversation; no messages for one that was there before. */
export interface PlacedRequest {
  readonly conversation: string
  readonly messages: readonly Message[]
  /** It began a conversation of its own because its history differs from that of its session. */
  readonly branched: boolean
}

/** The state between two requests; plain JSON. */
export interface SavedThreads {
  readonly ends: readonly (readonly [string, readonly string[]])[]
  readonly sessions: readonly (readonly [string, string])[]
  readonly replies: readonly (readonly [string, string])[]
  readonly steps: readonly string[]
  readonly names: readonly (readonly [string, number])[]
}

/** Finds the conversation of each request, in the order of the requests. */
export class RequestThreads {
  /** The chain of words at which conversations end now, with their session → the conversations; those of the same words are alike. */
  readonly #ends: Map<string, readonly string[]>
  /** The conversation that a session's requests without history continue. */
  readonly #sessions: Map<string, string>
  /** Name of a reply → its conversation. */
  readonly #replies: Map<string, string>
  /** Last words and reply of each step of a trace. */
  readonly #steps: Set<string>
  readonly #names: Map<string, number>

  constructor(saved?: SavedThreads) {
    this.#ends = new Map(saved?.ends)
    this.#sessions = new Map(saved?.sessions)
    this.#replies = new Map(saved?.replies)
    this.#steps = new Set(saved?.steps)
    this.#names = new Map(saved?.names)
  }

  toJSON(): SavedThreads {
    const { ends, sessions, replies, names } = { ends: this.#ends, sessions: this.#sessions, replies: this.#replies, names: this.#names }
    return { ends: [...ends], sessions: [...sessions], replies: [...replies], steps: [...this.#steps], names: [...names] }
  }

  /** @param fallback names a conversation whose request has no name */
  place(piece: RequestPiece, fallback: string): PlacedRequest {
    const session = piece.conversation
    const chain = chainOf([...piece.history, ...piece.reply], session)
    const hasHistory = piece.history.some(({ role }) => role === 'assistant')
    const [known] = hasHistory ? (this.#ends.get(chain.at(-1)?.key ?? '') ?? []) : []
    if (known !== undefined || this.#isKnownStep(piece))
      return { conversation: known ?? session ?? fallback, messages: [], branched: false }
    const earlier = piece.previous === null ? undefined : this.#replies.get(piece.previous)
    const placed = earlier === undefined ? this.#byHistory(piece, chain, fallback) : continued(earlier, piece)
    this.#remember(placed.conversation, piece, chain)
    return placed
  }

  #byHistory(piece: RequestPiece, chain: readonly Link[], fallback: string): PlacedRequest {
    const { conversation: session, history, reply } = piece
    const longest = chain.findLast(({ key, end }) => end <= history.length && this.#ends.has(key))
    if (longest !== undefined) {
      const [conversation = fallback, ...others] = this.#ends.get(longest.key) ?? []
      if (others.length === 0) this.#ends.delete(longest.key)
      else this.#ends.set(longest.key, others)
      return { conversation, messages: [...history, ...reply].slice(longest.end), branched: false }
    }
    const main = session === null ? undefined : this.#sessions.get(session)
    const hasHistory = history.some(({ role }) => role === 'assistant')
    if (main !== undefined && !hasHistory) return continued(main, piece)
    const conversation = this.#newName(session ?? piece.id ?? fallback)
    return { conversation, messages: [...history, ...reply], branched: main !== undefined }
  }

  #remember(conversation: string, { conversation: session, id }: RequestPiece, chain: readonly Link[]): void {
    const last = chain.at(-1)
    if (last !== undefined) remember(this.#ends, last.key, [...(this.#ends.get(last.key) ?? []), conversation])
    if (session !== null && !this.#sessions.has(session)) remember(this.#sessions, session, conversation)
    if (id !== null) remember(this.#replies, id, conversation)
  }

  /** A trace and its steps record one reply several times. */
  #isKnownStep({ trace, id, history, reply }: RequestPiece): boolean {
    const words = [...spoken(history).slice(-1), ...spoken(reply)]
    if (words.length === 0) return false
    const keys = [trace, id].filter((name) => name !== null).map((name) => hashOf(JSON.stringify([name, ...words])))
    const known = keys.some((key) => this.#steps.has(key))
    for (const key of keys) remember(this.#steps, key)
    return known
  }

  #newName(base: string): string {
    const times = (this.#names.get(base) ?? 0) + 1
    this.#names.set(base, times)
    return times === 1 ? base : `${base}~${String(times)}`
  }
}

/** Of an endless stream, the latest are remembered. */
const MAX_KEPT = 10_000

function remember(into: Set<string>, key: string): void
function remember<Value>(into: Map<string, Value>, key: string, value: Value): void
function remember(into: Set<string> | Map<string, unknown>, key: string, value?: unknown): void {
  into.delete(key)
  if (into instanceof Map) into.set(key, value)
  else into.add(key)
  const [oldest] = into.keys()
  if (into.size > MAX_KEPT && oldest !== undefined) into.delete(oldest)
}

function continued(conversation: string, { history, reply }: RequestPiece): PlacedRequest {
  return { conversation, messages: [...history, ...reply], branched: false }
}

/** All words up to a message, with their session; `end` is the number of messages up to it. */
interface Link {
  readonly key: string
  readonly end: number
}

function chainOf(messages: readonly Message[], session: string | null): Link[] {
  const links: Link[] = []
  let key = hashOf(JSON.stringify(session))
  for (const [index, message] of messages.entries()) {
    const [words] = spoken([message])
    if (words === undefined) continue
    key = hashOf(`${key} ${words}`)
    links.push({ key, end: index + 1 })
  }
  return links
}

function hashOf(text: string): string {
  return nodeCrypto().createHash('sha256').update(text).digest('base64url').slice(0, 22)
}
