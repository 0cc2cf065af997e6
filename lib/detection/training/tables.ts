// Owns which tables a training shows: the heads and the controls, each set left out in turn.

import { controlScorers, headScorer } from './scorers.js'
import { measureScorer, type LeaveOutPlan, type ScorerMeasure } from './leave-out.js'
import type { PreparedSets, TrainingProgress } from './prepare.js'
import { TEMPLATE_SET, VARIANTS, type Variant } from './recipe.js'

/** Yields a row of the table after the other: the variants asked for, then the controls. */
export function* leaveOneSetOut(
  sets: PreparedSets,
  variants: readonly Variant[],
  options: { signal?: AbortSignal; onProgress?: TrainingProgress } = {},
): Generator<ScorerMeasure> {
  const { dimensions } = sets
  const settings = { dimensions, ...(options.signal !== undefined && { signal: options.signal }) }
  const plan = leaveOutPlan(sets)
  const scorers = [
    ...variants.map((variant) => headScorer(variant, VARIANTS[variant], settings)),
    ...controlScorers(VARIANTS.default, settings),
  ]
  for (const [index, scorer] of scorers.entries()) {
    options.onProgress?.({ doing: `measuring ${scorer.name}`, done: index, total: scorers.length })
    yield measureScorer(scorer, plan)
  }
}

/** Which sets are left out in turn, and which are only measured: those with both classes. */
export function leaveOutPlan({ training, masses, measured }: PreparedSets): LeaveOutPlan {
  const bothClasses = (exchanges: readonly { label: string }[]): boolean => new Set(exchanges.map(({ label }) => label)).size === 2
  return {
    training,
    masses,
    // The written exchanges are material, not a set that anybody wants to be measured on.
    leaveOut: [...new Set(training.map(({ set }) => set))].filter(
      (name) => name !== TEMPLATE_SET && bothClasses(training.filter(({ set }) => set === name)),
    ),
    measured: Object.fromEntries(Object.entries(measured).filter(([, exchanges]) => bothClasses(exchanges))),
  }
}
