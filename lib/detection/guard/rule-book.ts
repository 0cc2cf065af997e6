// Owns the rules of deployments: their sentences and vectors, computed once per system prompt, and the choice of those that an exchange
// is read with. Knows vectors, not where they come from.

import { LRUCache } from 'lru-cache'
import { dot } from '../../statistics/vectors.js'
import type { ConversationExchange } from '../detector.js'
import { ruleSentences } from './rules.js'

/** Estimated bytes of all rules in memory; the least recently used go first. */
const MAX_BYTES = 16 * 1024 * 1024
/** A vector of 384 values, and the objects around it. */
const BYTES_PER_RULE = 2048

/** Places among the shown rules that many stated ones leave to the system prompt. */
const PROMPT_SHARE = 2

/** The part of an exchange that choosing rules takes. */
export type RuledExchange = Pick<ConversationExchange, 'user' | 'assistant' | 'system' | 'rules' | 'embed'>

/** Rules of one prompt, or those that a caller states. */
interface RuleList {
  readonly rules: readonly string[]
  vectors: Promise<readonly Float32Array[]> | null
}

/** The rules of the deployments that a detector has seen. */
export class RuleBook {
  readonly #lists = new LRUCache<string, RuleList>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ rules }, key) => 256 + 2 * key.length + rules.reduce((sum, rule) => sum + BYTES_PER_RULE + 2 * rule.length, 0),
  })

  /**
   * At most `count` rules for an exchange: stated ones first, then sentences of the system prompt, for which {@link PROMPT_SHARE} places
   * are kept; of more than fit, the closest by the cosine of their vectors with those of the message, the reply, or both in one text.
   * Closest first. Nothing is embedded where all fit.
   */
  async shown(exchange: RuledExchange, count: number): Promise<string[]> {
    const [stated, prompt] = this.#listsOf(exchange)
    if (stated.rules.length + prompt.rules.length <= count) return [...stated.rules, ...prompt.rules]
    const { user, assistant } = exchange
    const texts = [user, assistant, `${user}\n${assistant}`].filter((text) => text.trim() !== '')
    const queries = await exchange.embed(texts)
    const first = await this.#closest(stated, queries, Math.max(1, count - Math.min(PROMPT_SHARE, prompt.rules.length)), exchange)
    return [...first, ...(await this.#closest(prompt, queries, count - first.length, exchange))]
  }

  /** The highest cosine of any of the vectors with any rule; null for an exchange without rules. */
  async closeness(exchange: RuledExchange, queries: readonly ArrayLike<number>[]): Promise<number | null> {
    let closest: number | null = null
    for (const list of this.#listsOf(exchange)) {
      for (const vector of await this.#vectorsOf(list, exchange)) closest = Math.max(closest ?? -1, highestCosine(vector, queries))
    }
    return closest
  }

  #listsOf({ system, rules }: RuledExchange): [stated: RuleList, prompt: RuleList] {
    const stated = this.#listOf(`rules ${JSON.stringify(rules)}`, () => rules)
    return [stated, this.#listOf(`system ${system ?? ''}`, () => (system === null ? [] : ruleSentences(system)))]
  }

  #listOf(key: string, read: () => readonly string[]): RuleList {
    const known = this.#lists.get(key)
    if (known !== undefined) return known
    const list = { rules: read(), vectors: null }
    this.#lists.set(key, list)
    return list
  }

  async #closest(list: RuleList, queries: readonly Float32Array[], count: number, exchange: RuledExchange): Promise<string[]> {
    if (count <= 0 || list.rules.length === 0) return []
    const vectors = await this.#vectorsOf(list, exchange)
    return vectors
      .map((vector, index) => ({ index, cosine: highestCosine(vector, queries) }))
      .sort((a, b) => b.cosine - a.cosine || a.index - b.index)
      .slice(0, count)
      .map(({ index }) => list.rules[index]!)
  }

  async #vectorsOf(list: RuleList, exchange: RuledExchange): Promise<readonly Float32Array[]> {
    if (list.rules.length === 0) return []
    const underway = list.vectors
    // Another exchange's request for the same vectors may be aborted with it.
    if (underway !== null) return underway.catch(() => exchange.embed(list.rules))
    const request = exchange.embed(list.rules)
    list.vectors = request
    request.catch(() => {
      if (list.vectors === request) list.vectors = null
    })
    return request
  }
}

function highestCosine(vector: ArrayLike<number>, queries: readonly ArrayLike<number>[]): number {
  return queries.reduce((highest, query) => Math.max(highest, dot(vector, query)), -1)
}
