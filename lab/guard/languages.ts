// What the guard is worth in languages other than English, which no run is trained on: scores every reply of the written deployments in them through
// the product, next to the erosion detector, and stores the scores (no texts).
//
// usage: node --import tsx lab/guard/languages.ts [--guard FOLDER] [--deployments N] [--out FILE] [--table]
//
// --table: from the stored scores, without a model; --deployments: the first N alone, nothing is written into the documentation

import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { gunzipSync, gzipSync } from 'node:zlib'
import { GUARD_FOLDER } from '../../lib/detection/guard/load-guard.js'
import type { Level } from '../../lib/detection/verdict.js'
import { Monitor } from '../../lib/monitor/monitor.js'
import { membersOf } from '../../lib/statistics/groups.js'
import { auroc, withinGroups } from '../../lib/statistics/ranking.js'
import { writeBlock } from './docs-block.js'
import { deploymentsOf, OTHER_LANGUAGES, type Deployment } from './written.js'

/** A reply in its place. */
interface ScoredReply {
  readonly deployment: string
  readonly conversation: string
  readonly exchange: number
  /** It is the other reply to the same message, after which the conversation does not go on. */
  readonly alternative: boolean
  readonly broken: boolean
  readonly breaks: number
  readonly first: number
  /** The guard's level after it. */
  readonly level: Level
}

const NAMES: Readonly<Record<string, string>> = {
  ...{ de: 'German', es: 'Spanish', fr: 'French', it: 'Italian' },
  ...{ nl: 'Dutch', pl: 'Polish', pt: 'Portuguese' },
}

async function scored(deployment: Deployment, guard: Awaited<ReturnType<typeof loadGuard>>, first: Monitor): Promise<ScoredReply[]> {
  const rows: ScoredReply[] = []
  for (const { id, exchanges } of deployment.conversations) {
    const [byGuard, byFirst] = [guard, first].map((monitor) => monitor.begin(id, { system: deployment.system }))
    for (const [at, { user, alt, ...reply }] of exchanges.entries()) {
      for (const { assistant, label } of alt === undefined ? [reply] : [alt, reply]) {
        const alternative = assistant !== reply.assistant
        const place = alternative ? [byGuard!.fork(), byFirst!.fork()] : [byGuard!, byFirst!]
        const [verdict, other] = await Promise.all(place.map((conversation) => conversation.addExchange({ user, assistant })))
        const { signals, level } = verdict as Awaited<ReturnType<ReturnType<typeof guard.begin>['addExchange']>>
        rows.push({
          ...{ deployment: deployment.name, conversation: id, exchange: at, alternative, broken: label === 'break' },
          ...{ breaks: rounded(signals?.breaks ?? 0), first: rounded(other!.likelihood), level },
        })
      }
    }
  }
  return rows
}

const rounded = (value: number): number => Math.round(value * 1e4) / 1e4
const loadGuard = (folder: string) => Monitor.load({ guard: { folder } })

function table(rows: readonly ScoredReply[]): string {
  const byLanguage = grouped(rows, ({ deployment }) => deployment.slice(0, 2))
  const lines = byLanguage.map((own) => [NAMES[own[0]!.deployment.slice(0, 2)]!, ...figures(own)])
  const header = ['language', 'deployments', 'replies', 'AUROC', 'twins ranked right', 'with a break: alert', 'without: alert', 'first stage: AUROC'] // prettier-ignore
  return [header, header.map((_, at) => (at === 0 ? '---' : '--:')), ...lines, ['all', ...figures(rows)]]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n')
}

function grouped<Row>(rows: readonly Row[], by: (row: Row) => string): Row[][] {
  return membersOf(rows.map(by)).map((members) => members.map((at) => rows[at]!))
}

function figures(rows: readonly ScoredReply[]): string[] {
  const labels = rows.map(({ broken }) => Number(broken))
  const twins = withinGroups({ scores: rows.map(({ breaks }) => breaks), labels }, rows.map(({ conversation, exchange }) => `${conversation}/${String(exchange)}`)) // prettier-ignore
  const conversations = grouped(rows.filter(({ alternative }) => !alternative), ({ conversation }) => conversation) // prettier-ignore
  const alerts = (isBroken: boolean): string => {
    const some = conversations.filter((own) => own.some(({ broken }) => broken) === isBroken)
    return `${String(some.filter((own) => own.some(({ level }) => level === 'alert')).length)} of ${String(some.length)}`
  }
  return [
    String(new Set(rows.map(({ deployment }) => deployment)).size),
    String(rows.length),
    auroc({ scores: rows.map(({ breaks }) => breaks), labels }).toFixed(2),
    `${twins.area.toFixed(2)} of ${String(twins.pairs)}`,
    ...[alerts(true), alerts(false)],
    auroc({ scores: rows.map(({ first }) => first), labels }).toFixed(2),
  ]
}

const { values: flags } = parseArgs({
  options: {
    guard: { type: 'string', default: GUARD_FOLDER },
    out: { type: 'string', default: 'lab/guard/scores/languages.jsonl.gz' },
    deployments: { type: 'string' },
    table: { type: 'boolean', default: false },
  },
})
if (!flags.table) {
  using guard = await loadGuard(flags.guard)
  using first = await Monitor.load({ embedder: guard.embedder, detector: 'erosion' })
  const deployments = (await deploymentsOf(OTHER_LANGUAGES)).slice(
    0,
    flags.deployments === undefined ? undefined : Number(flags.deployments),
  )
  const rows = await Promise.all(
    deployments.map(async (deployment) => {
      const own = await scored(deployment, guard, first)
      console.error(`${deployment.name}: ${String(own.length)} replies`)
      return own
    }),
  )
  await writeFile(flags.out, gzipSync(rows.flat().map((row) => `${JSON.stringify(row)}\n`).join(''))) // prettier-ignore
}
const stored = gunzipSync(await readFile(flags.out)).toString().trimEnd().split('\n') // prettier-ignore
const block = table(stored.map((line) => JSON.parse(line) as ScoredReply))
console.log(block)
if (flags.deployments === undefined) await writeBlock('docs/limits.md', 'languages', block)
