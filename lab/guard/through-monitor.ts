// Plays the written conversations that fold 1 leaves out of training through the product, with the guard on every exchange and behind
// the first stage: conversations with alerts by kind (before: at least elevated before the first break), and what the first stage keeps from the guard.
//
// usage: node --import tsx lab/guard/through-monitor.ts [BATCH…]

import { Monitor } from '../../lib/monitor/monitor.js'
import { deploymentsOf, LEFT_OUT, type Deployment } from './written.js'

async function play(deployments: readonly Deployment[], guard: 'always' | 'suspicious'): Promise<void> {
  using monitor = await Monitor.load({ guard })
  const byKind = new Map<string, { conversations: number; alerted: number; elevated: number; before: number }>()
  const counts = { exchanges: 0, read: 0, breaks: 0, breaksRead: 0, milliseconds: 0 }
  for (const { system, conversations } of deployments) {
    for (const { id, kind, exchanges } of conversations) {
      const conversation = monitor.begin(id, { system })
      const broken = exchanges.some(({ label }) => label === 'break')
      const group = byKind.get(broken ? `${kind}, with breaks` : kind) ?? { conversations: 0, alerted: 0, elevated: 0, before: 0 }
      byKind.set(broken ? `${kind}, with breaks` : kind, group)
      const levels = new Set<string>()
      let [seen, warned] = [false, false]
      for (const { user, assistant, label } of exchanges) {
        const verdict = await conversation.addExchange({ user, assistant })
        const isRead = verdict.signals !== null
        // Before the first break: a warning that came in time.
        if (label === 'break' && !seen) [seen, warned] = [true, levels.has('elevated') || levels.has('alert')]
        levels.add(verdict.level)
        counts.exchanges += 1
        counts.read += Number(isRead)
        counts.breaks += Number(label === 'break')
        counts.breaksRead += Number(label === 'break' && isRead)
        counts.milliseconds += verdict.timings.totalMs
      }
      group.conversations += 1
      group.before += Number(warned)
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
