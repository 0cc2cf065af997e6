// Owns judging the exchanges of one path of a chat: within the service's limits, in its store, with notes on those that raise an alert.

import type { AlertOrigin } from '../../alerts/alert.js'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { isAsideId, type ChatExchange, type ChatExchanges } from '../../monitor/chat.js'
import type { BranchStart } from '../conversations/branch.js'
import type { RequestContext } from '../request-context.js'
import type { Service } from '../service.js'
import { DELIVERED, type Delivery } from './delivery.js'

/** The exchanges of one path, in the service's store. */
export class PathExchanges implements ChatExchanges<ExchangeVerdict> {
  /** The judged reply, or the message that it answers, was longer than the limit. */
  cut = false
  readonly #service: Service
  readonly #delivery: Delivery
  readonly #history: readonly ChatExchange[]
  readonly #origin: AlertOrigin
  readonly #context: RequestContext
  #start: BranchStart | null = null

  constructor(
    service: Service,
    delivery: Delivery,
    { history, origin }: { readonly history: readonly ChatExchange[]; readonly origin: AlertOrigin },
    context: RequestContext,
  ) {
    this.#origin = origin
    this.#service = service
    this.#delivery = delivery
    this.#history = history
    this.#context = context
  }

  async exchangeIdsOf(id: string): Promise<readonly string[]> {
    const { verdicts = [], checkpoints = [] } = (await this.#service.store.load(id))?.record ?? {}
    const inHistories = checkpoints.map(({ exchangeId }) => exchangeId)
    const judged = verdicts.flatMap(({ exchangeId }) => exchangeId ?? [])
    return [...inHistories, ...judged.filter((exchangeId) => !isAsideId(exchangeId) || inHistories.includes(exchangeId))]
  }

  async fork(conversation: string, exchangeId: string): Promise<boolean> {
    const stored = await this.#service.store.load(conversation)
    if (stored?.record.checkpoints?.some((checkpoint) => checkpoint.exchangeId === exchangeId) !== true) return false
    const index = this.#history.findIndex(({ id }) => id === exchangeId)
    this.#start = { conversation, exchangeId, history: this.#history.slice(Math.max(0, index - 2), index + 1) }
    return true
  }

  async judge(conversation: string, exchange: ChatExchange): Promise<ExchangeVerdict> {
    const { store } = this.#service
    const delivered = !this.#history.some(({ id }) => id === exchange.id)
    const fitted = this.#fitted(exchange)
    if (delivered && fitted.cut) this.cut = true
    const { outcome, replacementOf, cutFor } = delivered ? this.#delivery : DELIVERED
    const replacement = replacementOf?.(exchange.assistant) ?? null
    const { verdict } = await this.#service.addExchange(
      {
        conversation,
        ...fitted,
        system: exchange.system ?? '',
        exchangeId: exchange.id,
        exchange: null,
        tree: { start: this.#start, replacement, isAside: exchange.isAside, ...(cutFor !== undefined && { cutFor }) },
        ...this.#origin,
        onAlert: outcome,
      },
      this.#context,
    )
    this.#start = null
    // Independent of the current policy: a proxy with policy `end` may be started later.
    const note = `${encodeURIComponent(verdict.conversation)} ${exchange.id}`
    if (verdict.alert) await Promise.all(exchange.marks.map((id) => store.saveNote(alertKey(id), note)))
    else if (!delivered) await this.#noteChanged(exchange)
    return verdict
  }

  /** A client's own reply in place of one that raised an alert does not take the alert from the path. */
  async #noteChanged({ id, promptId }: ChatExchange): Promise<void> {
    const [note] = await this.#service.store.findNotes([alertKey(promptId)])
    if (typeof note === 'string') await this.#service.store.saveNote(alertKey(id), note)
  }

  /** An exchange within the service's limits: of texts that are too long, beginning and end are judged. */
  #fitted({ user, assistant }: ChatExchange): { user: string; assistant: string; cut: boolean } {
    const { textLength } = this.#service.limits
    const [fittedUser, fittedAssistant] = [user, assistant].map((text) => endsOf(text, textLength)) as [string, string]
    return { user: fittedUser, assistant: fittedAssistant, cut: fittedUser !== user || fittedAssistant !== assistant }
  }
}

/** The key of the note that an exchange, or a message with all before it, has raised an alert. */
export function alertKey(id: string): string {
  return `alert:${id}`
}

// Characters of each end of a long text: some thirty windows.
const MAX_END_LENGTH = 16 * 1024

/** A text of at most `maxLength` characters; of a longer one, beginning and end. */
export function endsOf(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text
  const length = Math.min(MAX_END_LENGTH, Math.max(0, Math.floor((maxLength - 1) / 2)))
  const head = text.slice(0, length).replace(/[\ud800-\udbff]$/, '')
  const tail = text.slice(text.length - length).replace(/^[\udc00-\udfff]/, '')
  return `${head}\n${tail}`
}
