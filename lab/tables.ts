// Owns the table of the documentation: the heads and the controls, with each set left out once.

import { plainTable } from '../lib/cli/plain-table.js'
import { controlScorers, headScorer } from './scorers.js'
import { measureScorer, type LeaveOutPlan, type ScorerMeasure } from './leave-out.js'
import type { PreparedSets, TrainingProgress } from '../lib/detection/training/prepare.js'
import { TEMPLATE_SET, VARIANTS, type Variant } from '../lib/detection/training/recipe.js'

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

/** A table of AUROCs: a scorer a row, a set a column. */
export function leaveOutTable(rows: readonly ScorerMeasure[]): string {
  const [first] = rows
  if (first === undefined) return ''
  const table = plainTable(['left out, then measured on', ...first.sets.map(({ set }) => set), 'mean'])
  for (const { scorer, sets, mean } of rows) {
    table.push([scorer, ...sets.map(({ auroc, interval }) => `${three(auroc)} (${three(interval[0])}–${three(interval[1])})`), three(mean)])
  }
  const inside = plainTable(['within one group / without refusals', ...first.sets.map(({ set }) => set)])
  for (const { scorer, sets } of rows) {
    inside.push([scorer, ...sets.map(({ withinGroup, withoutRefusal }) => `${three(withinGroup)} / ${three(withoutRefusal)}`)])
  }
  return `AUROC (95 % bootstrap interval by group)\n${table.toString()}\n\nAUROC within one group (one behavior, one prompt) / of replies without a refusal in their opening\n${inside.toString()}`
}

function three(value: number | null): string {
  return value === null || Number.isNaN(value) ? '–' : value.toFixed(3)
}
