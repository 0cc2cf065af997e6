// Fuzzes one target of targets.ts for a while, guided by coverage. Started by scripts/fuzz.mjs, in a process of its own: the input under
// way is written down first, so that one that kills or hangs the process is known too.
//
// usage: run.ts TARGET SECONDS SEED FOLDER UNDERWAY      seconds of processor time; FOLDER takes findings, the file UNDERWAY the input that runs

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { Coverage } from './coverage.js'
import { edits, type Edit } from './edits.js'
import { FUZZ_TARGETS, fuzzOnce, type FuzzTarget } from './targets.js'

/** Inputs are kept below this: a larger one finds the same, later. */
const LONGEST = 200_000
/** Edits drawn at a time, and inputs run between two looks at the coverage. */
const DRAWN = 2000
const BETWEEN_LOOKS = 25

const [name = '', seconds = '60', seed = '1', folder = '', inputFile = ''] = process.argv.slice(2)
const target = FUZZ_TARGETS[name]
if (target === undefined) throw new Error(`there is no target '${name}'`)

/** Of processor time: a process next to others gets its share all the same. */
function secondsSpent(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

async function failureOf(one: FuzzTarget, input: Buffer): Promise<unknown> {
  try {
    await fuzzOnce(one, input)
    return null
  } catch (error) {
    return error
  }
}

const apply = (steps: readonly Edit[], base: Buffer, pool: readonly Buffer[]): Buffer =>
  steps.reduce((input, edit) => edit(input, pool), base).subarray(0, LONGEST)

function seeds(): Buffer[] {
  const folders = ['corpus', 'regressions'].map((kind) => fileURLToPath(new URL(`${kind}/${name}`, import.meta.url)))
  return folders.flatMap((one) => (existsSync(one) ? readdirSync(one).map((file) => readFileSync(join(one, file))) : []))
}

/** Leaves out every edit without which the input still fails. */
async function shrink(one: FuzzTarget, steps: Edit[], base: Buffer, pool: Buffer[]): Promise<Buffer> {
  let left = steps
  for (const edit of steps) {
    const without = left.filter((kept) => kept !== edit)
    if ((await failureOf(one, apply(without, base, pool))) !== null) left = without
  }
  return apply(left, base, pool)
}

async function fuzz(one: FuzzTarget): Promise<number> {
  const end = secondsSpent() + Number(seconds)
  const pool = seeds()
  mkdirSync(folder, { recursive: true })
  const coverage = new Coverage()
  for (const input of pool) await fuzzOnce(one, input)
  coverage.takeNew()
  const started = pool.length
  let runs = 0
  let recent: Buffer[] = []
  const look = async (): Promise<void> => {
    if (coverage.takeNew() > 0) pool.push(...recent.slice(-1), ...recent.filter((_, index) => index % 5 === 0))
    recent = []
    await new Promise(setImmediate)
  }
  for (let round = 0; secondsSpent() < end; round++) {
    for (const steps of fc.sample(edits, { numRuns: DRAWN, seed: Number(seed) + round })) {
      if (secondsSpent() >= end) break
      const base = pool[runs % pool.length]!
      const input = apply(steps, base, pool)
      writeFileSync(inputFile, input)
      const failure = await failureOf(one, input)
      runs++
      if (failure !== null) {
        const small = await shrink(one, steps, base, pool)
        const file = join(folder, `${name}-${createHash('sha256').update(small).digest('hex').slice(0, 12)}`)
        writeFileSync(file, small)
        console.log(`finding: ${file}`)
        console.log(failure instanceof Error ? failure.stack : failure)
        return 1
      }
      recent.push(input)
      if (recent.length >= BETWEEN_LOOKS) await look()
    }
  }
  console.log(
    `${name.padEnd(12)} ${String(runs).padStart(8)} inputs, ${coverage.reached} stretches of code, ${pool.length - started} inputs kept`,
  )
  return 0
}

process.exitCode = await fuzz(target)
