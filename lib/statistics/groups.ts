// Owns grouped sampling: train-test split, folds, bootstrap. A group is never split. Knows group names only.

import { Random } from './random.js'

/** Splits groups into two parts; the first gets `share` of them. */
export function splitGroups(groups: readonly string[], share: number, seed: number): { first: Set<string>; second: Set<string> } {
  const shuffled = new Random(seed).shuffled([...new Set(groups)])
  const cut = Math.round(share * shuffled.length)
  return { first: new Set(shuffled.slice(0, cut)), second: new Set(shuffled.slice(cut)) }
}

/** The fold, from 0 to `folds - 1`, of each group. */
export function dealFolds(groups: readonly string[], folds: number, seed: number): Map<string, number> {
  const shuffled = new Random(seed).shuffled([...new Set(groups)])
  return new Map(shuffled.map((group, index) => [group, index % folds]))
}

/** The item indices of each group, in the order of first items. */
export function membersOf(groups: readonly string[]): number[][] {
  const members = new Map<string, number[]>()
  for (const [index, group] of groups.entries()) {
    const list = members.get(group)
    if (list === undefined) members.set(group, [index])
    else list.push(index)
  }
  return [...members.values()]
}

/**
 * A bootstrap interval by group: groups are drawn with replacement, each with all its items.
 *
 * @param measure - the statistic of a list of item indices; draws with NaN are left out
 * @returns the 2.5 % and 97.5 % quantiles
 */
export function bootstrapInterval(
  groups: readonly string[],
  measure: (items: readonly number[]) => number,
  options: { draws?: number; seed?: number } = {},
): [low: number, high: number] {
  const lists = membersOf(groups)
  const random = new Random(options.seed ?? 17)
  const values: number[] = []
  for (let draw = 0; draw < (options.draws ?? 400); draw++) {
    const items = Array.from({ length: lists.length }, () => random.pick(lists)).flat()
    const value = measure(items)
    if (!Number.isNaN(value)) values.push(value)
  }
  values.sort((a, b) => a - b)
  const at = (share: number): number => values[Math.min(values.length - 1, Math.floor(share * values.length))] ?? NaN
  return [at(0.025), at(0.975)]
}
