// Owns how one more exchange is judged and kept: once by its id, whole or not at all, whichever instance it comes to.

import { toExchangeVerdict, type ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError } from '../../errors.js'
import { embedExchange, judgeExchange, type Exchange } from '../../monitor/judge.js'
import type { Monitor } from '../../monitor/monitor.js'
import { readSavedConversation, saveConversation } from '../../monitor/saved-conversation.js'
import { withVerdict } from './record.js'
import type { ConversationStore, StoredRecord } from './store.js'

/** An exchange as it comes in. */
export interface ExchangeRequest extends Exchange {
  readonly conversation: string
  /** Known again: an exchange of the same id is answered with the verdict that it got. */
  readonly exchangeId: string | null
  /** Which exchange this is, from 1; null takes whatever is next. */
  readonly exchange: number | null
  /** Its texts are not all of what was said; its verdict says that they were cut. */
  readonly cut?: boolean
}

// Instances that write one conversation at once compete; each round one of them wins.
const MAX_ATTEMPTS = 16

/**
 * Judges an exchange and keeps its verdict; `repeated` where it had been judged before.
 *
 * @param store - where the conversation's record comes from and goes to
 * @throws GabionError `CONFLICT` when another exchange is due, or others keep writing; what embedding, detector and store throw
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
  throw new GabionError('CONFLICT', `others kept writing conversation ${JSON.stringify(id)} at the same time; send the exchange again`)
}

function checkDue({ conversation, exchange }: ExchangeRequest, stored: StoredRecord | null): void {
  const due = (stored?.record.status.exchanges ?? 0) + 1
  if (exchange !== null && exchange !== due) {
    throw new GabionError('CONFLICT', `exchange ${due} of conversation ${JSON.stringify(conversation)} is due, got exchange ${exchange}`)
  }
}

/** Runs work of one key strictly one after the other; other keys do not wait. */
export class KeyedQueue {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Keys with pending work. */
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
