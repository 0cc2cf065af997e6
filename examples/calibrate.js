// Sets the guard's lines on conversations of your own that are harmless, and judges with them. The shipped lines come from other
// people's conversations and do not carry over. The command is `gabion detector calibrate`.
//
// usage: node examples/calibrate.js [benign.jsonl]     a conversation per line; default: the invented store of policies/

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Monitor } from 'gabion'

const benign = process.argv[2] ?? fileURLToPath(new URL('policies/support-benign.jsonl', import.meta.url))
const gabion = fileURLToPath(new URL('dist/cli/main.js', import.meta.resolve('gabion/package.json')))
const folder = mkdtempSync(join(tmpdir(), 'gabion-calibrate-'))
const lines = join(folder, 'ours.json')

// At most 2 in 100 of these conversations may raise an alert, and 5 in 100 may become elevated.
const budgets = ['--alert', '0.02', '--elevated', '0.05']
const report = execFileSync(process.execPath, [gabion, 'detector', 'calibrate', benign, '--out', lines, ...budgets, '--quiet', '--json'])
const { conversations, levels } = JSON.parse(report)
console.log(`lines from ${conversations} conversations`)

const shipped = await Monitor.load()
const ours = await Monitor.load({ embedder: shipped.embedder, guard: { lines } })
for (const [name, monitor] of Object.entries({ shipped, ours })) {
  const { alert, elevated } = monitor.detector.description.lines
  console.log(`${name.padEnd(8)} alert from ${alert.breaks.toFixed(2)}, elevated from ${elevated.breaks.toFixed(2)} (a rule broken)`)
}

// How sure the budget is: with few conversations the true share may be much higher.
const { reached, upperBound } = levels.alert
console.log(`${reached} of ${conversations} reach an alert line; with 95 % certainty fewer than ${(100 * upperBound).toFixed(1)} % will`)

ours.dispose()
shipped.dispose()
rmSync(folder, { recursive: true })
