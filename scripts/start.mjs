#!/usr/bin/env node
// Sets up and shows the main job: `gabion monitor` on an example conversation that stays calm and on one that is talked out of its rules.
//
// usage: node scripts/start.mjs [OPTION…]      options are passed on to `gabion monitor`

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setUp } from './setup.mjs'
import { StepFailed, reportFailure, root } from './setup/run.mjs'

try {
  await setUp({ purpose: 'start' })
  const examples = ['benign', 'eroding'].map(findExample)
  const args = ['monitor', ...examples, ...process.argv.slice(2)]
  console.log(`\n$ gabion ${args.join(' ')}\n`)
  const { status, signal } = spawnSync(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...args], { cwd: root, stdio: 'inherit' })
  if (signal !== null) throw new StepFailed(`gabion monitor was ended by ${signal}`)
  process.exitCode = status
} catch (error) {
  reportFailure(error)
}

function findExample(kind) {
  const name = readdirSync(join(root, 'examples')).find((file) => file.includes(kind) && /\.(jsonl?|csv)$/.test(file))
  if (name === undefined) throw new StepFailed(`examples/ has no conversation with ${kind} in its name: is the checkout complete?`)
  return join('examples', name)
}
