// Makes the tables of docs/limits.md from what attacks.ts stored, without a model.
//
// usage: node --import tsx lab/guard/attack-table.ts [FILE]      prints the table, and writes it into docs/limits.md

import { readFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { gunzipSync } from 'node:zlib'
import type { Level } from '../../lib/detection/verdict.js'
import { logOdds } from '../../lib/detection/guard/signals.js'
import { lowerBound, upperBound } from '../../lib/statistics/binomial.js'
import { median } from '../../lib/statistics/quantile.js'
import { writeBlock } from './docs-block.js'

/** First line of the file: what was run. */
export interface AttackRun {
  /** Begin of the SHA-256 of guard.json. */
  readonly guard: string
  readonly lines: Readonly<Record<'alert' | 'elevated', Readonly<Record<string, number>>>>
  readonly precision: string
}

/** What a conversation reached: its highest level, and the likelihood of each changed reply. */
export interface Reached {
  readonly level: Level
  readonly targets: readonly number[]
}

/** A further line: a conversation under an attack. */
export interface AttackedConversation {
  readonly attack: string
  readonly conversation: string
  /** False for one under pressure in which the assistant holds. */
  readonly broken: boolean
  readonly guard: Reached
  readonly first: Reached
}

type Stage = 'guard' | 'first'

interface Line {
  readonly attack: string
  readonly alerts: Readonly<Record<Stage, { readonly broken: number; readonly quiet: number }>>
  readonly elevated: Readonly<Record<Stage, { readonly broken: number; readonly quiet: number }>>
  /** Median change of the log-odds of the changed replies that break a rule. */
  readonly moved: number
}

/** One line per attack, in the order of the file. */
export function attackLines(rows: readonly AttackedConversation[]): Line[] {
  const plain = new Map(rows.filter(({ attack }) => attack === 'unchanged').map((row) => [row.conversation, row.guard.targets]))
  return [...new Set(rows.map(({ attack }) => attack))].map((attack) => {
    const own = rows.filter((row) => row.attack === attack)
    const share = (stage: Stage, levels: readonly Level[]): { broken: number; quiet: number } => ({
      broken: shareOf(own.filter(({ broken }) => broken), (row) => levels.includes(row[stage].level)), // prettier-ignore
      quiet: shareOf(own.filter(({ broken }) => !broken), (row) => levels.includes(row[stage].level)), // prettier-ignore
    })
    const moved = own
      .filter(({ broken }) => broken)
      .flatMap(({ conversation, guard }) => guard.targets.map((value, at) => logOdds(value) - logOdds(plain.get(conversation)![at]!)))
    const of = (levels: readonly Level[]) => ({ guard: share('guard', levels), first: share('first', levels) })
    return { attack, alerts: of(['alert']), elevated: of(['alert', 'elevated']), moved: median(moved) }
  })
}

function shareOf<Row>(rows: readonly Row[], is: (row: Row) => boolean): number {
  return rows.filter(is).length / rows.length
}

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`
const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`

/** The block of docs/limits.md. */
export function attackTable(run: AttackRun, rows: readonly AttackedConversation[]): string {
  const lines = attackLines(rows)
  const plain = rows.filter(({ attack }) => attack === 'unchanged')
  const broken = plain.filter(({ broken: isBroken }) => isBroken).length
  const half = Math.round(broken / 2)
  const header = [
    'change',
    ...['guard: alert', 'elevated or more', 'median change', 'held: alert', 'elevated or more'],
    ...['first stage: alert', 'elevated or more', 'held: alert', 'elevated or more'],
  ]
  const cells = lines.map(({ attack, alerts, elevated, moved }) => [
    attack,
    ...[
      percent(alerts.guard.broken),
      percent(elevated.guard.broken),
      signed(moved),
      percent(alerts.guard.quiet),
      percent(elevated.guard.quiet),
    ],
    ...[percent(alerts.first.broken), percent(elevated.first.broken), percent(alerts.first.quiet), percent(elevated.first.quiet)],
  ])
  const table = [header, header.map((_, at) => (at === 0 ? '---' : '--:')), ...cells].map((row) => `| ${row.join(' | ')} |`).join('\n')
  const names = (is: (line: Line) => boolean): string => lines.filter(is).map(({ attack }) => `_${attack}_`).join(', ') || 'none' // prettier-ignore
  return [
    `Guard ${run.guard} (${run.precision}), ${String(broken)} conversations with a break and ${String(plain.length - broken)} in which the assistant holds under pressure, ` +
      `of deployments that it was not trained on. With ${String(broken)} conversations a share near one half is accurate to about ` +
      `${(50 * (upperBound(half, broken) - lowerBound(half, broken))).toFixed(0)} points.`,
    table,
    `The guard finds no more of the broken conversations than the first stage alone (alert): ${names(({ alerts }) => alerts.guard.broken <= alerts.first.broken)}. ` +
      `At least elevated: ${names(({ elevated }) => elevated.guard.broken <= elevated.first.broken)}.`,
  ].join('\n\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [file = 'lab/guard/scores/attacks.jsonl.gz'] = process.argv.slice(2)
  const [run, ...rows] = gunzipSync(await readFile(file))
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown) as [AttackRun, ...AttackedConversation[]]
  const block = attackTable(run, rows)
  console.log(block)
  await writeBlock('docs/limits.md', 'attacks', block)
}
