// Owns judging and saving an exchange: once per exchange id, atomically, on any instance.

import type { Alert, AlertOrigin } from '../../alerts/alert.js'
import { alertOf } from '../../alerts/new-alert.js'
import type { ConversationContext } from '../../detection/detector.js'
import { wordless } from '../../detection/wordless.js'
import { toExchangeVerdict, type ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError } from '../../errors.js'
import { checkInstructions, instructed, NO_CONTEXT, afterExchange, type Instructions } from '../../monitor/context.js'
import { ExchangeVectors, judgeExchange, type Exchange } from '../../monitor/judge.js'
import type { Monitor } from '../../monitor/monitor.js'
import { readSavedConversation, saveConversation } from '../../monitor/saved-conversation.js'
import { branchRecord, systemMark, variantOf, type BranchStart } from './branch.js'
import type { LocalContexts } from './local-contexts.js'
import { withVerdict, type ConversationRecord } from './record.js'
import type { ConversationStore } from './store.js'

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
  /** Exchanges of a tree; absent for a conversation without branches. */
  readonly tree?: TreeOptions
}

/** How an exchange of a tree is judged. */
export interface TreeOptions {
  /** Where a new conversation branches off; null for one that begins with this exchange. */
  readonly start: BranchStart | null
  /**
   * Delivered in place of a reply that raises an alert, so that the conversation continues as if this were the reply; null if every
   * reply is delivered.
   */
  readonly replacement: string | null
  /** Why the reply was cut while it was written: it is an alert, whatever the whole of it would be. Absent for other replies. */
  readonly cutFor?: readonly string[]
  /** Calls of tools, not a reply. Unless they raise an alert, the conversation goes on as if there had been none. */
  readonly isAside: boolean
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

type RecordStore = Pick<ConversationStore, 'load' | 'save'>

/**
 * Judges an exchange and saves its verdict; `repeated` if it had been judged before.
 *
 * @param store - loads and saves the conversation's record
 * @throws GabionError `CONFLICT` when another exchange is due, or concurrent writers win; errors of embedding, detector and store
 */
export async function judgeAndStore(
  monitor: Monitor,
  store: RecordStore,
  request: ExchangeRequest,
  signal: AbortSignal,
  keeping: KeepingOptions = {},
): Promise<StoredOutcome> {
  const { conversation: id, exchangeId } = request
  const judgement = new Judgement(monitor, request, signal, keeping)
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const stored = await store.load(id)
    const known = exchangeId === null ? undefined : stored?.record.verdicts.find((earlier) => earlier.exchangeId === exchangeId)
    if (known !== undefined)
      return (await judgeVariant(store, judgement, stored!.record, known)) ?? { verdict: known, repeated: true, alert: null }
    const start = request.tree?.start ?? null
    const before = stored?.record ?? (start === null ? null : branchRecord((await store.load(start.conversation))?.record, start, id))
    checkDue(request, before)
    const judged = await judgement.after(before, id)
    if (await store.save(id, judged.record, stored?.revision ?? null, judged.alert)) return judgement.stored(judged)
  }
  throw new GabionError('CONFLICT', `conversation ${JSON.stringify(id)} has too many concurrent writers; send the exchange again`)
}

/**
 * Judges a known exchange of a tree again if the system prompt is another one now. Only an alert that was none before is stored, in a
 * branch of its own; null in all other cases.
 */
async function judgeVariant(
  store: RecordStore,
  judgement: Judgement,
  record: ConversationRecord,
  known: ExchangeVerdict,
): Promise<StoredOutcome | null> {
  const variant = judgement.isOfTree && !known.alert ? variantOf(record, known, judgement.system) : null
  if (variant === null) return null
  const stored = (await store.load(variant.id))?.record.verdicts.at(-1)
  if (stored !== undefined) return { verdict: stored, repeated: true, alert: null }
  const judged = await judgement.after(variant.record, variant.id)
  if (!judged.verdict.alert) return null
  await store.save(variant.id, judged.record, null, judged.alert)
  return judgement.stored(judged)
}

/** An exchange judged after a record, not stored yet. */
interface Judged {
  readonly verdict: ExchangeVerdict
  readonly record: ConversationRecord
  readonly alert: Alert | null
  /** After the exchange. */
  readonly context: ConversationContext
}

/** One exchange, judged after any record. */
class Judgement {
  readonly system: string
  readonly isOfTree: boolean
  readonly #monitor: Monitor
  readonly #request: ExchangeRequest
  readonly #signal: AbortSignal
  readonly #instructions: Instructions
  readonly #vectors: ExchangeVectors
  readonly #keeping: KeepingOptions
  readonly #started = performance.now()

  constructor(monitor: Monitor, request: ExchangeRequest, signal: AbortSignal, keeping: KeepingOptions) {
    this.#monitor = monitor
    this.#request = request
    this.#signal = signal
    this.#keeping = keeping
    const system = request.system === '' ? (keeping.system ?? '') : request.system
    this.#instructions = checkInstructions({ system: system ?? undefined, rules: request.rules ?? undefined })
    this.#vectors = new ExchangeVectors(monitor.embedder, monitor.detector, request, signal)
    this.system = systemMark(request.system)
    this.isOfTree = request.tree !== undefined
  }

  /** Judges the exchange after a record, as the next one of the conversation `id`. */
  async after(before: ConversationRecord | null, id: string): Promise<Judged> {
    const { detector } = this.#monitor
    const { exchangeId, user, tree } = this.#request
    const { contexts = null, system = null, alertDetails = false } = this.#keeping
    const moment =
      before === null
        ? { exchanges: 0, state: detector.start(), context: instructed(NO_CONTEXT, { system }) }
        : readSavedConversation(before.saved, detector)
    const context = instructed(contexts?.read(id, moment.exchanges) ?? moment.context, this.#instructions)
    const judged = await this.#judge(moment.state, context, id, moment.exchanges + 1)
    const replacement = tree?.replacement ?? null
    const isBad = tree?.cutFor !== undefined || judged.verdict.alert
    const withheld = replacement !== null && (isBad || (await this.#alertsAlone(judged.verdict, context)))
    const verdict = this.#final(judged.verdict, withheld)
    const isLeftOut = tree?.isAside === true && !verdict.alert
    const state = withheld || isLeftOut ? moment.state : judged.state
    const next = isLeftOut ? context : afterExchange(context, withheld ? { user, assistant: replacement } : this.#request)
    const saved = { exchanges: verdict.exchange, state, context: contexts === null ? next : NO_CONTEXT }
    // No history has an exchange of calls, but for the replacement message in its place.
    const isInHistory = tree !== undefined && (!tree.isAside || withheld)
    const checkpoint = !isInHistory || exchangeId === null ? null : { exchangeId, state, system: this.system }
    const record = withVerdict(before, saveConversation(detector, id, saved), verdict, this.#request, checkpoint)
    const { caller, tenant } = record.status
    const alert = alertOf(verdict, { ...this.#request, caller, tenant }, alertDetails && contexts === null)
    return { verdict, record, alert, context: next }
  }

  /** The outcome once it is stored. */
  stored({ verdict, alert, context }: Judged): StoredOutcome {
    this.#keeping.contexts?.write(verdict.conversation, verdict.exchange, context)
    return { verdict, repeated: false, alert }
  }

  #final(verdict: ExchangeVerdict, withheld: boolean): ExchangeVerdict {
    const { cut = false, tree } = this.#request
    const { cutFor } = tree ?? {}
    // As a whole it may stay below the line that a part of it has crossed.
    const raised =
      cutFor === undefined || verdict.level === 'alert' ? {} : { level: 'alert' as const, reasons: [...cutFor, ...verdict.reasons] }
    const whole = toExchangeVerdict({ ...verdict, ...raised, alert: verdict.alert || withheld, truncated: verdict.truncated || cut })
    return (this.#keeping.contexts ?? null) === null ? whole : wordless(whole)
  }

  /** In a conversation at the level alert, a detector raises no further alert: whether the exchange by itself would raise one. */
  async #alertsAlone({ level, exchange, conversation }: ExchangeVerdict, context: ConversationContext): Promise<boolean> {
    if (level !== 'alert') return false
    return (await this.#judge(this.#monitor.detector.start(), context, conversation, exchange)).verdict.alert
  }

  async #judge(
    state: unknown,
    context: ConversationContext,
    conversation: string,
    exchange: number,
  ): Promise<{ verdict: ExchangeVerdict; state: unknown }> {
    const identity = { conversation, exchange, exchangeId: this.#request.exchangeId, started: this.#started }
    return await judgeExchange(this.#monitor.detector, { state, context }, this.#vectors, identity, this.#signal)
  }
}

function checkDue({ conversation, exchange }: ExchangeRequest, record: ConversationRecord | null): void {
  const due = (record?.status.exchanges ?? 0) + 1
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
