#!/usr/bin/env node
// Runs a service's workload for a long time and reports whether it is stable: resident memory over texts, open files, threads,
// handles, and whether vectors still have the bits of the first minute.
//
// usage: npm run soak -- [--minutes N] [--seed N] [--leak KB]      30 minutes by default; CI runs a quarter of one
//
// - From 10 minutes on: resident memory must rise by less than 1 MB for 100,000 texts after the first third, in which the C library's
//   allocator takes up as many heaps as there are threads, and two standard errors must not reach that bound.
// - Shorter: a slope cannot be separated from that warm-up. The allocator is set to return free memory at once, and the memory that the
//   process holds may rise by 8 MB after the first third. At least 18 smaller rounds are made, however slow the machine is.
// --leak leaks that many KB per text, to show that the check finds it.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { setUp } from './setup.mjs'
import { isMain, reportFailure, root } from './setup/run.mjs'
import { SoakLoad } from './soak/load.mjs'
import { sample, slopeOf } from './soak/samples.mjs'
import { median } from '../dist/internals.js'

const LONG_MINUTES = 10
const SLOPE_MB = 1
const RISE_MB = 8
const ROUNDS = 18
/** For runs that are too short for the allocator to settle (mallopt(3)). */
const TIGHT_ALLOCATOR = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '65536', MALLOC_TRIM_THRESHOLD_: '65536' }

async function soak(minutes, seed, leakKb) {
  const small = join(root, 'test', 'fixtures', 'family')
  const load = new SoakLoad(
    [
      {},
      { model: join(small, 'bert'), precision: 'fp32' },
      { precision: 'int8' },
      { model: join(small, 'xlm-roberta'), precision: 'fp32' },
    ],
    seed,
  )
  await load.open()
  const [started, lasts] = [performance.now(), minutes * 60_000]
  const long = minutes >= LONG_MINUTES
  const every = long ? 10_000 : 0
  const samples = []
  const leaked = []
  console.log('  minute      texts   models  aborted   resident MB   held MB  files  threads  handles')
  for (let next = started + every, round = 0; round < ROUNDS || performance.now() < started + lasts; round++) {
    const before = load.texts
    await load.round(long ? 10 : 3)
    if (leakKb > 0) leaked.push(Buffer.alloc((load.texts - before) * leakKb * 1024, 1))
    if (performance.now() < next) continue
    await load.settle()
    next = performance.now() + every
    const now = { ...sample(load.texts), minute: (performance.now() - started) / 60_000 }
    samples.push(now)
    const columns = [now.minute.toFixed(2), now.texts, load.opened, load.aborted, now.residentMb.toFixed(1), now.heldMb.toFixed(1)]
    const widths = [8, 10, 8, 8, 13, 9, 6, 8, 8]
    console.log([...columns, now.files, now.threads, now.handles].map((cell, at) => String(cell).padStart(widths[at])).join(' '))
  }
  load.close()
  return judge(samples, load, long)
}

function judge(samples, load, long) {
  const steady = samples.slice(Math.floor(samples.length / 3))
  const resident = slopeOf(steady, 'residentMb')
  const third = Math.ceil(steady.length / 3)
  const middle = (which, part) => median(part.map((one) => one[which]))
  const rise = middle('heldMb', steady.slice(-third)) - middle('heldMb', steady.slice(0, third))
  const problems = []
  if (long && resident.slope >= SLOPE_MB)
    problems.push(`resident memory rises by ${figure(resident)} MB for 100,000 texts, ${SLOPE_MB} may`)
  else if (long && resident.slope + 2 * resident.error >= SLOPE_MB)
    problems.push(`${figure(resident)} MB for 100,000 texts do not show that it is less than ${SLOPE_MB}: more minutes would`)
  if (!long && rise > RISE_MB) problems.push(`memory held by the process rose by ${rise.toFixed(1)} MB, ${RISE_MB} may`)
  for (const what of ['files', 'threads', 'handles']) {
    const [first, last] = [steady.slice(0, third), steady.slice(-third)].map((part) => middle(what, part))
    if (last > first + 3) problems.push(`${first} ${what} became ${last}`)
  }
  const [first, last] = [steady[0], steady.at(-1)]
  console.log(
    `\n${load.texts} texts, ${load.opened} models opened, ${load.aborted} calls aborted; after the first third resident memory ${figure(resident)} MB for ` +
      `100,000 texts (${first.residentMb.toFixed(1)} → ${last.residentMb.toFixed(1)} MB), held ${figure(slopeOf(steady, 'heldMb'))} (${rise.toFixed(1)} MB in all), ` +
      `files ${first.files} → ${last.files}, threads ${first.threads} → ${last.threads}, handles ${first.handles} → ${last.handles}; ` +
      'vectors have the bits of the first minute',
  )
  for (const problem of problems) console.error(`error: ${problem}`)
  return problems.length === 0 ? 0 : 1
}

const figure = ({ slope, error }) => `${slope.toFixed(2)} ± ${error.toFixed(2)}`

if (isMain(import.meta.url)) {
  const string = (value) => ({ type: 'string', default: value })
  const { values } = parseArgs({ options: { minutes: string('30'), seed: string('1'), leak: string('0') } })
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) {
    console.error(`error: --minutes must be a number above 0, got ${values.minutes}`)
    process.exit(2)
  }
  try {
    if (globalThis.gc === undefined) {
      await setUp({ purpose: 'start' })
      // Restarted with --expose-gc, so that a sample sees live memory, not garbage.
      const env = minutes < LONG_MINUTES ? { ...process.env, ...TIGHT_ALLOCATOR } : process.env
      const args = ['--expose-gc', fileURLToPath(import.meta.url), ...process.argv.slice(2)]
      process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit', env }).status ?? 1
    } else process.exitCode = await soak(minutes, Number(values.seed), Number(values.leak))
  } catch (error) {
    reportFailure(error)
  }
}
