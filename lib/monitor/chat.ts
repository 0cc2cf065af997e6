// Owns how a chat that is sent whole with every request becomes exchanges: which of them are new, and to which conversation they belong.
// Knows neither HTTP nor a provider's messages.

import { nodeCrypto } from '../lazy.js'
import type { Exchange } from './judge.js'
import { ExchangeAssembler } from './exchanges.js'

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

/** Where judged exchanges are kept. */
export interface ChatKeeper<Verdict> {
  /** Ids of the exchanges that were judged, in their order; none for a conversation that has not begun. */
  exchangeIdsOf(conversation: string): Promise<readonly string[]>
  /** Judges the next exchange; one whose id is known gets the verdict it got. */
  judge(conversation: string, exchange: Exchange, exchangeId: string): Promise<Verdict>
}

/** A reply's verdict and the conversation that it was judged in. */
export interface JudgedReply<Verdict> {
  readonly conversation: string
  readonly verdict: Verdict
}

/** The exchanges of a chat; replies without words, such as calls of tools, end none. */
export function exchangesOf(messages: readonly ChatMessage[]): Exchange[] {
  const assembler = new ExchangeAssembler()
  return messages.flatMap(({ role, text }) => {
    if (role === 'assistant' && text.trim() === '') return []
    const known = role === 'user' || role === 'assistant' ? role : 'context'
    const exchange = assembler.push({ role: known, text, turn: null })
    return exchange === null ? [] : [{ user: exchange.user, assistant: exchange.assistant }]
  })
}

/** The conversation that a chat without a name is: the same for every request that begins with the same words, for the same caller. */
export function identityOf(messages: readonly ChatMessage[], caller: string): ChatIdentity {
  const first = messages.findIndex(({ role }) => role === 'user')
  const beginning = JSON.stringify([caller, ...messages.slice(0, first + 1).map(({ role, text }) => [role, text])])
  return { conversation: `chat-${hashOf(beginning).slice(0, 24)}`, explicit: false }
}

/** The conversation in which a chat with this history goes on; null while it has none. */
export async function conversationOf<Verdict>(
  keeper: ChatKeeper<Verdict>,
  identity: ChatIdentity,
  history: readonly ChatMessage[],
): Promise<string | null> {
  if (identity.explicit) return identity.conversation
  const chain = chainOf(exchangesOf(history))
  return chain.length === 0 ? null : (await placeOf(keeper, identity, chain)).conversation
}

/** Judges a reply, after those earlier ones that are not known yet; null for a reply without words. */
export async function judgeReply<Verdict>(
  keeper: ChatKeeper<Verdict>,
  identity: ChatIdentity,
  history: readonly ChatMessage[],
  reply: string,
): Promise<JudgedReply<Verdict> | null> {
  if (reply.trim() === '') return null
  const exchanges = exchangesOf([...history, { role: 'assistant', text: reply }])
  const chain = chainOf(exchanges)
  const { conversation, from } = await placeOf(keeper, identity, chain)
  let verdict: Verdict | undefined
  for (let index = from; index < exchanges.length; index++) verdict = await keeper.judge(conversation, exchanges[index]!, chain[index]!)
  return verdict === undefined ? null : { conversation, verdict }
}

/**
 * The conversation of a chain of exchanges and the first of them to judge there. A chat whose history was changed, or whose reply was
 * asked for again, goes its own way from there under a name of its own, unless it has been named: then only its last exchange is new.
 */
async function placeOf<Verdict>(
  keeper: ChatKeeper<Verdict>,
  { conversation: base, explicit }: ChatIdentity,
  chain: readonly string[],
): Promise<{ conversation: string; from: number }> {
  let conversation = base
  for (;;) {
    const known = await keeper.exchangeIdsOf(conversation)
    const first = chain.findIndex((id) => !known.includes(id))
    if (first === -1) return { conversation, from: chain.length - 1 }
    if (known.length === 0 || known.at(-1) === chain[first - 1]) return { conversation, from: known.length === 0 ? 0 : first }
    const branch = `${base}~${chain[first]!.slice(0, 8)}`
    if (explicit || branch === conversation) return { conversation, from: chain.length - 1 }
    conversation = branch
  }
}

/** An id for every exchange, which stands for all exchanges before it too. */
function chainOf(exchanges: readonly Exchange[]): string[] {
  let last = ''
  return exchanges.map(({ user, assistant }) => (last = hashOf(JSON.stringify([last, user, assistant])).slice(0, 32)))
}

function hashOf(text: string): string {
  return nodeCrypto().createHash('sha256').update(text).digest('hex')
}
