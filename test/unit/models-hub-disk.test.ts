// Pulling onto a real file system that is read-only or fills up meanwhile: small ones in memory, mounted in a namespace of the test's own.

import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { HubServer } from '../fixtures/hub-server.js'
import { tinyCheckpoint, writeTinyFolder } from '../fixtures/tiny-checkpoint.js'

const script = fileURLToPath(new URL('../fixtures/pull-onto-disk-child.ts', import.meta.url))
// Root may mount in a mount namespace; others need a user namespace, which some systems forbid.
const UNSHARE = ['--mount', ...(process.getuid?.() === 0 ? [] : ['--map-root-user'])]
const mayMount = spawnSync('unshare', [...UNSHARE, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0

describe('a file system', { skip: mayMount ? false : 'nothing may be mounted here' }, () => {
  let folder: string
  let hub: HubServer
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-disk-'))
    const origin = join(folder, 'origin')
    await writeTinyFolder(origin, tinyCheckpoint())
    const files: Record<string, Buffer> = {}
    for (const entry of await readdir(origin, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name)
      if (entry.isFile()) files[path.slice(origin.length + 1)] = await readFile(path)
    }
    // In many pieces, so that the disk can be full between two.
    hub = await HubServer.start({ ...files, 'model.safetensors': Buffer.alloc(8_000_000, 7) })
    await mkdir(join(folder, 'home'))
  })
  after(async () => {
    await hub.stop()
    await rm(folder, { recursive: true })
  })

  /** Pulls with HF_HOME on a new file system of 32 MB; afterwards lists what is there under its own name. */
  async function pull(mount: string, ...args: string[]): Promise<{ code: string | null; message: string; blobs: string[] }> {
    const home = join(folder, 'home')
    const commands = `mount -t tmpfs -o size=32m tmpfs "$HF_HOME" && ${mount}"$0" --import tsx "$@"; ls "$HF_HOME/hub/models--acme--tiny/blobs" 2>/dev/null; true`
    const { stdout } = await promisify(execFile)('unshare', [...UNSHARE, 'sh', '-c', commands, process.execPath, script, ...args], {
      env: { ...process.env, HF_HOME: home, HF_HUB_CACHE: '', HF_ENDPOINT: hub.endpoint, HF_HUB_OFFLINE: '' },
    })
    const [line = '', ...blobs] = stdout.trim().split('\n')
    return { ...(JSON.parse(line) as { code: string | null; message: string }), blobs }
  }

  test('with room is written', async () => {
    const { code, blobs } = await pull('')
    assert.equal(code, null)
    assert.ok(blobs.length > 5 && blobs.every((name) => /^[0-9a-f]+$/.test(name)))
  })

  test('that is read-only is told, with the way out', async () => {
    const { code, message } = await pull('mount -o remount,ro "$HF_HOME" && ')
    assert.equal(code, 'STORAGE_FAILED')
    assert.match(message, /its file system is read-only\. Set HF_HOME or HF_HUB_CACHE/)
  })

  test('that fills up meanwhile is told, and no half file has a name', async () => {
    const { code, message, blobs } = await pull('', 'fill')
    assert.equal(code, 'STORAGE_FAILED')
    assert.match(message, /there is no space left on its file system/)
    const weights = blobs.filter((name) => name.startsWith(hub.hashOf('model.safetensors')))
    assert.deepEqual(weights, [`${hub.hashOf('model.safetensors')}.gabion-partial`])
  })
})
