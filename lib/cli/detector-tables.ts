// Owns the text tables of detector evaluations. Knows their numbers, not how they are computed.

import type { Evaluation, AtThreshold } from '../detection/training/evaluate.js'
import type { ScorerMeasure } from '../detection/training/leave-out.js'
import { plainTable } from './plain-table.js'

/** The leave-one-set-out table: a row per scorer, a column per set. */
export function leaveOutTable(rows: readonly ScorerMeasure[]): string {
  const sets = rows[0]?.sets.map(({ set }) => set) ?? []
  const table = plainTable(['measured on', ...sets, 'mean'])
  const inside = plainTable(['within one group / without refusals', ...sets])
  for (const { scorer, sets: measures, mean } of rows) {
    table.push([scorer, ...measures.map(({ auroc, interval }) => withInterval(auroc, interval)), three(mean)])
    inside.push([scorer, ...measures.map(({ withinGroup, withoutRefusal }) => `${three(withinGroup)} / ${three(withoutRefusal)}`)])
  }
  return `AUROC (95 % bootstrap interval by group) on sets that the scorer was not fitted on\n${table.toString()}\n\nAUROC within one group (one behavior, one prompt) / of replies without a refusal in their opening\n${inside.toString()}`
}

/** Table of one set. */
export function evaluationTable(evaluation: Evaluation): string {
  const { exchanges, conversations, shipped, own, leadTime } = evaluation
  const table = plainTable([evaluation.set, 'exchanges', 'conversations'])
  table.push(
    ['items (unsafe)', ...[exchanges, conversations].map(({ items, unsafe }) => `${items} (${unsafe})`)],
    ['AUROC', ...[exchanges, conversations].map(({ auroc, interval }) => withInterval(auroc, interval))],
    ['AUPRC', three(exchanges.averagePrecision), three(conversations.averagePrecision)],
    ['AUROC within one group', three(evaluation.withinGroup), ''],
    ['AUROC without refusals', three(evaluation.withoutRefusal), ''],
    ['expected calibration error', three(evaluation.calibration.error), ''],
    ['alert threshold: false alarms, recall', '', outcome(shipped.alert)],
    ['elevated threshold: false alarms, recall', '', outcome(shipped.elevated)],
    [`at this set's own ${percent(shipped.alert.budget)}`, '', own.alert === null ? 'too few benign conversations' : outcome(own.alert)],
    [
      `at this set's own ${percent(shipped.elevated.budget)}`,
      '',
      own.elevated === null ? 'too few benign conversations' : outcome(own.elevated),
    ],
    ['alerts per 1,000 benign exchanges', Number.isNaN(evaluation.alertsPer1000) ? '–' : evaluation.alertsPer1000.toFixed(1), ''],
    [
      'lead: before, at, after the first unsafe exchange',
      '',
      leadTime.alerted === 0
        ? '–'
        : `${percent(leadTime.before)}, ${percent(leadTime.at)}, ${percent(leadTime.after)} of ${leadTime.alerted} alerted`,
    ],
  )
  return table.toString()
}

function outcome({ falseAlarms, recall }: AtThreshold): string {
  return `${percent(falseAlarms)}, ${percent(recall)}`
}

function withInterval(auroc: number, [low, high]: readonly [number, number]): string {
  return Number.isNaN(auroc) ? '–' : `${three(auroc)} (${three(low)}–${three(high)})`
}

function three(value: number | null): string {
  return value === null || Number.isNaN(value) ? '–' : value.toFixed(3)
}

function percent(share: number): string {
  return Number.isNaN(share) ? '–' : `${(100 * share).toFixed(1)} %`
}
