// Samples of a process's resources over a run: resident memory, open files, threads, libuv's handles; and the slope of memory over texts.

import { readFileSync, readdirSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'

/**
 * The resources of this process now; collects garbage first if Node was started with --expose-gc.
 *
 * `heldMb` is the resident memory without pages of files and V8's reserve.
 */
export function sample(texts) {
  globalThis.gc?.()
  const status = readFileSync('/proc/self/status', 'utf8')
  const number = (name) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)[1])
  const { total_physical_size: committed, used_heap_size: used } = getHeapStatistics()
  return {
    texts,
    residentMb: number('VmRSS') / 1024,
    heldMb: number('RssAnon') / 1024 - (committed - used) / 2 ** 20,
    files: readdirSync('/proc/self/fd').length,
    threads: number('Threads'),
    handles: process.getActiveResourcesInfo().length,
  }
}

/** Megabytes of `which` memory per 100,000 texts: the least-squares line through the samples, and its standard error. */
export function slopeOf(samples, which) {
  const count = samples.length
  const mean = (of) => samples.reduce((sum, one) => sum + of(one), 0) / count
  const [x, y] = [mean((one) => one.texts), mean((one) => one[which])]
  const squares = samples.reduce((sum, one) => sum + (one.texts - x) ** 2, 0)
  const slope = samples.reduce((sum, one) => sum + (one.texts - x) * (one[which] - y), 0) / squares
  const rest = samples.reduce((sum, one) => sum + (one[which] - y - slope * (one.texts - x)) ** 2, 0)
  return { slope: slope * 100_000, error: Math.sqrt(rest / Math.max(1, count - 2) / squares) * 100_000 }
}
