// Owns measures of binary classification by score: areas, recall, calibration. Knows scores and labels only.

import { membersOf } from './groups.js'

/** Scores with their labels. */
export interface Scored {
  readonly scores: ArrayLike<number>
  /** 1 for unsafe, 0 for safe. */
  readonly labels: ArrayLike<number>
}

/**
 * Area under the ROC curve: the probability that an unsafe item scores above a safe one, ties counting half (Mann and Whitney).
 * NaN without items of both classes.
 */
export function auroc({ scores, labels }: Scored): number {
  const order = ascending(scores)
  let [unsafe, safe, sum] = [0, 0, 0]
  for (let first = 0; first < order.length;) {
    let last = first
    while (last + 1 < order.length && scores[order[last + 1] as number] === scores[order[first] as number]) last++
    const rank = (first + last) / 2 + 1
    for (let i = first; i <= last; i++) {
      if (labels[order[i] as number] === 1) {
        unsafe++
        sum += rank
      } else safe++
    }
    first = last + 1
  }
  return unsafe === 0 || safe === 0 ? NaN : (sum - (unsafe * (unsafe + 1)) / 2) / (unsafe * safe)
}

/** A point of the ROC curve: the shares of safe and of unsafe items that reach a threshold. */
export interface RocPoint {
  readonly threshold: number
  readonly falseAlarms: number
  readonly recall: number
}

/**
 * The ROC curve from the highest threshold to the lowest, thinned to about `maxPoints` points; items of equal score are one step.
 * Empty without items of both classes.
 */
export function rocCurve({ scores, labels }: Scored, maxPoints = 200): RocPoint[] {
  const order = ascending(scores).reverse()
  const unsafe = Array.from(labels).reduce((sum, label) => sum + label, 0)
  const safe = order.length - unsafe
  if (unsafe === 0 || safe === 0) return []
  let [hits, alarms] = [0, 0]
  const points: RocPoint[] = []
  for (const [index, item] of order.entries()) {
    if (labels[item] === 1) hits++
    else alarms++
    const threshold = scores[item] as number
    const next = order[index + 1]
    if (next === undefined || scores[next] !== threshold) points.push({ threshold, falseAlarms: alarms / safe, recall: hits / unsafe })
  }
  const step = Math.ceil(points.length / maxPoints)
  return points.filter((_, index) => index % step === 0 || index === points.length - 1)
}

/** Average precision: the area under the precision-recall curve as a sum over its steps. NaN without unsafe items. */
export function averagePrecision({ scores, labels }: Scored): number {
  const order = ascending(scores).reverse()
  let [hits, area, recallBefore] = [0, 0, 0]
  const unsafe = Array.from(labels).reduce((sum, label) => sum + label, 0)
  for (let first = 0; first < order.length;) {
    let last = first
    while (last + 1 < order.length && scores[order[last + 1] as number] === scores[order[first] as number]) last++
    for (let i = first; i <= last; i++) hits += labels[order[i] as number] === 1 ? 1 : 0
    area += (hits / (last + 1)) * (hits / unsafe - recallBefore)
    recallBefore = hits / unsafe
    first = last + 1
  }
  return unsafe === 0 ? NaN : area
}

/**
 * {@link auroc} over pairs of the same group only, so that differences between groups do not count.
 *
 * @returns the share of concordant pairs, and how many pairs there are
 */
export function withinGroups({ scores, labels }: Scored, groups: readonly string[]): { area: number; pairs: number } {
  let [pairs, won] = [0, 0]
  for (const list of membersOf(groups)) {
    const unsafe = list.filter((index) => labels[index] === 1)
    const safe = list.filter((index) => labels[index] === 0)
    for (const high of unsafe) {
      for (const low of safe) {
        const gap = (scores[high] as number) - (scores[low] as number)
        won += gap > 0 ? 1 : gap === 0 ? 0.5 : 0
      }
    }
    pairs += unsafe.length * safe.length
  }
  return { area: pairs === 0 ? NaN : won / pairs, pairs }
}

/** Share of unsafe items whose score reaches a threshold. */
export function recallAt({ scores, labels }: Scored, threshold: number): number {
  let [hits, unsafe] = [0, 0]
  for (let i = 0; i < scores.length; i++) {
    if (labels[i] !== 1) continue
    unsafe++
    if ((scores[i] as number) >= threshold) hits++
  }
  return unsafe === 0 ? NaN : hits / unsafe
}

/** One bin of a reliability diagram. */
export interface ReliabilityBin {
  readonly items: number
  /** Mean score and share of unsafe items in the bin. */
  readonly score: number
  readonly unsafe: number
}

/**
 * Expected calibration error of scores from 0 to 1 in bins of equal width: the mean absolute difference of score and share of
 * unsafe items, weighted by items.
 */
export function calibration({ scores, labels }: Scored, bins = 10): { error: number; bins: ReliabilityBin[] } {
  const sums = Array.from({ length: bins }, () => ({ items: 0, score: 0, unsafe: 0 }))
  for (let i = 0; i < scores.length; i++) {
    const bin = sums[Math.min(bins - 1, Math.floor((scores[i] as number) * bins))]!
    bin.items++
    bin.score += scores[i] as number
    bin.unsafe += labels[i] as number
  }
  const error = sums.reduce((sum, bin) => sum + Math.abs(bin.score - bin.unsafe), 0) / Math.max(1, scores.length)
  return {
    error,
    bins: sums.map(({ items, score, unsafe }) => ({
      items,
      score: items === 0 ? NaN : score / items,
      unsafe: items === 0 ? NaN : unsafe / items,
    })),
  }
}

function ascending(scores: ArrayLike<number>): number[] {
  return Array.from({ length: scores.length }, (_, index) => index).sort((a, b) => (scores[a] as number) - (scores[b] as number))
}
