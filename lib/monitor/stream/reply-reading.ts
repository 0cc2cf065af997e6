// Owns reading of a reply that is being written, with any detector.

import type { ConversationContext, Detector } from '../../detection/detector.js'
import { EscalatingDetector } from '../../detection/escalation/escalating-detector.js'
import type { LineCrossing, ReplyReading, ReplyWindow } from '../../detection/reply-reading.js'
import { ExchangeVectors, judgeExchange, type ConversationEmbedder } from '../judge.js'
import { OrderedReading, ReadingOrder } from './reading-order.js'

/** The parts of a monitor that read. */
export interface Reader {
  readonly embedder: ConversationEmbedder
  readonly detector: Detector<never> | Detector
}

/** Of each embedder. */
const orders = new WeakMap<ConversationEmbedder, ReadingOrder>()

function orderOf(embedder: ConversationEmbedder & { readonly info?: { readonly threads: number } }): ReadingOrder {
  const known = orders.get(embedder) ?? new ReadingOrder(embedder.info?.threads ?? 1)
  orders.set(embedder, known)
  return known
}

/** Begins to read the reply to a message, after the conversation's state and context. Changes neither. */
export function beginReply({ embedder, detector }: Reader, state: unknown, context: ConversationContext, user: string): ReplyReading {
  // A model that is asked about elevated exchanges is not asked at every reading of a reply.
  const base = (detector instanceof EscalatingDetector ? detector.base : detector) as Detector
  const embed = async (texts: readonly string[]): Promise<readonly Float32Array[]> => {
    const batch = await embedder.embedBatch(texts)
    return texts.map((_, index) => batch.row(index))
  }
  const reading = base.beginReply?.({ user, ...context, embed }) ?? new JudgedReading({ embedder, detector: base }, state, context, user)
  return new OrderedReading(reading, orderOf(embedder))
}

/** Judges each window as if it were the whole reply. */
class JudgedReading implements ReplyReading {
  readonly #embedder: ConversationEmbedder
  readonly #detector: Detector
  readonly #state: unknown
  readonly #context: ConversationContext
  readonly #user: string

  constructor(
    { embedder, detector }: { embedder: ConversationEmbedder; detector: Detector },
    state: unknown,
    context: ConversationContext,
    user: string,
  ) {
    this.#embedder = embedder
    this.#detector = detector
    this.#state = state
    this.#context = context
    this.#user = user
  }

  async read(windows: readonly ReplyWindow[], signal?: AbortSignal): Promise<LineCrossing | null> {
    for (const { text } of windows) {
      const vectors = new ExchangeVectors(this.#embedder, this.#detector, { user: this.#user, assistant: text }, signal, false)
      const judge = async (state: unknown): Promise<LineCrossing & { alert: boolean; level: string }> => {
        const identity = { conversation: '', exchange: 1, exchangeId: null, started: performance.now() }
        return (await judgeExchange(this.#detector, { state, context: this.#context }, vectors, identity, signal)).verdict
      }
      const { alert, level, likelihood, reasons } = await judge(this.#state)
      // In a conversation at the level alert, a detector raises no further one: whether the reply by itself would.
      if (alert || (level === 'alert' && (await judge(this.#detector.start())).alert)) return { likelihood, reasons }
    }
    return null
  }
}
