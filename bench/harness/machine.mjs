// The machine and the versions that a measurement ran on.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = fileURLToPath(new URL('../..', import.meta.url))

function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function operatingSystem() {
  const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(read('/etc/os-release'))?.[1] ?? process.platform
  return `${name}, Linux ${/^\d+\.\d+/.exec(release())?.[0] ?? release()}`
}

/** The commit that is measured, with a `+` when tracked files differ from it; null outside a checkout. */
function commit() {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    return git('rev-parse', '--short=10', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+')
  } catch {
    return null
  }
}

/** Version of an installed package of the bench; read from its file, as some do not export it. */
function packageVersion(name) {
  return JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8')).version
}

/** The machine and the versions, for tables and JSON. */
export function describeMachine() {
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    logicalProcessors: cpus().length,
    processorsAllowed: availableParallelism(),
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(read('/proc/cpuinfo')),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: operatingSystem(),
    node: process.versions.node,
    gabion: require('../../package.json').version,
    commit: commit(),
    baselines: Object.fromEntries(
      ['onnxruntime-node', '@huggingface/transformers', '@huggingface/tokenizers'].map((name) => [name, packageVersion(name)]),
    ),
  }
}

const TICKS_PER_SECOND = 100

/** CPU seconds since the start: of all processors together, and of this process with its ended children. */
export function processorSeconds() {
  const [, user, nice, system, , , irq, softirq] = read('/proc/stat').split('\n', 1)[0].split(/\s+/).map(Number)
  // The second field, the program's name, is in brackets and may hold anything.
  const own = read('/proc/self/stat').split(') ')[1].split(' ').slice(11, 15).map(Number)
  return {
    all: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    own: own.reduce((sum, ticks) => sum + ticks) / TICKS_PER_SECOND,
  }
}
