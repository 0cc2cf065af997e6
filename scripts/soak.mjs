#!/usr/bin/env node
// Runs for a long time what a service does all day, and says whether it could go on: resident memory over texts, open files, threads,
// handles, and whether vectors still have the bits of the first minute.
//
// usage: npm run soak -- [--minutes N] [--seed N]      30 minutes by default; CI runs a quarter of one
// Memory must rise by less than 1 MB for 100,000 texts after the warm-up, which is the first quarter. A run that is too short to tell such
// a slope from noise (its standard error is above a quarter of that) only has to stay within 48 MB.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { setUp } from './setup.mjs'
import { isMain, reportFailure, root } from './setup/run.mjs'
import { SoakLoad } from './soak/load.mjs'
import { sample, slopeOf } from './soak/samples.mjs'

const SLOPE_MB = 1
const GROWTH_MB = 48

async function soak(minutes, seed) {
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
  const every = Math.min(10_000, lasts / 12)
  const samples = []
  console.log('  minute      texts   models  aborted   resident MB   heap MB  files  threads  handles')
  for (let next = started + every; performance.now() < started + lasts;) {
    await load.round()
    if (performance.now() < next) continue
    next = performance.now() + every
    const now = { ...sample(load.texts), minute: (performance.now() - started) / 60_000 }
    samples.push(now)
    const columns = [now.minute.toFixed(2), now.texts, load.opened, load.aborted, now.residentMb.toFixed(1), now.heapMb.toFixed(1)]
    const widths = [8, 10, 8, 8, 13, 9, 6, 8, 8]
    console.log([...columns, now.files, now.threads, now.handles].map((cell, at) => String(cell).padStart(widths[at])).join(' '))
  }
  load.close()
  return judge(samples, load)
}

function judge(samples, load) {
  const steady = samples.filter((one) => one.minute >= samples.at(-1).minute / 4)
  const [first, last] = [steady[0], steady.at(-1)]
  const { slope, error } = slopeOf(steady)
  const problems = []
  const isLong = error < SLOPE_MB / 4
  if (isLong && slope >= SLOPE_MB) problems.push(`resident memory rises by ${slope.toFixed(2)} MB for 100,000 texts, ${SLOPE_MB} may`)
  if (!isLong && last.residentMb - first.residentMb > GROWTH_MB)
    problems.push(`resident memory rose from ${first.residentMb.toFixed(0)} to ${last.residentMb.toFixed(0)} MB`)
  for (const [what, slack] of [
    ['files', 3],
    ['threads', 3],
    ['handles', 3],
  ]) {
    if (last[what] > first[what] + slack) problems.push(`${first[what]} ${what} became ${last[what]}`)
  }
  console.log(
    `\n${load.texts} texts, ${load.opened} models opened, ${load.aborted} calls aborted; resident memory ${slope.toFixed(2)} ± ${error.toFixed(2)} MB ` +
      `for 100,000 texts after the first quarter (${first.residentMb.toFixed(1)} → ${last.residentMb.toFixed(1)} MB), files ${first.files} → ${last.files}, ` +
      `threads ${first.threads} → ${last.threads}, handles ${first.handles} → ${last.handles}; vectors have the bits of the first minute`,
  )
  for (const problem of problems) console.error(`error: ${problem}`)
  return problems.length === 0 ? 0 : 1
}

if (isMain(import.meta.url)) {
  const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } } })
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) {
    console.error(`error: --minutes must be a number above 0, got ${values.minutes}`)
    process.exit(2)
  }
  try {
    if (globalThis.gc === undefined) {
      await setUp({ purpose: 'start' })
      // Started once more, so that what a sample sees is what is held, not what the collector has yet to free.
      const args = ['--expose-gc', fileURLToPath(import.meta.url), '--minutes', String(minutes), '--seed', values.seed]
      process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1
    } else process.exitCode = await soak(minutes, Number(values.seed))
  } catch (error) {
    reportFailure(error)
  }
}
