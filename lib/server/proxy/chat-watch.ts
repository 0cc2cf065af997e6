// Owns what the proxy does about a chat: is it ended, what is the verdict on its replies, is the answer blocked.

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { GabionError, isGabionError, type GabionErrorCode } from '../../errors.js'
import {
  identityOf,
  judgeReply,
  readChat,
  type ChatExchange,
  type ChatIdentity,
  type ChatKeeper,
  type ChatMessage,
} from '../../monitor/chat.js'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { MAX_ID_LENGTH } from '../conversations/record.js'
import type { RequestContext } from '../request-context.js'
import type { Service } from '../service.js'
import type { ReadAnswer } from './messages.js'

/** What happens on an alert: it is only reported; the reply is blocked; or it is blocked and the conversation is over. */
export const POLICIES = ['observe', 'block', 'end'] as const
/** See {@link POLICIES}. */
export type Policy = (typeof POLICIES)[number]

/** How the proxy decides. */
export interface PolicyOptions {
  readonly policy: Policy
  /** A reply that could not be judged is blocked too; only with `block` and `end`. */
  readonly failClosed: boolean
  /** Stands in the place of a reply that is blocked. */
  readonly replacementMessage: string
  /** Streams report the verdict in a comment. */
  readonly comments: boolean
}

/** What became of judging an answer. */
export interface Outcome {
  /** The verdict that counts: the first one with an alert, else that of the first choice. */
  readonly judged: ExchangeVerdict | null
  /** Why there is no verdict, or not one on all of the answer. */
  readonly failure: GabionErrorCode | null
  readonly blocked: boolean
}

/** Headers by which upstreams tell their callers apart. */
const CREDENTIALS = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key'] as const

/** One request's chat. */
export class ChatWatch {
  readonly #service: Service
  readonly #options: PolicyOptions
  readonly #identity: ChatIdentity
  /** Null for a request whose messages could not be read. */
  readonly #history: readonly ChatMessage[] | null
  readonly #context: RequestContext

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
    const caller = JSON.stringify(CREDENTIALS.map((name) => headers[name] ?? null))
    const id = headers['x-gabion-conversation']
    this.#identity =
      typeof id === 'string' && id !== '' ? { conversation: boundId(id, caller), explicit: true } : identityOf(history ?? [], caller)
  }

  /**
   * A conversation is over for every history that contains an exchange that raised an alert: with its reply, another one or none.
   *
   * @throws GabionError `CONVERSATION_ENDED` where the policy has ended it
   */
  async refuseIfEnded(): Promise<void> {
    if (this.#options.policy !== 'end') return
    const { store } = this.#service
    const { conversation, explicit } = this.#identity
    const alerted = explicit ? [conversation] : await store.findAlerts(readChat(this.#identity, this.#history ?? []).promptIds)
    for (const id of alerted) {
      // A conversation that was deleted or forgotten is not ended any more.
      const first = (await store.load(id))?.record.status.firstAlert ?? null
      if (first !== null) {
        throw new GabionError('CONVERSATION_ENDED', `conversation ${JSON.stringify(id)} was ended after an alert at its exchange ${first}`)
      }
    }
  }

  /** Judges an answer; never throws: what goes wrong here must not cost anybody an answer, unless the options say so. */
  async judge({ replies, readable }: ReadAnswer): Promise<Outcome> {
    const history = this.#history
    let judged: ExchangeVerdict | null = null
    let failure: GabionErrorCode | null = readable && history !== null ? null : 'REPLY_UNREADABLE'
    try {
      for (const reply of new Set(history === null ? [] : replies)) {
        const one = (await judgeReply(this.#keeper(), this.#identity, history ?? [], reply))?.verdict ?? null
        if (judged === null || (one?.alert === true && !judged.alert)) judged = one
      }
    } catch (error) {
      failure = isGabionError(error) ? error.code : 'INTERNAL'
    }
    const { policy, failClosed } = this.#options
    const blocked = policy !== 'observe' && (judged?.alert === true || (failClosed && failure !== null))
    this.#service.metrics.proxied(failure, blocked)
    return { judged, failure, blocked }
  }

  #keeper(): ChatKeeper<ExchangeVerdict> {
    const service = this.#service
    return {
      exchangeIdsOf: async (id) => (await service.store.load(id))?.record.verdicts.flatMap(({ exchangeId }) => exchangeId ?? []) ?? [],
      judge: async (conversation, exchange) => {
        const { verdict } = await service.addExchange(
          { conversation, ...this.#fitted(exchange), exchangeId: exchange.id, exchange: null },
          this.#context,
        )
        // Whatever the policy is now: the conversation is over for a proxy that ends conversations later.
        if (verdict.alert && !this.#identity.explicit) await service.store.saveAlert(exchange.promptId, conversation)
        return verdict
      },
    }
  }

  /** An exchange within the limits of the service: what is too long is judged by its beginning and its end. */
  #fitted({ user, assistant }: ChatExchange): { user: string; assistant: string; cut: boolean } {
    const { textLength } = this.#service.limits
    const [fittedUser, fittedAssistant] = [user, assistant].map((text) => endsOf(text, textLength)) as [string, string]
    return { user: fittedUser, assistant: fittedAssistant, cut: fittedUser !== user || fittedAssistant !== assistant }
  }
}

/** The name that a caller gives a conversation, for that caller alone: nobody else can reach it, or end it. */
function boundId(id: string, caller: string): string {
  const owner = createHash('sha256')
    .update(JSON.stringify([caller, id]))
    .digest('hex')
    .slice(0, 16)
  return `${id.slice(0, MAX_ID_LENGTH - owner.length - 1)}@${owner}`
}

// Characters of each end of a text that is too long: some thirty windows, so that a pasted file costs little.
const MAX_END_LENGTH = 16 * 1024

/** A text of at most `maxLength`; of a longer one the beginning and the end. */
export function endsOf(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text
  const length = Math.min(MAX_END_LENGTH, Math.max(0, Math.floor((maxLength - 1) / 2)))
  const head = text.slice(0, length).replace(/[\ud800-\udbff]$/, '')
  const tail = text.slice(text.length - length).replace(/^[\udc00-\udfff]/, '')
  return `${head}\n${tail}`
}
