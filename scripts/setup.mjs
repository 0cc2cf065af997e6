#!/usr/bin/env node
// Sets up a checkout in steps, and repeats only those whose inputs changed. A step starts as soon as those that it needs are done: downloads
// and Python's single threads run beside compilers. Node built-ins only: it runs before node_modules exist.
//
// usage: node scripts/setup.mjs [--for start|test|lint|tools] [--force] [--verbose]

import { chownSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { withSetupLock } from './setup/lock.mjs'
import { StepFailed, isMain, reportFailure, root } from './setup/run.mjs'
import { isCurrent, writeStamp } from './setup/stamps.mjs'
import { purposes, steps } from './setup/steps.mjs'
import { atLeast } from './setup/toolchain.mjs'

const oldestNode = '20.19'

/** Runs every step that `purpose` (one of `purposes`) needs; a step that is up to date is skipped. Throws StepFailed. */
export async function setUp({ purpose = 'start', force = false, verbose = false } = {}) {
  if (!atLeast(process.versions.node, oldestNode)) {
    throw new StepFailed(`Node ${process.versions.node} is too old: expected ${oldestNode} or newer`, { exitCode: 2 })
  }
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    throw new StepFailed(`${process.platform}-${process.arch} is not supported: expected linux-x64 or linux-arm64`, { exitCode: 2 })
  }
  await withSetupLock(async () => {
    const context = { purpose, force, verbose }
    const wanted = steps.filter((step) => step.purposes.includes(purpose))
    const started = performance.now()
    const worked = await runSteps(wanted, context)
    console.log(worked === 0 ? `Set-up is current (${seconds(started)})` : `Set-up done in ${seconds(started)}`)
  })
  if (purpose === 'tools') giveToOwner()
}

/** `sudo node scripts/setup.mjs --for tools` in another user's checkout: the files it wrote get that owner. */
function giveToOwner() {
  const { uid, gid } = statSync(root)
  if (process.getuid() !== 0 || uid === 0) return
  const build = join(root, 'build')
  const written = readdirSync(build, { recursive: true }).map((name) => join(build, name))
  for (const path of [build, ...written]) chownSync(path, uid, gid)
}

/** Runs each step after those that it names; returns how many had work to do. Those that run go on to their end when one fails. */
export async function runSteps(wanted, context) {
  const runs = new Map()
  for (const [index, step] of wanted.entries()) {
    const before = (step.after ?? []).flatMap((id) => runs.get(id) ?? [])
    const run = Promise.all(before).then(() => runStep(step, context, `[${index + 1}/${wanted.length}] ${step.title}`))
    runs.set(step.id, run)
  }
  const ends = await Promise.allSettled(runs.values())
  const failed = ends.find(({ status }) => status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return ends.reduce((sum, { value }) => sum + value, 0)
}

/** Returns 1 when the step had work to do, else 0. */
async function runStep(step, context, name) {
  const mayBeDone = !context.force
  if (step.isDone !== undefined && (await step.isDone(context)) && mayBeDone) return 0
  if (step.hash !== undefined && mayBeDone && isCurrent(step.id, step.hash(context), step.outputs)) return 0
  const started = performance.now()
  rmSync(join(root, 'build', 'logs', `${step.id}.log`), { force: true })
  console.log(`${name} …`)
  try {
    const note = await step.work(context)
    const absent = (step.outputs ?? []).filter((output) => !existsSync(join(root, output)))
    if (absent.length > 0) throw new StepFailed(`${step.title}: ended without ${absent.join(', ')}`, { log: `build/logs/${step.id}.log` })
    // Hashed again: a step's own outputs may be among its inputs.
    if (step.hash !== undefined) writeStamp(step.id, { hash: step.hash(context) })
    console.log(`${name}: ${seconds(started)}${typeof note === 'string' ? ` (${note})` : ''}`)
  } catch (error) {
    console.log(`${name}: failed`)
    throw error
  }
  return 1
}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`

if (isMain(import.meta.url)) {
  try {
    await setUp(readOptions(process.argv.slice(2)))
  } catch (error) {
    reportFailure(error)
  }
}

function readOptions(args) {
  const flags = { for: { type: 'string', default: 'start' }, force: { type: 'boolean' }, verbose: { type: 'boolean' } }
  try {
    const { values } = parseArgs({ args, options: flags })
    if (!purposes.includes(values.for)) throw new TypeError(`--for ${values.for}: expected ${purposes.join(', ')}`)
    return { purpose: values.for, force: values.force ?? false, verbose: values.verbose ?? false }
  } catch (error) {
    throw new StepFailed(`${error.message}\nusage: node scripts/setup.mjs [--for start|test|lint|tools] [--force] [--verbose]`, {
      exitCode: 2,
    })
  }
}
