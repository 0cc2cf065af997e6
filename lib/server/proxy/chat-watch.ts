// Owns the proxy's decisions on a chat: whether it has ended, the verdict on its replies, whether the response is blocked.

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { AlertOrigin, ReplyOutcome } from '../../alerts/alert.js'
import { GabionError, isGabionError, type GabionErrorCode } from '../../errors.js'
import {
  identityOf,
  judgeReply,
  readChat,
  type ChatExchange,
  type ChatExchanges,
  type ChatIdentity,
  type ChatMessage,
} from '../../monitor/chat.js'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { MAX_ID_LENGTH } from '../conversations/record.js'
import type { RequestContext } from '../request-context.js'
import type { Service } from '../service.js'
import type { ReadCompletion } from './messages.js'

/** Action on an alert: only report it; block the reply; or block it and end the conversation. */
export const POLICIES = ['observe', 'block', 'end'] as const
/** See {@link POLICIES}. */
export type Policy = (typeof POLICIES)[number]

export interface PolicyOptions {
  readonly policy: Policy
  /** Also blocks replies that could not be judged; only with `block` and `end`. */
  readonly failClosed: boolean
  /** Sent instead of a blocked reply. */
  readonly replacementMessage: string
  /** Reports the verdict in a comment of event streams. */
  readonly comments: boolean
}

/** Result of judging a response. */
export interface Outcome {
  /** The first verdict with an alert, else that of the first choice. */
  readonly verdict: ExchangeVerdict | null
  /** Why the response was not judged, or not completely. */
  readonly failure: GabionErrorCode | null
  readonly blocked: boolean
}

/** Headers by which upstreams identify callers. */
const CREDENTIALS = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key'] as const

/** One request's chat. */
export class ChatWatch {
  readonly #service: Service
  readonly #options: PolicyOptions
  readonly #identity: ChatIdentity
  /** Null for a request whose messages could not be read. */
  readonly #history: readonly ChatMessage[] | null
  readonly #context: RequestContext
  readonly #origin: AlertOrigin

  constructor(
    service: Service,
    options: PolicyOptions,
    history: readonly ChatMessage[] | null,
    headers: IncomingHttpHeaders,
    context: RequestContext,
  ) {
    this.#service = service
    this.#options = options
    this.#history = history
    this.#context = context
    const tenant = service.tenants.nameIn(headers)
    const credentials = CREDENTIALS.map((name) => headers[name] ?? null)
    // Tenants never share a conversation.
    const caller = JSON.stringify(tenant === null ? credentials : [...credentials, tenant])
    this.#origin = { caller: callerOf(JSON.stringify(credentials)), tenant, onAlert: OUTCOMES[options.policy] }
    const id = headers['x-gabion-conversation']
    this.#identity =
      typeof id === 'string' && id !== '' ? { conversation: boundId(id, caller), explicit: true } : identityOf(history ?? [], caller)
  }

  /**
   * A conversation has ended for every history that contains an exchange with an alert: with its reply, another one or none.
   *
   * @throws GabionError `CONVERSATION_ENDED` if the policy has ended it
   */
  async refuseIfEnded(): Promise<void> {
    if (this.#options.policy !== 'end') return
    const { store } = this.#service
    const { conversation, explicit } = this.#identity
    const alerted = explicit ? [conversation] : await store.findAlerts(readChat(this.#identity, this.#history ?? []).promptIds)
    for (const id of alerted) {
      // A conversation that was deleted or has expired is no longer ended.
      const first = (await store.load(id))?.record.status.firstAlert ?? null
      if (first !== null) {
        throw new GabionError('CONVERSATION_ENDED', `conversation ${JSON.stringify(id)} was ended after an alert at its exchange ${first}`)
      }
    }
  }

  /** Judges a response. Never throws: a failure must not block a response, unless the options say so. */
  async judge({ replies, readable }: ReadCompletion): Promise<Outcome> {
    const history = this.#history
    let verdict: ExchangeVerdict | null = null
    let failure: GabionErrorCode | null = readable && history !== null ? null : 'REPLY_UNREADABLE'
    try {
      for (const reply of new Set(history === null ? [] : replies)) {
        const next = (await judgeReply(this.#exchanges(), this.#identity, history ?? [], reply))?.verdict ?? null
        if (verdict === null || (next?.alert === true && !verdict.alert)) verdict = next
      }
    } catch (error) {
      failure = isGabionError(error) ? error.code : 'INTERNAL'
    }
    const { policy, failClosed } = this.#options
    const blocked = policy !== 'observe' && (verdict?.alert === true || (failClosed && failure !== null))
    this.#service.metrics.proxied(failure, blocked ? (policy === 'end' ? 'ended' : 'held') : null)
    return { verdict, failure, blocked }
  }

  #exchanges(): ChatExchanges<ExchangeVerdict> {
    const service = this.#service
    return {
      exchangeIdsOf: async (id) => (await service.store.load(id))?.record.verdicts.flatMap(({ exchangeId }) => exchangeId ?? []) ?? [],
      judge: async (conversation, exchange) => {
        const { verdict } = await service.addExchange(
          {
            conversation,
            ...this.#fitted(exchange),
            system: exchange.system ?? '',
            exchangeId: exchange.id,
            exchange: null,
            ...this.#origin,
          },
          this.#context,
        )
        // Independent of the current policy: a proxy with policy `end` may be started later.
        if (verdict.alert && !this.#identity.explicit) await service.store.saveAlert(exchange.promptId, conversation)
        return verdict
      },
    }
  }

  /** An exchange within the service's limits: of texts that are too long, beginning and end are judged. */
  #fitted({ user, assistant }: ChatExchange): { user: string; assistant: string; cut: boolean } {
    const { textLength } = this.#service.limits
    const [fittedUser, fittedAssistant] = [user, assistant].map((text) => endsOf(text, textLength)) as [string, string]
    return { user: fittedUser, assistant: fittedAssistant, cut: fittedUser !== user || fittedAssistant !== assistant }
  }
}

const OUTCOMES: Readonly<Record<Policy, ReplyOutcome>> = { observe: 'passed', block: 'held', end: 'ended' }

/** Names a caller without telling its credentials; null for one without any. */
function callerOf(credentials: string): string | null {
  if (credentials === JSON.stringify(CREDENTIALS.map(() => null))) return null
  return createHash('sha256').update(`caller ${credentials}`).digest('hex').slice(0, 16)
}

/** A caller's conversation id, bound to the caller: no other caller can reach or end the conversation. */
function boundId(id: string, caller: string): string {
  const owner = createHash('sha256')
    .update(JSON.stringify([caller, id]))
    .digest('hex')
    .slice(0, 16)
  return `${id.slice(0, MAX_ID_LENGTH - owner.length - 1)}@${owner}`
}

// Characters of each end of a long text: some thirty windows, so that a pasted file costs little.
const MAX_END_LENGTH = 16 * 1024

/** A text of at most `maxLength` characters; of a longer one, beginning and end. */
export function endsOf(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text
  const length = Math.min(MAX_END_LENGTH, Math.max(0, Math.floor((maxLength - 1) / 2)))
  const head = text.slice(0, length).replace(/[\ud800-\udbff]$/, '')
  const tail = text.slice(text.length - length).replace(/^[\udc00-\udfff]/, '')
  return `${head}\n${tail}`
}
