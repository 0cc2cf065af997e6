// Middleware for the Vercel AI SDK: monitors the conversations of the wrapped language model, in the caller's process.

import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type {
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3Middleware,
  LanguageModelV3Prompt,
  LanguageModelV3StreamPart,
} from '@ai-sdk/provider'
import type { ReplyReading } from '../detection/reply-reading.js'
import {
  branchFor,
  identityOf,
  judgeReply,
  pathTo,
  type ChatExchange,
  type ChatExchanges,
  type ChatIdentity,
  type ChatMessage,
} from '../monitor/chat.js'
import type { DetectorVerdict, ExchangeVerdict } from '../detection/verdict.js'
import type { Conversation } from '../monitor/conversation.js'
import type { Monitor } from '../monitor/monitor.js'
import { NO_REPLY, textOfCall, type Reply } from '../monitor/reply.js'
import { cutting } from './cutting.js'
import { checkFunction, checkInteger, checkOneOf, checkOptions, checkString, invalidArgument } from '../options.js'

/** Options of {@link gabionMiddleware}. */
export interface GabionMiddlewareOptions<Verdict extends DetectorVerdict = DetectorVerdict> {
  /** Judges the exchanges. */
  monitor: Monitor<unknown, Verdict>
  /**
   * Returns the conversation id of a call. Default: `providerOptions.gabion.conversation` of the call, else derived from the chat's
   * beginning.
   */
  conversation?: (call: LanguageModelV3CallOptions) => string | undefined
  /** Called with every verdict. */
  onVerdict?: (verdict: ExchangeVerdict<Verdict>) => void
  /** Called when a reply could not be judged; it is passed through. */
  onError?: (error: unknown) => void
  /**
   * `observe` (default) only reports. `cut` reads a stream while it passes, and ends it with the replacement message where it crosses the
   * alert line; else it blocks. `block` sends the replacement message instead of a reply that raises an alert, and streams only after the
   * verdict.
   */
  onAlert?: 'observe' | 'cut' | 'block'
  /** Sent instead of a blocked reply. */
  replacementMessage?: string
  /** Maximum of conversations in memory; the least recently used are evicted first. Default 10,000. */
  maxConversations?: number
}

const REPLACEMENT_MESSAGE = 'This reply was blocked by a safety check.'

/**
 * Middleware for `wrapLanguageModel`. Results also carry the verdict in `providerMetadata.gabion`.
 *
 * @throws GabionError `INVALID_ARGUMENT`
 */
export function gabionMiddleware<Verdict extends DetectorVerdict>(options: GabionMiddlewareOptions<Verdict>): LanguageModelV3Middleware {
  const { monitor, conversation, onVerdict, onError, onAlert, replacementMessage, maxConversations } = checkOptions('options', options, [
    'monitor',
    'conversation',
    'onVerdict',
    'onError',
    'onAlert',
    'replacementMessage',
    'maxConversations',
  ])
  if (typeof monitor !== 'object') throw invalidArgument('monitor', 'a Monitor', monitor)
  const policy = checkOneOf('onAlert', onAlert ?? 'observe', ['observe', 'cut', 'block'])
  const replacement = checkString('replacementMessage', replacementMessage ?? REPLACEMENT_MESSAGE)
  for (const [name, callback] of Object.entries({ conversation, onVerdict, onError }))
    if (callback !== undefined) checkFunction(name, callback)
  const exchanges = new MonitorExchanges(monitor, checkInteger('maxConversations', maxConversations ?? 10_000, 1))

  const judge = async (call: LanguageModelV3CallOptions, reply: Reply): Promise<ExchangeVerdict<Verdict> | null> => {
    try {
      const history = messagesOf(call.prompt)
      const verdicts = await judgeReply(exchanges, identityFor(call, history, conversation), history, reply)
      for (const verdict of verdicts) onVerdict?.(verdict)
      return verdicts.find(({ alert }) => alert) ?? verdicts[0] ?? null
    } catch (error) {
      onError?.(error)
      return null
    }
  }

  return {
    specificationVersion: 'v3',
    async wrapGenerate({ doGenerate, params }) {
      const result = await doGenerate()
      const verdict = await judge(params, result.content.reduce(withPart, NO_REPLY))
      if (verdict === null) return result
      const reported = { ...result, providerMetadata: { ...result.providerMetadata, gabion: metadataOf(verdict) } }
      if (policy === 'observe' || !verdict.alert) return reported
      return { ...reported, content: [{ type: 'text', text: replacement }], finishReason: { unified: 'content-filter', raw: 'gabion' } }
    },
    async wrapStream({ doStream, params }) {
      const { stream, ...rest } = await doStream()
      if (policy === 'cut') {
        const begin = (): Promise<ReplyReading> => {
          const history = messagesOf(params.prompt)
          return exchanges.beginReply(identityFor(params, history, conversation), history)
        }
        return { ...rest, stream: ReadableStream.from(cutting(stream, { begin, judge: (reply) => judge(params, reply), replacement })) }
      }
      const transform = policy === 'block' ? blocking : passing
      return { ...rest, stream: stream.pipeThrough(transform((reply) => judge(params, reply), replacement)) }
    },
  }
}

/** Judges a finished reply; null if that fails. */
export type Judge = (reply: Reply) => Promise<ExchangeVerdict | null>
type Parts = TransformStream<LanguageModelV3StreamPart, LanguageModelV3StreamPart>

/** A reply with one more part. */
export function withPart({ words, calls }: Reply, part: LanguageModelV3Content | LanguageModelV3StreamPart): Reply {
  if (part.type === 'text') return { words: words + part.text, calls }
  if (part.type === 'text-delta') return { words: words + part.delta, calls }
  if (part.type !== 'tool-call') return { words, calls }
  const call = textOfCall(part.toolName, part.input)
  return { words, calls: calls === '' ? call : `${calls}\n${call}` }
}

/** Passes parts through at once; the last one carries the verdict. */
function passing(judge: Judge): Parts {
  let reply = NO_REPLY
  return new TransformStream({
    async transform(part, controller) {
      reply = withPart(reply, part)
      if (part.type !== 'finish') {
        controller.enqueue(part)
        return
      }
      controller.enqueue(withVerdict(part, await judge(reply)))
    },
  })
}

/** Buffers parts until the verdict. */
function blocking(judge: Judge, replacement: string): Parts {
  let reply = NO_REPLY
  const buffered: LanguageModelV3StreamPart[] = []
  return new TransformStream({
    async transform(part, controller) {
      reply = withPart(reply, part)
      if (part.type === 'stream-start' || part.type === 'response-metadata') {
        controller.enqueue(part)
        return
      }
      if (part.type !== 'finish') return void buffered.push(part)
      const verdict = await judge(reply)
      if (verdict?.alert !== true) {
        for (const earlier of buffered.splice(0)) controller.enqueue(earlier)
        controller.enqueue(withVerdict(part, verdict))
        return
      }
      buffered.length = 0
      const id = randomUUID()
      controller.enqueue({ type: 'text-start', id })
      controller.enqueue({ type: 'text-delta', id, delta: replacement })
      controller.enqueue({ type: 'text-end', id })
      controller.enqueue(withVerdict({ ...part, finishReason: { unified: 'content-filter', raw: 'gabion' } }, verdict))
    },
    async flush(controller) {
      // An aborted stream has no finish part; what came is not lost, unless it raises an alert.
      if (!buffered.some(({ type }) => type === 'error')) return
      const isBlocked = (await judge(reply))?.alert === true
      for (const part of buffered) if (!isBlocked || part.type === 'error') controller.enqueue(part)
    },
  })
}

/** The last part of a stream, with the verdict. */
export function withVerdict(
  part: Extract<LanguageModelV3StreamPart, { type: 'finish' }>,
  verdict: ExchangeVerdict | null,
): LanguageModelV3StreamPart {
  return verdict === null ? part : { ...part, providerMetadata: { ...part.providerMetadata, gabion: metadataOf(verdict) } }
}

function metadataOf({ conversation, exchange, alert, level, likelihood, reasons }: ExchangeVerdict): {
  conversation: string
  exchange: number
  alert: boolean
  level: string
  likelihood: number
  reasons: string[]
} {
  return { conversation, exchange, alert, level, likelihood, reasons: [...reasons] }
}

function identityFor(
  call: LanguageModelV3CallOptions,
  history: readonly ChatMessage[],
  conversation: GabionMiddlewareOptions['conversation'],
): ChatIdentity {
  const given = conversation?.(call) ?? call.providerOptions?.gabion?.conversation
  return typeof given === 'string' ? { conversation: given, explicit: true } : identityOf(history, '')
}

function messagesOf(prompt: LanguageModelV3Prompt): ChatMessage[] {
  return prompt.map(({ role, content }) => ({
    role,
    text: typeof content === 'string' ? content : content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n'),
  }))
}

/** Conversations of this process with the ids of their exchanges. */
class MonitorExchanges<Verdict extends DetectorVerdict> implements ChatExchanges<ExchangeVerdict<Verdict>> {
  readonly #monitor: Monitor<unknown, Verdict>
  readonly #conversations: LRUCache<
    string,
    { conversation: Conversation<unknown, Verdict>; exchanges: string[]; verdicts: Map<string, ExchangeVerdict<Verdict>> }
  >

  constructor(monitor: Monitor<unknown, Verdict>, maxConversations: number) {
    this.#monitor = monitor
    this.#conversations = new LRUCache({ max: maxConversations })
  }

  exchangeIdsOf(id: string): Promise<readonly string[]> {
    return Promise.resolve(this.#conversations.get(id)?.exchanges ?? [])
  }

  async judge(id: string, { user, assistant, system, id: exchangeId, isAside }: ChatExchange): Promise<ExchangeVerdict<Verdict>> {
    const entry = this.#entryOf(id)
    const known = entry.verdicts.get(exchangeId)
    if (known !== undefined) return known
    // The conversation goes on from the answer that follows the calls, not from the calls.
    const conversation = isAside ? entry.conversation.fork() : entry.conversation
    const verdict = await conversation.addExchange({ user, assistant }, { system })
    if (!isAside) entry.exchanges.push(exchangeId)
    entry.verdicts.set(exchangeId, verdict)
    return verdict
  }

  /** Begins to read the reply to a chat's last message, after its earlier exchanges have been judged. */
  async beginReply(identity: ChatIdentity, history: readonly ChatMessage[]): Promise<ReplyReading> {
    const path = await pathTo(identity, history, '.')
    const { user, system } = path.at(-1)!
    const { conversation: id, from } = await branchFor(this, identity, path)
    const isBranch = from === 0 && path.length > 1 && this.#conversations.get(id) === undefined && id !== identity.conversation
    // A branch that does not exist yet is named by its reply.
    const conversation = isBranch ? this.#monitor.begin(id) : this.#entryOf(id).conversation
    for (const exchange of path.slice(from, -1)) {
      if (isBranch) await conversation.addExchange({ user: exchange.user, assistant: exchange.assistant }, { system: exchange.system })
      else await this.judge(id, exchange)
    }
    return conversation.beginReply(user, { system })
  }

  #entryOf(id: string): {
    conversation: Conversation<unknown, Verdict>
    exchanges: string[]
    verdicts: Map<string, ExchangeVerdict<Verdict>>
  } {
    const entry = this.#conversations.get(id) ?? {
      conversation: this.#monitor.begin(id),
      exchanges: [],
      verdicts: new Map<string, ExchangeVerdict<Verdict>>(),
    }
    this.#conversations.set(id, entry)
    return entry
  }
}
