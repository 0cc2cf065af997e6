// Owns judging and saving an exchange: once per exchange id, atomically, on any instance.

import { alertOf, type Alert, type AlertOrigin } from '../../alerts/alert.js'
import { wordless } from '../../detection/wordless.js'
import { toExchangeVerdict, type ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError } from '../../errors.js'
import { checkInstructions, instructed, NO_CONTEXT, afterExchange } from '../../monitor/context.js'
import { ExchangeVectors, judgeExchange, type Exchange } from '../../monitor/judge.js'
import type { Monitor } from '../../monitor/monitor.js'
import { readSavedConversation, saveConversation } from '../../monitor/saved-conversation.js'
import type { LocalContexts } from './local-contexts.js'
import { withVerdict } from './record.js'
import type { ConversationStore, StoredRecord } from './store.js'

/** A request to judge an exchange. */
export interface ExchangeRequest extends Exchange, AlertOrigin {
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

/** What of an exchange is kept. */
export interface KeepingOptions {
  /** Alerts carry the words behind them. */
  readonly alertDetails?: boolean
  /** Where the words of conversations stay, if they may not reach the store; without it, the record has them. */
  readonly contexts?: LocalContexts | null
  /** System prompt of the conversations that have none of their own. */
  readonly system?: string | null
}

/** A judged exchange. */
export interface StoredOutcome {
  readonly verdict: ExchangeVerdict
  /** It had been judged before. */
  readonly repeated: boolean
  /** Null without an alert, and for a repeated exchange. */
  readonly alert: Alert | null
}

/**
 * Judges an exchange and saves its verdict.
 *
 * @param store - loads and saves the conversation's record
 * @throws GabionError `CONFLICT` when another exchange is due, or concurrent writers win; errors of embedding, detector and store
 */
export async function judgeAndStore(
  { embedder, detector }: Monitor,
  store: Pick<ConversationStore, 'load' | 'save'>,
  request: ExchangeRequest,
  signal: AbortSignal,
  { alertDetails = false, contexts = null, system = null }: KeepingOptions = {},
): Promise<StoredOutcome> {
  const started = performance.now()
  const { conversation: id, exchangeId, cut = false } = request
  const instructions = checkInstructions({
    system: request.system === '' ? (system ?? '') : (request.system ?? undefined),
    rules: request.rules ?? undefined,
  })
  const vectors = new ExchangeVectors(embedder, detector, request, signal)
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const stored = await store.load(id)
    const known = exchangeId === null ? undefined : stored?.record.verdicts.find((earlier) => earlier.exchangeId === exchangeId)
    if (known !== undefined) return { verdict: known, repeated: true, alert: null }
    checkDue(request, stored)
    const before =
      stored === null
        ? { exchanges: 0, state: detector.start(), context: instructed(NO_CONTEXT, { system }) }
        : readSavedConversation(stored.record.saved, detector)
    const identity = { conversation: id, exchange: before.exchanges + 1, exchangeId, started }
    const context = instructed(contexts?.read(id, before.exchanges) ?? before.context, instructions)
    const judged = await judgeExchange(detector, { state: before.state, context }, vectors, identity, signal)
    const whole = toExchangeVerdict({ ...judged.verdict, truncated: judged.verdict.truncated || cut })
    const verdict = contexts === null ? whole : wordless(whole)
    const next = afterExchange(context, request)
    const moment = { exchanges: identity.exchange, state: judged.state, context: contexts === null ? next : NO_CONTEXT }
    const record = withVerdict(stored?.record ?? null, saveConversation(detector, id, moment), verdict, request)
    const { caller, tenant } = record.status
    const alert = alertOf(verdict, { ...request, caller, tenant }, alertDetails && contexts === null)
    if (await store.save(id, record, stored?.revision ?? null, alert)) {
      contexts?.write(id, identity.exchange, next)
      return { verdict, repeated: false, alert }
    }
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
