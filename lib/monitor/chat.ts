// Owns the mapping of a chat, which every request repeats completely, to exchanges: which are new, and of which conversation.
// Knows neither HTTP nor a provider's messages.

import type { Hash } from 'node:crypto'
import { nodeCrypto } from '../lazy.js'
import type { Exchange } from './judge.js'

/** A message; roles other than `user` and `assistant` are context and not judged. */
export interface ChatMessage {
  readonly role: string
  readonly text: string
}

/** A chat's conversation id, and whether it was explicit or derived from the chat's beginning. */
export interface ChatIdentity {
  readonly conversation: string
  readonly explicit: boolean
}

/** An exchange of a chat with its ids. */
export interface ChatExchange extends Exchange {
  /** The system prompt in force: the last system messages before it; null without any. */
  readonly system: string | null
  /** Hash of the exchange and all before it. */
  readonly id: string
  /** Hash of the user's message and all exchanges before it, without the reply. */
  readonly promptId: string
}

/** Store and judge of a chat's exchanges. */
export interface ChatExchanges<Verdict> {
  /** Ids of the judged exchanges, or the latest of them, in order; empty for a new conversation. */
  exchangeIdsOf(conversation: string): Promise<readonly string[]>
  /** Judges the next exchange; one with a known id gets the same verdict. */
  judge(conversation: string, exchange: ChatExchange): Promise<Verdict>
}

/** A reply's verdict and the conversation in which it was judged. */
export interface JudgedReply<Verdict> {
  readonly conversation: string
  readonly verdict: Verdict
}

/** A chat's exchanges, and the prompt ids of all user messages, also of those without a reply. */
export interface ReadChat {
  readonly exchanges: readonly ChatExchange[]
  readonly promptIds: readonly string[]
}

const SYSTEM_ROLES: readonly string[] = ['system', 'developer']

/**
 * Groups the messages of a chat into exchanges; replies without text, such as tool calls, end none. Of several user messages before
 * a reply, each has its own prompt id, for the exchange that would have ended there.
 */
export function readChat({ conversation }: ChatIdentity, messages: readonly ChatMessage[]): ReadChat {
  const exchanges: ChatExchange[] = []
  const promptIds: string[] = []
  let last = ''
  let user: string[] = []
  let prompt = promptHash(conversation, last)
  let system: string[] = []
  let previous = ''
  const promptId = (): string => prompt.copy().digest('hex').slice(0, 32)
  for (const { role, text } of messages) {
    if (SYSTEM_ROLES.includes(role)) system = SYSTEM_ROLES.includes(previous) ? [...system, text] : [text]
    previous = role
    if (role === 'user') {
      prompt.update(user.length === 0 ? text : `\n${text}`)
      user.push(text)
      promptIds.push(promptId())
    } else if (role === 'assistant' && text.trim() !== '') {
      if (user.length === 0) promptIds.push(promptId())
      const exchange = { user: user.join('\n'), assistant: text, system: system.length === 0 ? null : system.join('\n') }
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

/** The identity of a chat without explicit id: the same for all requests of a caller with the same beginning. */
export function identityOf(messages: readonly ChatMessage[], caller: string): ChatIdentity {
  const first = messages.findIndex(({ role }) => role === 'user')
  const beginning = JSON.stringify([caller, ...messages.slice(0, first + 1).map(({ role, text }) => [role, text])])
  return { conversation: `chat-${hashOf(beginning).slice(0, 24)}`, explicit: false }
}

/** Judges a reply, after the earlier ones that are not judged yet; null for a reply without text. */
export async function judgeReply<Verdict>(
  store: ChatExchanges<Verdict>,
  identity: ChatIdentity,
  history: readonly ChatMessage[],
  reply: string,
): Promise<JudgedReply<Verdict> | null> {
  if (reply.trim() === '') return null
  const { exchanges } = readChat(identity, [...history, { role: 'assistant', text: reply }])
  const { conversation, from } = await findBranch(store, identity, exchanges)
  let verdict: Verdict | undefined
  for (const exchange of exchanges.slice(from)) verdict = await store.judge(conversation, exchange)
  return verdict === undefined ? null : { conversation, verdict }
}

/**
 * The conversation of a chain of exchanges, and the first of them to judge. A chat with an edited history or a regenerated reply
 * becomes a branch with its own id, unless its id is explicit: then only its last exchange is new.
 */
async function findBranch<Verdict>(
  store: ChatExchanges<Verdict>,
  { conversation: base, explicit }: ChatIdentity,
  chain: readonly ChatExchange[],
): Promise<{ conversation: string; from: number }> {
  const last = chain.length - 1
  let conversation = base
  let branchedAt = -1
  for (;;) {
    const known = await store.exchangeIdsOf(conversation)
    // An id covers all exchanges before it, also those that the store has dropped in a long conversation.
    const first = chain.findLastIndex(({ id }) => known.includes(id)) + 1
    if (first > last) return { conversation, from: last }
    if (known.length === 0 || known.at(-1) === chain[first - 1]?.id) return { conversation, from: first }
    // A branch contains the exchange that it begins with, unless the store has dropped it.
    if (explicit || first <= branchedAt) return { conversation, from: last }
    branchedAt = first
    conversation = `${base}~${chain[first]!.id.slice(0, 8)}`
  }
}

function hashOf(text: string): string {
  return nodeCrypto().createHash('sha256').update(text).digest('hex')
}
