#!/usr/bin/env node
// Sets up and shows the main use: `gabion monitor` on example conversations that stay calm and on one whose guardrails erode, without the
// assistant's system prompt and with it.
//
// usage: node scripts/start.mjs [OPTION…]      options are passed on to `gabion monitor`

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { setUp } from './setup.mjs'
import { StepFailed, reportFailure, root } from './setup/run.mjs'

const shop = 'examples/shop-refund-eroding.json'
const runs = [
  ['examples/bank-card-benign.json', 'examples/parcel-false-alarm-chat.json', shop],
  // The same assistant, with its system prompt: the guard reads the rules.
  ['--guard', 'always', '--system', 'examples/shop-system-prompt.md', shop],
]

try {
  await setUp({ purpose: 'start' })
  for (const run of runs) {
    const args = ['monitor', ...run, ...process.argv.slice(2)]
    console.log(`\n$ gabion ${args.join(' ')}\n`)
    const { status, signal } = spawnSync(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...args], { cwd: root, stdio: 'inherit' })
    if (signal !== null) throw new StepFailed(`gabion monitor was ended by ${signal}`)
    process.exitCode ||= status
  }
} catch (error) {
  reportFailure(error)
}
