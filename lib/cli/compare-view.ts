// Owns the output of `gabion compare`: verdict with reasons, table of both sides, disagreements. Computes nothing.

import Table from 'cli-table3'
import type { ComparedSide, Comparison } from '../migration/comparison.js'
import type { Output } from './output.js'
import { count, formatMs, printable } from './wording.js'

/** Disagreements in the list; the JSON contains all. */
const MAX_LISTED = 20

/** Prints a comparison as text, or as one JSON object. */
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
  for (const item of alerts.disagreements.slice(0, MAX_LISTED)) {
    const side = ({ alert, likelihood }: { alert: boolean; likelihood: number }): string =>
      `${alert ? 'alert   ' : 'no alert'} ${likelihood.toFixed(3)}`
    await output.line(`  ${printable(item.conversation)} exchange ${String(item.exchange)}: old ${side(item.old)}, new ${side(item.new)}`)
  }
  if (alerts.disagreements.length > MAX_LISTED)
    await output.line(dim(`  … ${String(alerts.disagreements.length - MAX_LISTED)} more (--json or --out has all)`))
}
