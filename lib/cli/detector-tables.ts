// Owns the text tables of detector evaluations. Knows their numbers, not how they are computed.

import type { Evaluation, AtThreshold } from '../detection/training/evaluate.js'
import { plainTable } from './plain-table.js'

/** Table of one set. */
export function evaluationTable(evaluation: Evaluation): string {
  const { exchanges, conversations, shipped, own, leadTime } = evaluation
  const table = plainTable([evaluation.set, 'exchanges', 'conversations'])
  table.push(
    ['items (unsafe)', ...[exchanges, conversations].map(({ items, unsafe }) => `${items} (${unsafe})`)],
    [
      'AUROC',
      ...[exchanges, conversations].map(({ auroc, interval }) =>
        Number.isNaN(auroc) ? '–' : `${three(auroc)} (${three(interval[0])}–${three(interval[1])})`,
      ),
    ],
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

function three(value: number | null): string {
  return value === null || Number.isNaN(value) ? '–' : value.toFixed(3)
}

function percent(share: number): string {
  return Number.isNaN(share) ? '–' : `${(100 * share).toFixed(1)} %`
}
