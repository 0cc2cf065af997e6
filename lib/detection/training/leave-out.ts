// Owns the leave-one-set-out table: every set is measured by a scorer that was fitted on the other sets.
// Knows scorers and exchanges, nothing of files.

import { bootstrapInterval } from '../../statistics/groups.js'
import { auroc, averagePrecision, withinGroups } from '../../statistics/ranking.js'
import { rowWeights, type ClassMass, type EmbeddedExchange } from './exchanges.js'
import type { PreparedSets } from './prepare.js'
import type { Scorer } from './scorers.js'

/** How well a scorer does on a set that it has not seen. */
export interface SetMeasure {
  readonly set: string
  readonly exchanges: number
  readonly auroc: number
  /** 95 % bootstrap interval by group. */
  readonly interval: readonly [number, number]
  readonly averagePrecision: number
  /** The same chance among exchanges of one group (one behavior, one prompt); null when no group has both classes. */
  readonly withinGroup: number | null
  /** AUROC among replies without a refusal in their opening. Null without both classes. */
  readonly withoutRefusal: number | null
}

/** A scorer's row of the table. */
export interface ScorerMeasure {
  readonly scorer: string
  readonly sets: readonly SetMeasure[]
  /** Mean AUROC over the sets. */
  readonly mean: number
}

/** What the table is made from. */
export interface LeaveOutPlan {
  /** Exchanges that may be trained on. */
  readonly training: readonly EmbeddedExchange[]
  readonly masses: Readonly<Record<string, ClassMass>>
  /** Sets of `training` to leave out in turn. */
  readonly leaveOut: readonly string[]
  /** Sets that are only measured, with a scorer fitted on all of `training`. */
  readonly measured: Readonly<Record<string, readonly EmbeddedExchange[]>>
  readonly bootstrapDraws?: number
}

/**
 * Which sets are left out in turn, and which are only measured: those with both classes. A single set is measured on its held-out
 * conversations.
 *
 * @param others - sets to measure on, by name
 */
export function leaveOutPlan(
  { training, heldOut, masses }: PreparedSets,
  others: Readonly<Record<string, readonly EmbeddedExchange[]>> = {},
): LeaveOutPlan {
  const leaveOut = Object.keys(setsWithBothClasses(training.filter(({ material }) => material !== true)))
  const single = leaveOut.length === 1
  return {
    training,
    masses,
    leaveOut: single ? [] : leaveOut,
    measured: setsWithBothClasses([...(single ? heldOut : []), ...Object.values(others).flat()]),
  }
}

function setsWithBothClasses(exchanges: readonly EmbeddedExchange[]): Record<string, readonly EmbeddedExchange[]> {
  const sets: Record<string, EmbeddedExchange[]> = {}
  for (const exchange of exchanges) (sets[exchange.set] ??= []).push(exchange)
  return Object.fromEntries(Object.entries(sets).filter(([, rows]) => new Set(rows.map(({ label }) => label)).size === 2))
}

/** One scorer over all sets. */
export function measureScorer(scorer: Scorer, plan: LeaveOutPlan): ScorerMeasure {
  const sets = plan.leaveOut.map((set) => {
    const rest = plan.training.filter((exchange) => exchange.set !== set)
    return measureSet(
      set,
      scorer.fit(rest, rowWeights(rest, plan.masses)),
      plan.training.filter((exchange) => exchange.set === set),
      plan,
    )
  })
  const measured = Object.entries(plan.measured)
  if (measured.length > 0) {
    const score = scorer.fit(plan.training, rowWeights(plan.training, plan.masses))
    for (const [set, exchanges] of measured) sets.push(measureSet(set, score, exchanges, plan))
  }
  return { scorer: scorer.name, sets, mean: sets.reduce((sum, { auroc: area }) => sum + area, 0) / sets.length }
}

function measureSet(
  set: string,
  score: (exchanges: readonly EmbeddedExchange[]) => Float64Array,
  exchanges: readonly EmbeddedExchange[],
  plan: LeaveOutPlan,
): SetMeasure {
  const scores = score(exchanges)
  const labels = exchanges.map(({ label }) => (label === 'unsafe' ? 1 : 0))
  const groups = exchanges.map(({ group }) => group)
  const part = (rows: readonly number[]): number =>
    auroc({ scores: rows.map((row) => scores[row]!), labels: rows.map((row) => labels[row]!) })
  const within = withinGroups({ scores, labels }, groups)
  const open = part(exchanges.flatMap(({ flags }, row) => (flags.opening ? [] : [row])))
  return {
    set,
    exchanges: exchanges.length,
    auroc: auroc({ scores, labels }),
    interval: bootstrapInterval(groups, part, { draws: plan.bootstrapDraws ?? 200 }),
    averagePrecision: averagePrecision({ scores, labels }),
    withinGroup: within.pairs === 0 ? null : within.area,
    withoutRefusal: Number.isNaN(open) ? null : open,
  }
}
