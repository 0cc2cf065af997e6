#!/usr/bin/env node
// Sets up and shows the main use: `gabion monitor` on an example conversation that stays calm and on one whose guardrails erode.
//
// usage: node scripts/start.mjs [OPTION…]      options are passed on to `gabion monitor`

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { setUp } from './setup.mjs'
import { StepFailed, reportFailure, root } from './setup/run.mjs'

const examples = ['examples/bank-card-benign.json', 'examples/shop-refund-eroding.json']

try {
  await setUp({ purpose: 'start' })
  const args = ['monitor', ...examples, ...process.argv.slice(2)]
  console.log(`\n$ gabion ${args.join(' ')}\n`)
  const { status, signal } = spawnSync(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...args], { cwd: root, stdio: 'inherit' })
  if (signal !== null) throw new StepFailed(`gabion monitor was ended by ${signal}`)
  process.exitCode = status
} catch (error) {
  reportFailure(error)
}
