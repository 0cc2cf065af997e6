// Owns what `gabion compare` prints: the verdict with its reasons, a table of both sides, disagreements. Computes nothing.

import Table from 'cli-table3'
import type { ComparedSide, Comparison } from '../migration/comparison.js'
import type { Output } from './output.js'
import { count, formatMs, printable } from './wording.js'

/** Disagreements listed; the JSON has all. */
const LISTED = 20

/** Prints a comparison for people, or as one JSON object. */
export async function showComparison(output: Output, comparison: Comparison): Promise<void> {
  if (output.json) {
    await output.jsonLine(comparison)
    return
  }
  const { bold, green, red, dim } = output.colors
  const { old, new: fresh, verdict, alerts, adapter } = comparison
  const table = new Table({
    head: ['', 'old', 'new'],
    colAligns: ['left', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  const time = (side: ComparedSide, quantile: 'p50' | 'p90' | 'p99'): string =>
    side.latency === null ? '–' : formatMs(side.latency[quantile])
  table.push(
    ['embedder', printable(old.name), printable(fresh.name)],
    ['dimensions', String(old.dimensions), String(fresh.dimensions)],
    ...(['p50', 'p90', 'p99'] as const).map((quantile) => [`one text, ${quantile}`, time(old, quantile), time(fresh, quantile)]),
  )
  if (old.cost !== null || fresh.cost !== null) table.push(['charged', old.cost?.toPrecision(3) ?? '–', fresh.cost?.toPrecision(3) ?? '–'])
  await output.line(table.toString())
  if (adapter !== null) await output.line(dim(`new vectors mapped into the old space by ${adapter}`))
  await output.line()
  await output.line(bold(verdict.safe ? green(verdict.summary) : red(verdict.summary)))
  for (const reason of verdict.reasons) await output.line(`  ${reason}`)
  if (alerts === null || alerts.disagreements.length === 0) return
  await output.line()
  await output.line(`${count(alerts.disagreements.length, 'exchange')} judged differently:`)
  for (const one of alerts.disagreements.slice(0, LISTED)) {
    const side = ({ alert, likelihood }: { alert: boolean; likelihood: number }): string =>
      `${alert ? 'alert   ' : 'no alert'} ${likelihood.toFixed(3)}`
    await output.line(`  ${printable(one.conversation)} exchange ${String(one.exchange)}: old ${side(one.old)}, new ${side(one.new)}`)
  }
  if (alerts.disagreements.length > LISTED)
    await output.line(dim(`  … ${String(alerts.disagreements.length - LISTED)} more (--json or --out has all)`))
}
