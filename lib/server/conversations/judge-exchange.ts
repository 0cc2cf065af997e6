// Owns judging and saving an exchange: once per exchange id, atomically, on any instance.

import { toExchangeVerdict, type ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError } from '../../errors.js'
import { checkInstructions, instructed, NO_CONTEXT, afterExchange } from '../../monitor/context.js'
import { ExchangeVectors, judgeExchange, type Exchange } from '../../monitor/judge.js'
import type { Monitor } from '../../monitor/monitor.js'
import { readSavedConversation, saveConversation } from '../../monitor/saved-conversation.js'
import { withVerdict } from './record.js'
import type { ConversationStore, StoredRecord } from './store.js'

/** A request to judge an exchange. */
export interface ExchangeRequest extends Exchange {
  readonly conversation: string
  /** Idempotency key: an exchange sent again with the same id gets the same verdict. */
  readonly exchangeId: string | null
  /** Number of the exchange, from 1; null for the next one. */
  readonly exchange: number | null
  /** Its texts were cut before; its verdict reports a truncation. */
  readonly cut?: boolean
  /** The system prompt, in force from this exchange on; null leaves what is in force, an empty one ends it. */
  readonly system?: string | null
  /** Rules in addition to it; null leaves those in force. */
  readonly rules?: readonly string[] | null
}

// Of the instances that write a conversation concurrently, one succeeds per attempt.
const MAX_ATTEMPTS = 16

/**
 * Judges an exchange and saves its verdict; `repeated` if it had been judged before.
 *
 * @param store - loads and saves the conversation's record
 * @throws GabionError `CONFLICT` when another exchange is due, or concurrent writers win; errors of embedding, detector and store
 */
export async function judgeAndStore(
  { embedder, detector }: Monitor,
  store: Pick<ConversationStore, 'load' | 'save'>,
  request: ExchangeRequest,
  signal: AbortSignal,
): Promise<{ verdict: ExchangeVerdict; repeated: boolean }> {
  const started = performance.now()
  const { conversation: id, exchangeId, cut = false } = request
  const instructions = checkInstructions({ system: request.system ?? undefined, rules: request.rules ?? undefined })
  const vectors = new ExchangeVectors(embedder, detector, request, signal)
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const stored = await store.load(id)
    const known = exchangeId === null ? undefined : stored?.record.verdicts.find((earlier) => earlier.exchangeId === exchangeId)
    if (known !== undefined) return { verdict: known, repeated: true }
    checkDue(request, stored)
    const before =
      stored === null
        ? { exchanges: 0, state: detector.start(), context: NO_CONTEXT }
        : readSavedConversation(stored.record.saved, detector)
    const identity = { conversation: id, exchange: before.exchanges + 1, exchangeId, started }
    const context = instructed(before.context, instructions)
    const judged = await judgeExchange(detector, { state: before.state, context }, vectors, identity, signal)
    const verdict = toExchangeVerdict({ ...judged.verdict, truncated: judged.verdict.truncated || cut })
    const moment = { exchanges: identity.exchange, state: judged.state, context: afterExchange(context, request) }
    const record = withVerdict(stored?.record ?? null, saveConversation(detector, id, moment), verdict)
    if (await store.save(id, record, stored?.revision ?? null)) return { verdict, repeated: false }
  }
  throw new GabionError('CONFLICT', `conversation ${JSON.stringify(id)} has too many concurrent writers; send the exchange again`)
}

function checkDue({ conversation, exchange }: ExchangeRequest, stored: StoredRecord | null): void {
  const due = (stored?.record.status.exchanges ?? 0) + 1
  if (exchange !== null && exchange !== due) {
    throw new GabionError('CONFLICT', `exchange ${due} of conversation ${JSON.stringify(conversation)} is due, got exchange ${exchange}`)
  }
}

/** Runs tasks of the same key one after the other, those of different keys concurrently. */
export class KeyedQueue {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Keys with pending tasks. */
  get size(): number {
    return this.#last.size
  }

  async run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve()
    const mine = before.then(() => {
      if (signal.aborted) throw new GabionError('ABORTED', 'the exchange was aborted while it waited', { cause: signal.reason })
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
