// Owns the comparisons within groups: pairs of an unsafe and a safe reply to the same prompt or on the same behavior.
// Knows exchanges and their groups, no vectors.

import type { Exchange } from './exchanges.js'
import type { RowPairs } from '../fitting/logistic.js'
import { Random } from '../../statistics/random.js'

const PAIR_SEED = 19
/** Limits on comparisons per group and per set: a group of a hundred replies has thousands of pairs, which add little information. */
const MAX_PER_GROUP = 60
const MAX_PER_SET = 4000

/**
 * Draws comparisons, set by set; material is left out.
 *
 * @param share - total weight of a set's comparisons, as a share of the number of exchanges
 */
export function pairsWithinGroups(exchanges: readonly Exchange[], share: number): RowPairs {
  const random = new Random(PAIR_SEED)
  const higher: number[] = []
  const lower: number[] = []
  const weights: number[] = []
  for (const groups of groupsOfSets(exchanges)) {
    const pairs = [...groups.values()].flatMap(({ unsafe, safe }) => drawn(unsafe, safe, random))
    const sampled = pairs.length > MAX_PER_SET ? random.shuffled(pairs).slice(0, MAX_PER_SET) : pairs
    for (const [above, below] of sampled) {
      higher.push(above)
      lower.push(below)
      weights.push((share * exchanges.length) / sampled.length)
    }
  }
  return { higher: Int32Array.from(higher), lower: Int32Array.from(lower), weights: Float64Array.from(weights) }
}

interface GroupRows {
  readonly unsafe: number[]
  readonly safe: number[]
}

function groupsOfSets(exchanges: readonly Exchange[]): Map<string, GroupRows>[] {
  const sets = new Map<string, Map<string, GroupRows>>()
  for (const [row, { set, group, label, material }] of exchanges.entries()) {
    if (material === true) continue
    const groups = sets.get(set) ?? new Map<string, GroupRows>()
    const members = groups.get(group) ?? { unsafe: [], safe: [] }
    members[label].push(row)
    groups.set(group, members)
    sets.set(set, groups)
  }
  return [...sets.values()]
}

function drawn(unsafe: readonly number[], safe: readonly number[], random: Random): [above: number, below: number][] {
  const all = unsafe.length * safe.length
  const pairOf = (index: number): [number, number] => [unsafe[Math.floor(index / safe.length)]!, safe[index % safe.length]!]
  if (all <= MAX_PER_GROUP) return Array.from({ length: all }, (_, index) => pairOf(index))
  const indices = new Set<number>()
  while (indices.size < MAX_PER_GROUP) indices.add(random.below(all))
  return [...indices].map(pairOf)
}
