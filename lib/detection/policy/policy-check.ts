// Owns the check of policies before use: leave-one-out misses among each policy's own examples, overlaps, and true and false alarms in
// a log. Knows heads and vectors; the command line prints.

import { FEW_EXAMPLES } from './policy-file.js'
import { fitPolicyHead, scorePolicy, type ExampleVectors } from './policy-head.js'
import type { LogConversation } from './policy-log.js'
import { allowedElsewhere, highestScore, type PolicyMaterial, type PolicySet } from './policy-set.js'

/** The check of one policy. */
export interface PolicyExamination {
  readonly name: string
  readonly examples: number
  readonly allowed: number
  /** Fewer examples than a policy should have. */
  readonly tooFew: boolean
  /** Breaking examples that a head fitted without them scores at or above the threshold. */
  readonly caughtLeftOut: number
  /** Indices, from 1, of those that are missed. */
  readonly missed: readonly number[]
  /** Allowed examples that a head fitted without them scores at or above the threshold. */
  readonly wronglyLeftOut: number
  readonly threshold: PolicySet['policies'][number]['threshold']
}

/** Two policies that catch each other's examples. */
export interface PolicyOverlap {
  readonly first: string
  readonly second: string
  /** Share of the examples of one that the other catches too. */
  readonly firstCaughtBySecond: number
  readonly secondCaughtByFirst: number
}

/** A policy's result on a log. */
export interface LogOutcome {
  readonly name: string
  /** Conversations that break the policy, and how many of them are caught. */
  readonly breaking: number
  readonly caught: number
  /** Conversations that do not break it, and how many of them are wrongly caught. */
  readonly others: number
  readonly wrongly: number
  /** Conversations without a label of broken policies, and how many of them are caught. */
  readonly unknown: number
  readonly caughtUnknown: number
  /** Ids of the first ten false alarms. */
  readonly wrongIds: readonly string[]
}

/** Smaller overlaps are not reported. */
const OVERLAP = 0.25

/** Leave-one-out over the examples. The threshold stays that of the whole policy. */
export function examinePolicies(
  materials: readonly PolicyMaterial[],
  set: PolicySet,
  ordinary: readonly LogConversation[],
  dimensions: number,
  onPolicy?: (done: number) => void,
): PolicyExamination[] {
  const exchanges = ordinary.flatMap(({ exchanges: all }) => all)
  return materials.map((material, index) => {
    const { text, breaks, allowed } = material
    const others = [...allowedElsewhere(materials, material), ...exchanges]
    const { head, threshold } = set.policies[index]!
    const reaches = (fitted: typeof head, example: ExampleVectors): boolean =>
      scorePolicy(fitted, { ...example, windows: [example.reply] }).score >= threshold.value
    const without = (example: ExampleVectors): boolean =>
      reaches(
        fitPolicyHead(
          breaks.filter((one) => one !== example),
          allowed.filter((one) => one !== example),
          others,
          dimensions,
          head,
        ),
        example,
      )
    const missed = breaks.flatMap((example, at) => (without(example) ? [] : [at + 1]))
    onPolicy?.(index + 1)
    return {
      name: text.name,
      examples: breaks.length,
      allowed: allowed.length,
      tooFew: breaks.length < FEW_EXAMPLES,
      caughtLeftOut: breaks.length - missed.length,
      missed,
      wronglyLeftOut: allowed.filter(without).length,
      threshold,
    }
  })
}

/** Pairs of policies of which one catches at least a quarter of the other's examples. */
export function overlaps(materials: readonly PolicyMaterial[], set: PolicySet): PolicyOverlap[] {
  const caughtBy = (of: number, by: number): number => {
    const { head, threshold } = set.policies[by]!
    const { breaks } = materials[of]!
    return (
      breaks.filter((example) => scorePolicy(head, { ...example, windows: [example.reply] }).score >= threshold.value).length /
      breaks.length
    )
  }
  return set.policies.flatMap(({ name: first }, one) =>
    set.policies.slice(one + 1).flatMap(({ name: second }, offset) => {
      const other = one + 1 + offset
      const overlap = { first, second, firstCaughtBySecond: caughtBy(one, other), secondCaughtByFirst: caughtBy(other, one) }
      return Math.max(overlap.firstCaughtBySecond, overlap.secondCaughtByFirst) >= OVERLAP ? [overlap] : []
    }),
  )
}

/** Counts each policy's alarms in a log. */
export function tryOnLog(set: PolicySet, log: readonly LogConversation[]): LogOutcome[] {
  return set.policies.map(({ name, head, threshold }) => {
    const rows = log.map(({ id, breaks, ...rest }) => ({
      id,
      breaks,
      caught: highestScore(head, { id, breaks, ...rest }) >= threshold.value,
    }))
    const breaking = rows.filter(({ breaks }) => breaks?.includes(name) === true)
    const others = rows.filter(({ breaks }) => breaks !== null && !breaks.includes(name))
    const unknown = rows.filter(({ breaks }) => breaks === null)
    const caught = (list: typeof rows): typeof rows => list.filter((row) => row.caught)
    return {
      name,
      breaking: breaking.length,
      caught: caught(breaking).length,
      others: others.length,
      wrongly: caught(others).length,
      unknown: unknown.length,
      caughtUnknown: caught(unknown).length,
      wrongIds: caught(others)
        .slice(0, 10)
        .map(({ id }) => id),
    }
  })
}
