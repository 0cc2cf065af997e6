// Middleware for the Vercel AI SDK: watches the conversation of a language model that is wrapped with it, in the caller's own process.

import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type {
  LanguageModelV3CallOptions,
  LanguageModelV3Middleware,
  LanguageModelV3Prompt,
  LanguageModelV3StreamPart,
} from '@ai-sdk/provider'
import { identityOf, judgeReply, type ChatExchange, type ChatIdentity, type ChatKeeper, type ChatMessage } from '../monitor/chat.js'
import type { DetectorVerdict, ExchangeVerdict } from '../detection/verdict.js'
import type { Conversation } from '../monitor/conversation.js'
import type { Monitor } from '../monitor/monitor.js'
import { checkFunction, checkInteger, checkOneOf, checkOptions, checkString, invalidArgument } from '../options.js'

/** Options of {@link gabionMiddleware}. */
export interface GabionMiddlewareOptions<Verdict extends DetectorVerdict = DetectorVerdict> {
  /** Judges the exchanges. */
  monitor: Monitor<unknown, Verdict>
  /**
   * Which conversation a call belongs to. Default: `providerOptions.gabion.conversation` of the call if there is one, else derived from
   * the chat's beginning.
   */
  conversation?: (call: LanguageModelV3CallOptions) => string | undefined
  /** Called with every verdict. */
  onVerdict?: (verdict: ExchangeVerdict<Verdict>) => void
  /** Called when a reply could not be judged; it is passed on all the same. */
  onError?: (error: unknown) => void
  /** `observe` (default) only reports; `block` sends the replacement message in place of a reply that raises an alert, and streams only after the verdict. */
  onAlert?: 'observe' | 'block'
  /** Sent in place of a reply that is blocked. */
  replacementMessage?: string
  /** Conversations that are remembered; the least recently used go first. Default 10,000. */
  maxConversations?: number
}

const REPLACEMENT_MESSAGE = 'This reply was blocked by a safety check.'

/**
 * Middleware for `wrapLanguageModel`. A verdict also stands in the result's `providerMetadata.gabion`.
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
  const policy = checkOneOf('onAlert', onAlert ?? 'observe', ['observe', 'block'])
  const words = checkString('replacementMessage', replacementMessage ?? REPLACEMENT_MESSAGE)
  for (const [name, callback] of Object.entries({ conversation, onVerdict, onError }))
    if (callback !== undefined) checkFunction(name, callback)
  const keeper = new MonitorKeeper(monitor, checkInteger('maxConversations', maxConversations ?? 10_000, 1))

  const judge = async (call: LanguageModelV3CallOptions, reply: string): Promise<ExchangeVerdict<Verdict> | null> => {
    try {
      const history = messagesOf(call.prompt)
      const judged = await judgeReply(keeper, identityFor(call, history, conversation), history, reply)
      if (judged !== null) onVerdict?.(judged.verdict)
      return judged?.verdict ?? null
    } catch (error) {
      onError?.(error)
      return null
    }
  }

  return {
    specificationVersion: 'v3',
    async wrapGenerate({ doGenerate, params }) {
      const result = await doGenerate()
      const reply = result.content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('')
      const verdict = await judge(params, reply)
      if (verdict === null) return result
      const reported = { ...result, providerMetadata: { ...result.providerMetadata, gabion: metadataOf(verdict) } }
      if (policy !== 'block' || !verdict.alert) return reported
      return { ...reported, content: [{ type: 'text', text: words }], finishReason: { unified: 'content-filter', raw: 'gabion' } }
    },
    async wrapStream({ doStream, params }) {
      const { stream, ...rest } = await doStream()
      const watched = policy === 'block' ? blocking : passing
      return { ...rest, stream: stream.pipeThrough(watched((reply) => judge(params, reply), words)) }
    },
  }
}

type Judge = (reply: string) => Promise<ExchangeVerdict | null>
type Parts = TransformStream<LanguageModelV3StreamPart, LanguageModelV3StreamPart>

/** Parts go on as they come; the verdict comes with the last one. */
function passing(judge: Judge): Parts {
  let reply = ''
  return new TransformStream({
    async transform(part, controller) {
      if (part.type === 'text-delta') reply += part.delta
      if (part.type !== 'finish') {
        controller.enqueue(part)
        return
      }
      controller.enqueue(withVerdict(part, await judge(reply)))
    },
  })
}

/** Parts are kept until the verdict is there. */
function blocking(judge: Judge, words: string): Parts {
  let reply = ''
  const kept: LanguageModelV3StreamPart[] = []
  return new TransformStream({
    async transform(part, controller) {
      if (part.type === 'text-delta') reply += part.delta
      if (part.type === 'stream-start' || part.type === 'response-metadata') {
        controller.enqueue(part)
        return
      }
      if (part.type !== 'finish') return void kept.push(part)
      const verdict = await judge(reply)
      if (verdict?.alert !== true) {
        for (const one of kept) controller.enqueue(one)
        controller.enqueue(withVerdict(part, verdict))
        return
      }
      const id = randomUUID()
      controller.enqueue({ type: 'text-start', id })
      controller.enqueue({ type: 'text-delta', id, delta: words })
      controller.enqueue({ type: 'text-end', id })
      controller.enqueue(withVerdict({ ...part, finishReason: { unified: 'content-filter', raw: 'gabion' } }, verdict))
    },
    flush(controller) {
      // A stream that broke off before its end has no finish; what came is not lost.
      if (reply !== '' && kept.some(({ type }) => type === 'error')) for (const one of kept) controller.enqueue(one)
    },
  })
}

function withVerdict(
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
class MonitorKeeper<Verdict extends DetectorVerdict> implements ChatKeeper<ExchangeVerdict<Verdict>> {
  readonly #monitor: Monitor<unknown, Verdict>
  readonly #kept: LRUCache<
    string,
    { conversation: Conversation<unknown, Verdict>; exchanges: string[]; verdicts: Map<string, ExchangeVerdict<Verdict>> }
  >

  constructor(monitor: Monitor<unknown, Verdict>, most: number) {
    this.#monitor = monitor
    this.#kept = new LRUCache({ max: most })
  }

  exchangeIdsOf(id: string): Promise<readonly string[]> {
    return Promise.resolve(this.#kept.get(id)?.exchanges ?? [])
  }

  async judge(id: string, { user, assistant, id: exchangeId }: ChatExchange): Promise<ExchangeVerdict<Verdict>> {
    const kept = this.#kept.get(id) ?? {
      conversation: this.#monitor.begin(id),
      exchanges: [],
      verdicts: new Map<string, ExchangeVerdict<Verdict>>(),
    }
    this.#kept.set(id, kept)
    const known = kept.verdicts.get(exchangeId)
    if (known !== undefined) return known
    const verdict = await kept.conversation.addExchange({ user, assistant })
    kept.exchanges.push(exchangeId)
    kept.verdicts.set(exchangeId, verdict)
    return verdict
  }
}
