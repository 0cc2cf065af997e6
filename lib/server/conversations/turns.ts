// Owns how one more turn is judged and kept: in order, once by its id, whole or not at all, whichever instance it comes to.

import type { Embedder } from '../../embedding/embedder.js'
import { GabionError } from '../../errors.js'
import { Conversation, readSavedConversation, type ConversationEmbedder, type Exchange } from '../../monitor/conversation.js'
import type { Monitor } from '../../monitor/monitor.js'
import { toJudgedTurn, withTurn, type ConversationRecord, type JudgedTurn } from './record.js'
import type { Kept } from './store.js'

/** A turn as it comes in. */
export interface NewTurn extends Exchange {
  readonly conversation: string
  /** Known again: a turn of the same id is answered with the verdict that it got. */
  readonly turnId: string | null
  /** Which exchange this is, from 1; null takes whatever is next. */
  readonly turn: number | null
}

/** A turn that was judged, and whether it had been before. */
export interface TurnOutcome {
  readonly judged: JudgedTurn
  readonly repeated: boolean
}

/** Where a turn's record comes from and goes to. */
export interface TurnKeeper {
  load(id: string): Promise<Kept | null>
  /** False when somebody else has written since. */
  save(id: string, record: ConversationRecord, revision: string | null): Promise<boolean>
}

// Instances that write one conversation at once take turns; each round one of them wins.
const MOST_ROUNDS = 16

/**
 * Judges a turn and keeps it.
 *
 * @throws GabionError `CONFLICT` when another turn is due, or others keep writing; what embedding, detector and store throw
 */
export async function takeTurn(monitor: Monitor, keeper: TurnKeeper, turn: NewTurn, signal: AbortSignal): Promise<TurnOutcome> {
  const { conversation: id, user, assistant, turnId } = turn
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const kept = await keeper.load(id)
    const repeated = turnId === null ? undefined : kept?.record.turns.find((earlier) => earlier.turnId === turnId)
    if (repeated !== undefined) return { judged: repeated, repeated: true }
    checkDue(turn, kept)
    const embedder = new TimedEmbedder(monitor.embedder)
    const from = kept === null ? undefined : readSavedConversation(kept.record.saved, monitor.detector).from
    const conversation = new Conversation(embedder, monitor.detector, id, from)
    const verdict = await conversation.addTurn({ user, assistant }, { signal })
    const judged = toJudgedTurn(verdict, turnId, embedder.queueMs)
    if (await keeper.save(id, withTurn(kept?.record ?? null, conversation.toJSON(), judged), kept?.revision ?? null)) {
      return { judged, repeated: false }
    }
  }
  throw new GabionError('CONFLICT', `others kept writing conversation ${JSON.stringify(id)} at the same time; send the turn again`)
}

function checkDue({ conversation, turn }: NewTurn, kept: Kept | null): void {
  const due = (kept?.record.brief.turns ?? 0) + 1
  if (turn !== null && turn !== due) {
    throw new GabionError('CONFLICT', `turn ${due} of conversation ${JSON.stringify(conversation)} is due, got turn ${turn}`)
  }
}

/** An embedder that remembers how long its texts have waited. */
class TimedEmbedder implements ConversationEmbedder {
  queueMs = 0
  readonly #embedder: ConversationEmbedder

  constructor(embedder: ConversationEmbedder) {
    this.#embedder = embedder
  }

  async embedBatch(...args: Parameters<Embedder['embedBatch']>): ReturnType<Embedder['embedBatch']> {
    const batch = await this.#embedder.embedBatch(...args)
    this.queueMs += batch.timings.queueMs
    return batch
  }

  async embedWindows(...args: Parameters<Embedder['embedWindows']>): ReturnType<Embedder['embedWindows']> {
    const batch = await this.#embedder.embedWindows(...args)
    this.queueMs += batch.timings.queueMs
    return batch
  }
}

/** Runs work of one key strictly one after the other; other keys do not wait. */
export class Lanes {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Keys with work under way. */
  get size(): number {
    return this.#last.size
  }

  async run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve()
    const mine = before.then(() => {
      if (signal.aborted) throw new GabionError('ABORTED', 'the turn was aborted while it waited', { cause: signal.reason })
      return work()
    })
    const settled = mine.catch(() => undefined)
    this.#last.set(key, settled)
    try {
      return await mine
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key)
    }
  }
}
