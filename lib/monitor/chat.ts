// Owns the mapping of a chat, which every request repeats completely, to a path in a tree of exchanges: which are new, and of which
// conversation. Knows neither HTTP nor a provider's messages.

import type { Hash } from 'node:crypto'
import { nodeCrypto } from '../lazy.js'
import type { Exchange } from './judge.js'
import type { Reply } from './reply.js'

/** A message; roles other than `user` and `assistant` are context and not judged. */
export interface ChatMessage {
  readonly role: string
  readonly text: string
}

/** A chat's conversation id, and whether it was explicit or derived from the chat's beginning. */
export interface ChatIdentity {
  readonly conversation: string
  readonly explicit: boolean
  /** Position that the messages continue from; absent if they begin the chat. */
  readonly after?: ChatPosition
}

/** A position in a chat: the last exchange's id, and the user's messages after it. */
export interface ChatPosition {
  readonly exchangeId: string
  readonly user: readonly string[]
}

/** An exchange of a chat with its ids. */
export interface ChatExchange extends Exchange {
  /** The system prompt in force: the last system messages before it; null without any. */
  readonly system: string | null
  /** Hash of the exchange and all before it. */
  readonly id: string
  /** Hash of the user's message and all exchanges before it, without the reply. */
  readonly promptId: string
  /** Calls of tools in the place of the reply: no exchange of a history, which goes on with the results of the calls. */
  readonly isAside: boolean
  /** What a history that contains the exchange has of it: its id, its prompt id, and the id of the words beside calls. */
  readonly marks: readonly string[]
}

/** Store and judge of a chat's exchanges. */
export interface ChatExchanges<Verdict> {
  /** Ids of the judged exchanges, or the latest of them, in order; empty for a new conversation. */
  exchangeIdsOf(conversation: string): Promise<readonly string[]>
  /** Begins a branch with the conversation's state after one of its exchanges; false if that state is not stored any more. */
  fork?(conversation: string, exchangeId: string, branch: string): Promise<boolean>
  /** Judges the next exchange; one with a known id gets the same verdict. */
  judge(conversation: string, exchange: ChatExchange): Promise<Verdict>
}

/** A chat's exchanges, and the prompt ids of everything that was or may be replied to. */
export interface ReadChat {
  readonly exchanges: readonly ChatExchange[]
  readonly promptIds: readonly string[]
  /** After the last message. */
  readonly end: ChatPosition
}

/** The id of the exchange whose reply was replaced, if `assistant` is the replacement; else null. */
export type ReplacedExchange = (promptId: string, assistant: string) => Promise<string | null>

const SYSTEM_ROLES: readonly string[] = ['system', 'developer']

/**
 * Groups the messages of a chat into exchanges; replies without text, such as tool calls, end none. Of several user messages before
 * a reply, each has its own prompt id, for the exchange that would have ended there. Ids depend neither on system prompts, which may
 * differ between requests, nor on whitespace, which clients trim; nor on replies before the first user message.
 */
export async function readChat(
  { conversation, after }: ChatIdentity,
  messages: readonly ChatMessage[],
  replaced: ReplacedExchange = () => Promise.resolve(null),
): Promise<ReadChat> {
  const exchanges: ChatExchange[] = []
  const promptIds: string[] = []
  let last = after?.exchangeId ?? rootOf(conversation)
  let user = [...(after?.user ?? [])]
  let prompt = promptHash(last, user)
  let system: string[] = []
  let previous = ''
  const promptId = (): string => prompt.copy().digest('hex').slice(0, 32)
  const notePrompt = (): void => {
    const id = promptId()
    if (promptIds.at(-1) !== id) promptIds.push(id)
  }
  const first = after === undefined ? messages.findIndex(({ role }) => role === 'user') : 0
  for (const [index, { role, text }] of messages.entries()) {
    if (SYSTEM_ROLES.includes(role)) system = SYSTEM_ROLES.includes(previous) ? [...system, text] : [text]
    previous = role
    if (role === 'user') {
      prompt.update(squeezed(text))
      user.push(text)
      notePrompt()
    } else if (role === 'assistant' && index >= first) {
      notePrompt()
      if (text.trim() === '') continue
      const exchange = { user: user.join('\n'), assistant: text, system: system.length === 0 ? null : system.join('\n') }
      const id = hashOf(JSON.stringify([last, squeezed(exchange.user), squeezed(text)])).slice(0, 32)
      last = (await replaced(promptId(), text)) ?? id
      exchanges.push(exchangeOf(exchange, last, promptIds.at(-1)!))
      user = []
      prompt = promptHash(last, user)
    }
  }
  notePrompt()
  return { exchanges, promptIds, end: { exchangeId: last, user } }
}

function exchangeOf(exchange: Pick<ChatExchange, 'user' | 'assistant' | 'system'>, id: string, promptId: string): ChatExchange {
  return { ...exchange, id, promptId, isAside: false, marks: [promptId, id] }
}

/** The position before a conversation's first exchange. */
function rootOf(conversation: string): string {
  return hashOf(`root ${conversation}`).slice(0, 32)
}

function promptHash(last: string, user: readonly string[]): Hash {
  const hash = nodeCrypto().createHash('sha256').update(`${last}\n`)
  for (const text of user) hash.update(squeezed(text))
  return hash
}

function squeezed(text: string): string {
  return text.replace(/\s+/g, '')
}

/** The identity of a chat without explicit id: the same for all chats of a caller with the same first user message. */
export function identityOf(messages: readonly ChatMessage[], caller: string): ChatIdentity {
  const first = messages.find(({ role }) => role === 'user')?.text ?? ''
  return { conversation: `chat-${hashOf(JSON.stringify([caller, squeezed(first)])).slice(0, 24)}`, explicit: false }
}

/**
 * Judges a reply, after the earlier ones that are not judged yet: its words, and then its calls of tools by themselves, so that neither
 * hides the other. None for a reply without both.
 */
export async function judgeReply<Verdict>(
  store: ChatExchanges<Verdict>,
  identity: ChatIdentity,
  history: readonly ChatMessage[],
  { words, calls }: Reply,
  replaced?: ReplacedExchange,
): Promise<Verdict[]> {
  const hasWords = words.trim() !== ''
  const paths = [
    ...(hasWords ? [await pathTo(identity, history, words, replaced)] : []),
    ...(calls === '' ? [] : [await pathToCalls(identity, history, { words, calls }, replaced)]),
  ]
  const verdicts: Verdict[] = []
  for (const path of paths) verdicts.push(await judgePath(store, identity, path))
  return verdicts
}

/** The exchanges of a chat with a reply to its last message, which is not blank. */
export async function pathTo(
  identity: ChatIdentity,
  history: readonly ChatMessage[],
  reply: string,
  replaced?: ReplacedExchange,
): Promise<ChatExchange[]> {
  const { exchanges: earlier, end } = await readChat(identity, history, replaced)
  const { exchanges } = await readChat({ ...identity, after: end }, [...systemMessagesOf(history), { role: 'assistant', text: reply }])
  return [...earlier, ...exchanges]
}

/** The same, with an exchange of a reply's calls behind its words. */
async function pathToCalls(
  identity: ChatIdentity,
  history: readonly ChatMessage[],
  { words, calls }: Reply,
  replaced?: ReplacedExchange,
): Promise<ChatExchange[]> {
  const path = await pathTo(identity, history, words.trim() === '' ? calls : words, replaced)
  const last = path.at(-1)!
  const id = `${asidePrefix(last.promptId)}${hashOf(calls).slice(0, 12)}`
  const aside = { ...last, assistant: calls, id, isAside: true }
  if (words.trim() === '') return [...path.slice(0, -1), { ...aside, marks: [last.promptId, id] }]
  return [...path, { ...aside, marks: [...last.marks, id] }]
}

/** With what the ids of all exchanges of calls begin that are made for a message. */
export function asidePrefix(promptId: string): string {
  return `calls-${promptId}-`
}

/** Whether an id is that of an exchange of calls. */
export function isAsideId(exchangeId: string): boolean {
  return exchangeId.startsWith('calls-')
}

/** Judges the exchanges of a path that are not judged yet; the last one's verdict. */
async function judgePath<Verdict>(store: ChatExchanges<Verdict>, identity: ChatIdentity, path: readonly ChatExchange[]): Promise<Verdict> {
  const { conversation, from } = await branchFor(store, identity, path)
  for (const exchange of path.slice(from, -1)) await store.judge(conversation, exchange)
  return await store.judge(conversation, path.at(-1)!)
}

function systemMessagesOf(history: readonly ChatMessage[]): ChatMessage[] {
  const last = history.findLastIndex(({ role }) => SYSTEM_ROLES.includes(role))
  const before = history.slice(0, last + 1).findLastIndex(({ role }) => !SYSTEM_ROLES.includes(role))
  return history.slice(before + 1, last + 1)
}

/** The longest part of a path that was judged before: in which branch, and how many exchanges it has. */
export interface KnownPath {
  readonly conversation: string
  readonly length: number
  /** Whether the branch ends there. */
  readonly isEnd: boolean
}

/** Follows a path through the branches of a tree. A branch is named by its first exchange that is not in the branch it begins in. */
export async function findPath(
  store: Pick<ChatExchanges<unknown>, 'exchangeIdsOf'>,
  { conversation: start, after }: ChatIdentity,
  path: readonly { readonly id: string }[],
): Promise<KnownPath> {
  let found: KnownPath = { conversation: start, length: 0, isEnd: false }
  for (let conversation = start; ;) {
    const known = await store.exchangeIdsOf(conversation)
    // An id covers all exchanges before it, also those that the store has dropped in a long conversation.
    const ids = new Set(known)
    const length = path.findLastIndex(({ id }) => ids.has(id)) + 1
    if (conversation !== start && length <= found.length) return found
    const end = length === 0 ? after?.exchangeId : path[length - 1]!.id
    found = { conversation, length, isEnd: known.length === 0 || known.at(-1) === end }
    const next = path[length]
    if (found.isEnd || next === undefined) return found
    conversation = branchOf(start, next.id)
  }
}

function branchOf(conversation: string, exchangeId: string): string {
  return `${conversation.split('~')[0]!}~${exchangeId.slice(0, 12)}`
}

/**
 * The branch in which a path is judged, and the first of its exchanges to judge. A path with an edited history or a regenerated reply
 * becomes a branch with its own id, unless its id is explicit: then only its last exchange is new.
 */
export async function branchFor(
  store: ChatExchanges<unknown>,
  identity: ChatIdentity,
  path: readonly ChatExchange[],
): Promise<{ conversation: string; from: number }> {
  const last = path.length - 1
  const { conversation, length, isEnd } = await findPath(store, identity, path)
  if (length > last) return { conversation, from: last }
  if (isEnd) return { conversation, from: length }
  if (identity.explicit) return { conversation: identity.conversation, from: last }
  const branch = branchOf(conversation, path[length]!.id)
  const before = length === 0 ? identity.after?.exchangeId : path[length - 1]!.id
  if (before === undefined) return { conversation: branch, from: 0 }
  return { conversation: branch, from: (await store.fork?.(conversation, before, branch)) === true ? length : 0 }
}

function hashOf(text: string): string {
  return nodeCrypto().createHash('sha256').update(text).digest('hex')
}
