// Owns the proxy's view of one chat request: its path in the tree of exchanges, whether that has ended, and the verdict on its replies.

import { createHash } from 'node:crypto'
import type { ReplyOutcome } from '../../alerts/alert.js'
import type { ReplyReading } from '../../detection/reply-reading.js'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError, isGabionError, type GabionErrorCode } from '../../errors.js'
import {
  asidePrefix,
  branchFor,
  findPath,
  identityOf,
  judgeReply,
  pathTo,
  readChat,
  type ChatExchange,
  type ChatIdentity,
  type ChatPosition,
  type ReadChat,
} from '../../monitor/chat.js'
import type { Reply } from '../../monitor/reply.js'
import { RequestContext } from '../request-context.js'
import type { Service } from '../service.js'
import type { Caller } from './caller.js'
import { DELIVERED, type Delivery } from './delivery.js'
import type { Outcome } from './outcome.js'
import { alertKey, PathExchanges } from './path-exchanges.js'
import type { Policy, PolicyOptions } from './policy.js'
import type { ReadCompletion, ReadRequest } from './protocols/protocol.js'

/** Where a chat continues that the upstream stores. */
interface StoredPosition {
  readonly conversation: string
  readonly after: ChatPosition
  /** Conversations in which alerts were raised before. */
  readonly alerted: readonly string[]
}

const OUTCOMES: Readonly<Record<Policy, ReplyOutcome>> = { observe: 'passed', cut: 'held', hold: 'held', end: 'ended' }

const LEVELS = ['calm', 'elevated', 'alert'] as const

/** One request's chat. */
export class ChatWatch {
  readonly #service: Service
  readonly #options: PolicyOptions
  readonly #caller: Caller
  readonly #origin: { readonly caller: string | null; readonly tenant: string | null }
  readonly #request: ReadRequest
  readonly #context: RequestContext
  #identity: Promise<ChatIdentity> | null = null
  /** Conversations in which alerts were raised before the first message of the request. */
  #alertedBefore: readonly string[] = []
  #chat: Promise<ReadChat> | null = null

  constructor(
    service: Service,
    options: PolicyOptions,
    request: ReadRequest,
    { caller, tenant }: { readonly caller: Caller; readonly tenant: string | null },
    context: RequestContext,
  ) {
    this.#service = service
    this.#options = options
    this.#caller = caller
    this.#origin = { caller: caller.name, tenant }
    this.#request = request
    this.#context = context
  }

  /**
   * A path has ended if it contains an exchange with an alert: with the model's reply, the replacement message or an unknown reply in
   * its place, or with the same message sent again. Another reply that was judged without an alert is another path.
   *
   * @throws GabionError `CONVERSATION_ENDED` if the policy has ended it
   */
  async refuseIfEnded(): Promise<void> {
    if (this.#options.policy !== 'end') return
    const identity = await this.#readIdentity()
    const alerted = identity.explicit ? [identity.conversation] : await this.#alertsOf(await this.#readHistory())
    for (const id of new Set(alerted)) {
      // A conversation that was deleted or has expired is no longer ended.
      const first = (await this.#service.store.load(id))?.record.status.firstAlert ?? null
      if (first !== null) {
        throw new GabionError('CONVERSATION_ENDED', `conversation ${JSON.stringify(id)} was ended after an alert at its exchange ${first}`)
      }
    }
  }

  /** The verdict on the last judged exchange of the request's history; null without any. */
  async latest(): Promise<ExchangeVerdict | null> {
    const identity = await this.#readIdentity()
    const { exchanges, end, promptIds } = await this.#readHistory()
    const { conversation, length } = await findPath(this.#exchanges(exchanges), identity, exchanges)
    const verdicts = (await this.#service.store.load(conversation))?.record.verdicts ?? []
    if (identity.explicit) return verdicts.at(-1) ?? null
    const id = length === 0 ? end.exchangeId : exchanges[length - 1]!.id
    const aside = asidePrefix(promptIds.at(-1)!)
    return verdicts.findLast(({ exchangeId }) => exchangeId === id || exchangeId?.startsWith(aside) === true) ?? null
  }

  /**
   * Judges a response, independently of its client's connection and within the policy's time. Never throws: whether a failure blocks the
   * response is up to the options.
   */
  async judge({ replies, readable, info }: ReadCompletion, delivery = this.#held): Promise<Outcome> {
    const { failClosed, failOpen, judgeTimeoutMs } = this.#options
    const { id, headers } = this.#context
    const context = new RequestContext(id, judgeTimeoutMs, headers)
    const judged: { verdict: ExchangeVerdict | null; failure: GabionErrorCode | null } = {
      verdict: null,
      failure: delivery.refusedFor ?? (readable && this.#request.messages !== null ? null : 'REPLY_UNREADABLE'),
    }
    let missing = false
    try {
      await untilAborted(context.signal, this.#judgeAll(replies, info.continuesAs, delivery, context, judged))
    } catch (error) {
      judged.failure = codeOf(error)
      missing = true
    } finally {
      context.end()
    }
    const { verdict, failure } = judged
    const { outcome, cutFor, refusedFor } = delivery
    const isEnded = cutFor !== undefined || refusedFor !== undefined
    const isRefused = missing ? !failOpen : failClosed && failure !== null
    const blocked = outcome !== 'passed' && (isEnded || verdict?.alert === true || isRefused)
    this.#service.metrics.proxied(failure, blocked ? outcome : null)
    return { verdict, failure, missing, blocked }
  }

  /** Begins to read a reply to the request's last message while it is being written. */
  async beginReply(): Promise<ReplyReading> {
    const { messages } = this.#request
    if (messages === null) throw new GabionError('REPLY_UNREADABLE', "the request's messages could not be read")
    const identity = await this.#readIdentity()
    const path = await pathTo(identity, messages, '.', this.#replaced)
    const history = path.slice(0, -1)
    const { conversation } = await findPath(this.#exchanges(history), identity, history)
    const { user, system } = path.at(-1)!
    const after = identity.explicit ? null : (history.at(-1)?.id ?? identity.after?.exchangeId)
    return await this.#service.beginReply({ conversation, tenant: this.#origin.tenant, after, history, user, system })
  }

  /** Notes that text passed before it was read. */
  passedUnread(): void {
    this.#service.metrics.passedUnread()
  }

  /** Replies that wait for their verdict, if the policy holds them. */
  get #held(): Delivery {
    const { policy, replacementMessage } = this.#options
    return policy === 'observe' ? DELIVERED : { outcome: OUTCOMES[policy], replacementOf: () => replacementMessage }
  }

  /** Judges every choice; notes the worst verdict. */
  async #judgeAll(
    replies: readonly Reply[],
    continuesAs: string | undefined,
    delivery: Delivery,
    context: RequestContext,
    judged: { verdict: ExchangeVerdict | null; failure: GabionErrorCode | null },
  ): Promise<void> {
    const { messages } = this.#request
    if (messages === null) return
    const identity = await this.#readIdentity()
    const { exchanges } = await this.#readHistory()
    if (continuesAs !== undefined) await this.#noteEnd(continuesAs, replies[0]?.words ?? '')
    for (const reply of new Map(replies.map((reply) => [JSON.stringify(reply), reply])).values()) {
      const store = this.#exchanges(exchanges, context, delivery)
      const verdicts = await judgeReply(store, identity, messages, reply, this.#replaced)
      if (store.cut) judged.failure ??= 'TOO_LARGE'
      for (const verdict of verdicts) if (isWorse(verdict, judged.verdict)) judged.verdict = verdict
    }
  }

  /** Notes where a chat continues that the upstream stores. Before judging, since the next request may come at any time. */
  async #noteEnd(name: string, reply: string): Promise<void> {
    const identity = await this.#readIdentity()
    const history = await this.#readHistory()
    const read = await readChat({ ...identity, after: history.end }, [{ role: 'assistant', text: reply }])
    const path = [...history.exchanges, ...read.exchanges]
    const conversation = path.length === 0 ? identity.conversation : (await branchFor(this.#exchanges(path), identity, path)).conversation
    // A message that is not answered yet is the only text in a note.
    const after = this.#service.keepsTexts ? read.end : { ...read.end, user: [] }
    const position: StoredPosition = { conversation, after, alerted: await this.#alertsOf(history) }
    await this.#service.store.saveNote(this.#responseKey(name), JSON.stringify(position))
  }

  #responseKey(name: string): string {
    return `response:${hashOf(JSON.stringify([this.#caller.id, name]))}`
  }

  #readIdentity(): Promise<ChatIdentity> {
    this.#identity ??= this.#findIdentity()
    return this.#identity
  }

  async #findIdentity(): Promise<ChatIdentity> {
    const { messages, continues, conversation } = this.#request
    const explicit = this.#caller.conversation ?? conversation
    if (explicit !== undefined) return { conversation: this.#caller.bind(explicit), explicit: true }
    if (continues === undefined) return identityOf(messages ?? [], this.#caller.id)
    const [note] = await this.#service.store.findNotes([this.#responseKey(continues)])
    if (typeof note === 'string') {
      const { conversation: branch, after, alerted } = JSON.parse(note) as StoredPosition
      this.#alertedBefore = alerted
      return { conversation: branch, explicit: false, after }
    }
    // A chat that began before the proxy watched.
    return { conversation: `chat-${hashOf(this.#responseKey(continues)).slice(0, 24)}`, explicit: false }
  }

  #readHistory(): Promise<ReadChat> {
    this.#chat ??= this.#readIdentity().then((identity) => readChat(identity, this.#request.messages ?? [], this.#replaced))
    return this.#chat
  }

  /** The exchange in whose place the replacement message stands. */
  readonly #replaced = async (promptId: string, assistant: string): Promise<string | null> => {
    // Of a reply that was cut, it follows what had passed.
    if (!squeezed(assistant).endsWith(squeezed(this.#options.replacementMessage))) return null
    const [note] = await this.#service.store.findNotes([alertKey(promptId)])
    return note?.split(' ')[1] ?? null
  }

  /** The conversations in which alerts of a path were raised. */
  async #alertsOf({ exchanges, promptIds }: ReadChat): Promise<string[]> {
    const identity = await this.#readIdentity()
    const contained = [...exchanges.map(({ id }) => id), ...(identity.after === undefined ? [] : [identity.after.exchangeId])]
    const ids = [...promptIds, ...contained]
    const notes = await this.#service.store.findNotes(ids.map(alertKey))
    const alerts = new Map(
      ids.flatMap((id, index) => {
        const note = notes[index] ?? null
        return note === null ? [] : [[id, decodeURIComponent(note.split(' ')[0]!)] as const]
      }),
    )
    if (alerts.size === 0) return [...this.#alertedBefore]
    const answered = new Set(exchanges.map(({ promptId }) => promptId))
    const { length } = await findPath(this.#exchanges(exchanges), identity, exchanges)
    const alerted = [
      ...promptIds.filter((id) => !answered.has(id)),
      ...contained,
      ...exchanges.slice(length).map(({ promptId }) => promptId),
    ].flatMap((id) => alerts.get(id) ?? [])
    return [...this.#alertedBefore, ...alerted]
  }

  #exchanges(history: readonly ChatExchange[], context = this.#context, delivery = DELIVERED): PathExchanges {
    return new PathExchanges(this.#service, delivery, { history, origin: this.#origin }, context)
  }
}

function squeezed(text: string): string {
  return text.replace(/\s+/g, '')
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

function isWorse(verdict: ExchangeVerdict, than: ExchangeVerdict | null): boolean {
  if (than === null) return true
  const rank = ({ alert, level }: ExchangeVerdict): number => Number(alert) * LEVELS.length + LEVELS.indexOf(level)
  return rank(verdict) > rank(than) || (rank(verdict) === rank(than) && verdict.likelihood > than.likelihood)
}

/** Rejects when the signal fires, although the work may still wait for its turn. */
async function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    work.then(resolve, reject)
  })
}

/** The code of a failure; of an abort, that of its reason. */
function codeOf(error: unknown): GabionErrorCode {
  if (!isGabionError(error)) return 'INTERNAL'
  return error.code === 'ABORTED' && isGabionError(error.cause) ? error.cause.code : error.code
}
