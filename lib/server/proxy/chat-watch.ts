// Owns what the proxy does about a chat: is it ended, what is the verdict on its reply, shall the reply be held back.

import { GabionError, isGabionError, type GabionErrorCode } from '../../errors.js'
import { conversationOf, identityOf, judgeReply, type ChatIdentity, type ChatKeeper, type ChatMessage } from '../../monitor/chat.js'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { MAX_ID_LENGTH } from '../conversations/record.js'
import type { RequestContext } from '../request-context.js'
import type { Service } from '../service.js'

/** What happens on an alert: only told; the reply held back; or held back and the conversation over. */
export const POLICIES = ['observe', 'hold', 'end'] as const
/** See {@link POLICIES}. */
export type Policy = (typeof POLICIES)[number]

/** How the proxy decides. */
export interface PolicyOptions {
  readonly policy: Policy
  /** A reply that could not be judged is held back too; only with `hold` and `end`. */
  readonly failClosed: boolean
  /** Said in the place of a reply that is held back. */
  readonly heldWords: string
}

/** What became of judging a reply. */
export interface ReplyOutcome {
  readonly judged: ExchangeVerdict | null
  /** Why there is no verdict. */
  readonly failure: GabionErrorCode | null
  readonly hold: boolean
}

/** One request's chat. */
export class ChatWatch {
  readonly #service: Service
  readonly #options: PolicyOptions
  readonly #identity: ChatIdentity
  readonly #history: readonly ChatMessage[]
  readonly #context: RequestContext

  constructor(
    service: Service,
    options: PolicyOptions,
    history: readonly ChatMessage[],
    who: { id: string | undefined; caller: string },
    context: RequestContext,
  ) {
    this.#service = service
    this.#options = options
    this.#history = history
    this.#context = context
    this.#identity =
      who.id === undefined ? identityOf(history, who.caller) : { conversation: who.id.slice(0, MAX_ID_LENGTH), explicit: true }
  }

  /** @throws GabionError `CONVERSATION_ENDED` where the policy has ended it */
  async refuseIfEnded(): Promise<void> {
    if (this.#options.policy !== 'end') return
    const id = await conversationOf(this.#keeper(), this.#identity, this.#history)
    const kept = id === null ? null : await this.#service.store.load(id)
    const alert = kept?.record.status.firstAlert ?? null
    if (alert !== null) {
      throw new GabionError('CONVERSATION_ENDED', `conversation ${JSON.stringify(id)} was ended after an alert at its exchange ${alert}`)
    }
  }

  /** Judges a reply; never throws: what goes wrong here must not cost anybody an answer, unless the options say so. */
  async judge(reply: string): Promise<ReplyOutcome> {
    const { policy, failClosed } = this.#options
    try {
      const judged = (await judgeReply(this.#keeper(), this.#identity, this.#history, reply))?.verdict ?? null
      return { judged, failure: null, hold: policy !== 'observe' && judged?.alert === true }
    } catch (error) {
      const failure = isGabionError(error) ? error.code : 'INTERNAL'
      return { judged: null, failure, hold: policy !== 'observe' && failClosed }
    }
  }

  #keeper(): ChatKeeper<ExchangeVerdict> {
    const service = this.#service
    return {
      exchangeIdsOf: async (id) => (await service.store.load(id))?.record.verdicts.flatMap(({ exchangeId }) => exchangeId ?? []) ?? [],
      judge: async (conversation, exchange, exchangeId) =>
        (await service.addExchange({ conversation, ...exchange, exchangeId, exchange: null }, this.#context)).verdict,
    }
  }
}
