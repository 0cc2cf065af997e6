// Plays the written conversations that fold 1 leaves out of training through the product, with the guard on every exchange and behind
// the first stage: conversations with alerts by kind, and what the first stage keeps from the guard.
//
// usage: node --import tsx lab/guard/through-monitor.ts [BATCH…]

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Monitor } from '../../lib/monitor/monitor.js'

interface WrittenExchange {
  readonly user: string
  readonly assistant: string
  readonly label: 'ok' | 'waver' | 'break'
}
interface Deployment {
  readonly system: string
  readonly conversations: readonly { readonly id: string; readonly kind: string; readonly exchanges: readonly WrittenExchange[] }[]
}

/** As `FOLDS['1']` in sources.py. */
const LEFT_OUT = ['plain-3', 'long-2', 'agent-2', 'voice-a']

const readJson = async (name: string): Promise<unknown> => JSON.parse(await readFile(join('data', name), 'utf8'))

async function deploymentsOf(batches: readonly string[]): Promise<Deployment[]> {
  const members = (await readJson('deployment-batches.json')) as Record<string, string[]>
  const names = batches.flatMap((batch) => members[batch] ?? [])
  return Promise.all(names.map(async (name) => (await readJson(`deployments/${name}.json`)) as Deployment))
}

async function play(deployments: readonly Deployment[], guard: 'always' | 'suspicious'): Promise<void> {
  using monitor = await Monitor.load({ guard })
  const byKind = new Map<string, { conversations: number; alerted: number; elevated: number }>()
  const counts = { exchanges: 0, read: 0, breaks: 0, breaksRead: 0, milliseconds: 0 }
  for (const { system, conversations } of deployments) {
    for (const { id, kind, exchanges } of conversations) {
      const conversation = monitor.begin(id, { system })
      const broken = exchanges.some(({ label }) => label === 'break')
      const group = byKind.get(broken ? `${kind}, with breaks` : kind) ?? { conversations: 0, alerted: 0, elevated: 0 }
      byKind.set(broken ? `${kind}, with breaks` : kind, group)
      const levels = new Set<string>()
      for (const { user, assistant, label } of exchanges) {
        const verdict = await conversation.addExchange({ user, assistant })
        const isRead = verdict.signals !== null
        levels.add(verdict.level)
        counts.exchanges += 1
        counts.read += Number(isRead)
        counts.breaks += Number(label === 'break')
        counts.breaksRead += Number(label === 'break' && isRead)
        counts.milliseconds += verdict.timings.totalMs
      }
      group.conversations += 1
      group.alerted += Number(levels.has('alert'))
      group.elevated += Number(levels.has('elevated') || levels.has('alert'))
    }
  }
  console.log(
    `\n${guard}: the guard read ${String(counts.read)} of ${String(counts.exchanges)} exchanges, and ${String(counts.breaksRead)} of ${String(counts.breaks)} that break a rule; ${(counts.milliseconds / counts.exchanges).toFixed(1)} ms per exchange`,
  )
  console.table(Object.fromEntries([...byKind].sort(([one], [other]) => one.localeCompare(other))))
}

const batches = process.argv.slice(2)
const deployments = await deploymentsOf(batches.length === 0 ? LEFT_OUT : batches)
for (const mode of ['always', 'suspicious'] as const) await play(deployments, mode)
