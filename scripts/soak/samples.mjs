// What a process holds, sampled over a run: resident memory, open files, threads, libuv's handles; and the slope of memory over texts.

import { readFileSync, readdirSync } from 'node:fs'

/** What this process holds now; collects garbage first where Node was started with --expose-gc. */
export function sample(texts) {
  globalThis.gc?.()
  const status = readFileSync('/proc/self/status', 'utf8')
  const number = (name) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)[1])
  return {
    texts,
    residentMb: number('VmRSS') / 1024,
    heapMb: process.memoryUsage().heapUsed / 2 ** 20,
    files: readdirSync('/proc/self/fd').length,
    threads: number('Threads'),
    handles: process.getActiveResourcesInfo().length,
  }
}

/** Megabytes of resident memory a 100,000 texts: the least squares line through the samples, and its standard error. */
export function slopeOf(samples) {
  const count = samples.length
  const mean = (of) => samples.reduce((sum, one) => sum + of(one), 0) / count
  const [x, y] = [mean((one) => one.texts), mean((one) => one.residentMb)]
  const squares = samples.reduce((sum, one) => sum + (one.texts - x) ** 2, 0)
  const slope = samples.reduce((sum, one) => sum + (one.texts - x) * (one.residentMb - y), 0) / squares
  const rest = samples.reduce((sum, one) => sum + (one.residentMb - y - slope * (one.texts - x)) ** 2, 0)
  return { slope: slope * 100_000, error: Math.sqrt(rest / Math.max(1, count - 2) / squares) * 100_000 }
}
