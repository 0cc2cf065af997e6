// A first use leaves nothing in the home and calls nobody. The environment variable CI is taken away, because ONNX Runtime
// keeps quiet by itself where it is set.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runChild } from './child.js'

const folder = mkdtempSync(join(tmpdir(), 'gabion-silence-'))
const watcher = join(folder, 'watch.so')

before(() => {
  const source = fileURLToPath(new URL('children/watch-connections.c', import.meta.url))
  execFileSync('cc', ['-shared', '-fPIC', '-o', watcher, source, '-ldl'])
})
after(() => {
  rmSync(folder, { recursive: true })
})

interface Traces {
  files: string[]
  calls: string
}

async function tracesOf(child: string): Promise<Traces> {
  const home = join(folder, child)
  mkdirSync(home)
  const calls = join(folder, `${child}.calls`)
  const { PATH } = process.env
  const ending = await runChild(child, [], { PATH, HOME: home, LD_PRELOAD: watcher, WATCH_FILE: calls })
  assert.equal(ending.stdout, 'done\n', ending.stderr)
  let noted = ''
  try {
    noted = readFileSync(calls, 'utf8')
  } catch {
    // no call, no file
  }
  return { files: readdirSync(home, { recursive: true }) as string[], calls: noted }
}

test('a first use writes nothing into an empty home and opens no connection', async () => {
  assert.deepEqual(await tracesOf('silent'), { files: [], calls: '' })
})

test('the same watch sees a process that does both', async () => {
  const { files, calls } = await tracesOf('loud')
  assert.deepEqual(files, ['left-behind'])
  assert.match(calls, /connect/)
})
