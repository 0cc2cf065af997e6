// Owns how a chat that is sent whole with every request becomes exchanges: which are new, and to which conversation they belong.
// Knows neither HTTP nor a provider's messages.

import type { Hash } from 'node:crypto'
import { nodeCrypto } from '../lazy.js'
import type { Exchange } from './judge.js'

/** A message with its text; `system`, `tool` and other roles are context and not judged. */
export interface ChatMessage {
  readonly role: string
  readonly text: string
}

/** Which conversation a chat is, and whether somebody said so or it was told from its beginning. */
export interface ChatIdentity {
  readonly conversation: string
  readonly explicit: boolean
}

/** An exchange of a chat with the ids of its place in it. */
export interface ChatExchange extends Exchange {
  /** Stands for the exchange and all before it. */
  readonly id: string
  /** Stands for the user's message and all exchanges before it, whatever the reply. */
  readonly promptId: string
}

/** Where judged exchanges are kept. */
export interface ChatKeeper<Verdict> {
  /** Ids of the exchanges that were judged, in their order, or of the latest of them; none for a conversation that has not begun. */
  exchangeIdsOf(conversation: string): Promise<readonly string[]>
  /** Judges the next exchange; one whose id is known gets the verdict it got. */
  judge(conversation: string, exchange: ChatExchange): Promise<Verdict>
}

/** A reply's verdict and the conversation that it was judged in. */
export interface JudgedReply<Verdict> {
  readonly conversation: string
  readonly verdict: Verdict
}

/** A chat's exchanges, and the prompt ids of all its user messages, also of those without a reply. */
export interface ReadChat {
  readonly exchanges: readonly ChatExchange[]
  readonly promptIds: readonly string[]
}

/**
 * Puts the messages of a chat together to exchanges; replies without words, such as calls of tools, end none. Where several user
 * messages stand before a reply, each of them has a prompt id of its own, for the exchange that would have ended there.
 */
export function readChat({ conversation }: ChatIdentity, messages: readonly ChatMessage[]): ReadChat {
  const exchanges: ChatExchange[] = []
  const promptIds: string[] = []
  let last = ''
  let user: string[] = []
  let prompt = promptHash(conversation, last)
  const promptId = (): string => prompt.copy().digest('hex').slice(0, 32)
  for (const { role, text } of messages) {
    if (role === 'user') {
      prompt.update(user.length === 0 ? text : `\n${text}`)
      user.push(text)
      promptIds.push(promptId())
    } else if (role === 'assistant' && text.trim() !== '') {
      if (user.length === 0) promptIds.push(promptId())
      const exchange = { user: user.join('\n'), assistant: text }
      last = hashOf(JSON.stringify([last, exchange.user, exchange.assistant])).slice(0, 32)
      exchanges.push({ ...exchange, id: last, promptId: promptId() })
      user = []
      prompt = promptHash(conversation, last)
    }
  }
  return { exchanges, promptIds }
}

function promptHash(conversation: string, last: string): Hash {
  return nodeCrypto()
    .createHash('sha256')
    .update(`${JSON.stringify([conversation, last])}\n`)
}

/** The conversation that a chat without a name is: the same for every request that begins with the same words, for the same caller. */
export function identityOf(messages: readonly ChatMessage[], caller: string): ChatIdentity {
  const first = messages.findIndex(({ role }) => role === 'user')
  const beginning = JSON.stringify([caller, ...messages.slice(0, first + 1).map(({ role, text }) => [role, text])])
  return { conversation: `chat-${hashOf(beginning).slice(0, 24)}`, explicit: false }
}

/** Judges a reply, after those earlier ones that are not known yet; null for a reply without words. */
export async function judgeReply<Verdict>(
  keeper: ChatKeeper<Verdict>,
  identity: ChatIdentity,
  history: readonly ChatMessage[],
  reply: string,
): Promise<JudgedReply<Verdict> | null> {
  if (reply.trim() === '') return null
  const { exchanges } = readChat(identity, [...history, { role: 'assistant', text: reply }])
  const { conversation, from } = await findPlace(keeper, identity, exchanges)
  let verdict: Verdict | undefined
  for (const exchange of exchanges.slice(from)) verdict = await keeper.judge(conversation, exchange)
  return verdict === undefined ? null : { conversation, verdict }
}

/**
 * The conversation of a chain of exchanges and the first of them to judge there. A chat whose history was changed, or whose reply was
 * asked for again, goes its own way from there under a name of its own, unless it has been named: then only its last exchange is new.
 */
async function findPlace<Verdict>(
  keeper: ChatKeeper<Verdict>,
  { conversation: base, explicit }: ChatIdentity,
  chain: readonly ChatExchange[],
): Promise<{ conversation: string; from: number }> {
  const last = chain.length - 1
  let conversation = base
  let branchedAt = -1
  for (;;) {
    const known = await keeper.exchangeIdsOf(conversation)
    // An id stands for all exchanges before it, also for those that the keeper has forgotten in a long conversation.
    const first = chain.findLastIndex(({ id }) => known.includes(id)) + 1
    if (first > last) return { conversation, from: last }
    if (known.length === 0 || known.at(-1) === chain[first - 1]?.id) return { conversation, from: first }
    // A branch holds the exchange that it begins with, unless that is forgotten.
    if (explicit || first <= branchedAt) return { conversation, from: last }
    branchedAt = first
    conversation = `${base}~${chain[first]!.id.slice(0, 8)}`
  }
}

function hashOf(text: string): string {
  return nodeCrypto().createHash('sha256').update(text).digest('hex')
}
