// What the system does to a process: no room on disk or in memory, files that change or cannot be read, a clock that jumps, a quota that falls.
// Each a coded error and a process that goes on.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { bundledFolder, KNOWN_MODELS } from '../../lib/models/index.js'
import { SANITIZED, runChild, type Ending } from './child.js'

const children = fileURLToPath(new URL('children', import.meta.url))
const smallModel = fileURLToPath(new URL('../fixtures/family/bert', import.meta.url))
// Root may mount in a mount namespace; others need a user namespace, which some systems forbid.
const UNSHARE = ['--mount', ...(process.getuid?.() === 0 ? [] : ['--map-root-user'])]
const mayMount = spawnSync('unshare', [...UNSHARE, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0

/** A new control group whose CPU quota may be set; null where that is not allowed. */
function makeControlGroup(): string | null {
  const root = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup'].find((folder) => existsSync(folder))
  if (root === undefined) return null
  const group = join(root, `gabion-test-${process.pid}`)
  try {
    mkdirSync(group)
  } catch {
    return null
  }
  if (existsSync(join(group, 'cpu.max')) || existsSync(join(group, 'cpu.cfs_quota_us'))) return group
  rmdirSync(group)
  return null
}

let folder: string
let group: string | null
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'gabion-faults-'))
  group = makeControlGroup()
})
after(() => {
  rmSync(folder, { recursive: true })
  if (group !== null) rmdirSync(group)
})

function copyOfBundled(name: string): string {
  const [known] = KNOWN_MODELS
  const copy = join(folder, name)
  cpSync(bundledFolder(known ?? assert.fail()), copy, { recursive: true })
  execFileSync('chmod', ['-R', 'a+rX', folder])
  return copy
}

function assertDone({ code, signal, stdout, stderr }: Ending, expected = 'done'): void {
  assert.deepEqual([code, signal], [0, null], stderr)
  assert.equal(stdout, `${expected}\n`)
}

describe('the files of a model', () => {
  for (const [how, reload] of [
    ['overwrite', 'INFERENCE_FAILED'],
    ['cut', 'MODEL_INVALID'],
    ['replace', 'MODEL_INVALID'],
    ['remove', 'MODEL_NOT_FOUND'],
  ] as const) {
    test(`weights in use: ${how}`, async () => {
      assertDone(await runChild('changed-weights', [copyOfBundled(how), how]), `done: ${reload}`)
    })
  }

  test('that may not be read', async () => {
    assertDone(await runChild('unreadable', [copyOfBundled('unreadable')]))
  })
})

describe('limits', () => {
  test('of memory', { skip: SANITIZED }, async () => {
    assertDone(await runChild('memory-limit'))
  })

  test('of the processor, falling and rising', async (context) => {
    if (group === null) {
      context.skip('no control group may be made here')
      return
    }
    assertDone(await runChild('cpu-quota', [group]))
  })

  test('of a file system', { skip: mayMount ? false : 'nothing may be mounted here' }, () => {
    const disk = join(folder, 'disk')
    mkdirSync(disk)
    const commands = 'mount -t tmpfs -o size=3m tmpfs "$1" && exec "$0" "$2" "$1" "$3"'
    const args = [...UNSHARE, 'sh', '-c', commands, process.execPath, disk, join(children, 'full-disk.mjs'), smallModel]
    const { status, stdout, stderr } = spawnSync('unshare', args, {
      encoding: 'utf8',
      env: { ...process.env, GABION_CACHE: join(disk, 'cache') },
    })
    assert.deepEqual([status, stdout], [0, 'done\n'], stderr)
  })
})

test('a clock that jumps by years', async () => {
  const library = join(folder, 'clock.so')
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, join(children, 'clock.c'), '-ldl'])
  // AddressSanitizer's library must come first.
  const preload = [process.env.LD_PRELOAD, library].filter(Boolean).join(':')
  const env = { ...process.env, LD_PRELOAD: preload, CLOCK_FILE: join(folder, 'clock') }
  assertDone(await runChild('clock-jumps', [], env))
  assert.match(readFileSync(join(folder, 'clock'), 'utf8'), /^-/)
})
