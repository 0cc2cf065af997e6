// Owns the selection of training exchanges from labeled conversations, their embedding, and their class masses.
// Knows texts and labels; vectors come from the store.

import type { RefusalReader, RefusalFlags } from '../erosion/lexicon.js'
import type { Corpus, Label } from '../fitting/corpus.js'
import type { VectorStore } from '../fitting/vector-store.js'

/** One exchange with its origin. */
export interface Exchange {
  /** Name of its set. */
  readonly set: string
  /** Never split between training and test. */
  readonly group: string
  /** Name of the set and the conversation's id. */
  readonly conversation: string
  /** Number of the exchange in its conversation, from 1. */
  readonly exchange: number
  readonly label: Label
  readonly user: string
  readonly reply: string
  /** Written to train on: neither measured on, nor compared with others of its group, which share a topic and phrases. */
  readonly material?: true
}

/** An exchange with its vectors. */
export interface EmbeddedExchange extends Exchange {
  readonly userVector: ArrayLike<number>
  readonly replyVector: ArrayLike<number>
  readonly replyWindows: readonly ArrayLike<number>[]
  readonly flags: RefusalFlags
}

/** Which exchanges of a conversation carry its label: every one, or only the last. */
export type Taken = 'all' | 'last'

/** Exchanges of a corpus; an exchange's own label precedes that of its conversation. */
export function exchangesOf(corpus: Corpus, taken: Taken): Exchange[] {
  return corpus.conversations.flatMap(({ id, group, exchanges, label }) =>
    exchanges
      .map((exchange, index) => ({
        set: corpus.name,
        group: `${corpus.name}/${group}`,
        conversation: `${corpus.name}/${id}`,
        exchange: index + 1,
        label: exchange.label ?? label,
        user: exchange.user,
        reply: exchange.reply,
      }))
      .slice(taken === 'last' ? -1 : 0),
  )
}

/** Embeds missing texts and adds vectors and flags to the exchanges. */
export async function embedExchanges(
  exchanges: readonly Exchange[],
  store: VectorStore,
  refusals: RefusalReader,
  options?: Parameters<VectorStore['add']>[1],
): Promise<EmbeddedExchange[]> {
  await store.add(
    exchanges.flatMap(({ user, reply }) => [user, reply]),
    options,
  )
  return exchanges.map((exchange) => ({
    ...exchange,
    userVector: store.vector(exchange.user),
    replyVector: store.vector(exchange.reply),
    replyWindows: store.windows(exchange.reply),
    flags: refusals.read(exchange.reply),
  }))
}

/** The total weight of each class of a set. */
export interface ClassMass {
  readonly unsafe: number
  readonly safe: number
}

/**
 * Row weights: the mass of a class of a set is divided evenly among its rows, then all weights are scaled to a mean of 1.
 *
 * @returns one weight per row, in the order of `exchanges`
 */
export function rowWeights(exchanges: readonly Exchange[], masses: Readonly<Record<string, ClassMass>>): Float64Array {
  const counts = new Map<string, number>()
  const keyOf = ({ set, label }: Exchange): string => `${label}/${set}`
  for (const exchange of exchanges) counts.set(keyOf(exchange), (counts.get(keyOf(exchange)) ?? 0) + 1)
  const weights = Float64Array.from(
    exchanges,
    (exchange) => (masses[exchange.set]?.[exchange.label] ?? 0) / (counts.get(keyOf(exchange)) as number),
  )
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length
  return weights.map((weight) => weight / mean)
}
