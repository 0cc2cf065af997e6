// Owns judging and saving an exchange: once per exchange id, atomically, on any instance.

import { toExchangeVerdict, type ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError } from '../../errors.js'
import { embedExchange, judgeExchange, type Exchange } from '../../monitor/judge.js'
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
  let embedding: ReturnType<typeof embedExchange> | undefined
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const stored = await store.load(id)
    const known = exchangeId === null ? undefined : stored?.record.verdicts.find((earlier) => earlier.exchangeId === exchangeId)
    if (known !== undefined) return { verdict: known, repeated: true }
    checkDue(request, stored)
    const before = stored === null ? { exchanges: 0, state: detector.start() } : readSavedConversation(stored.record.saved, detector)
    const identity = { conversation: id, exchange: before.exchanges + 1, exchangeId, started }
    embedding ??= embedExchange(embedder, detector, request, signal)
    const embedded = await embedding
    const exchange = { ...embedded, truncated: embedded.truncated || cut }
    const judged = await judgeExchange(detector, before.state, exchange, identity, signal)
    const verdict = toExchangeVerdict(judged.verdict)
    const record = withVerdict(stored?.record ?? null, saveConversation(detector, id, identity.exchange, judged.state), verdict)
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
