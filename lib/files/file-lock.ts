// Owns lock files, which keep two processes from doing the same work at once.
//
// A process that dies leaves its lock file behind, so a lock is valid only while its process lives (on this machine) and its file
// is touched. When two processes take over a stale lock at the same moment, both may hold it. Guarded work must therefore be
// correct without the lock (contents checked by hash, files renamed into place) and at worst be done twice.

import { open, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nodeCrypto } from '../lazy.js'
import { GabionError } from '../errors.js'
import { makeFolders } from './storage.js'

const TOUCH_MS = 5000
const FORGOTTEN_MS = 60_000
const LOOK_AGAIN_MS = 100

interface Owner {
  host: string
  pid: number
  key: string
}

/**
 * Runs `work` while holding the lock.
 *
 * @throws GabionError `ABORTED` if the signal fires while waiting; the file system's own errors; what `work` throws
 */
export async function withFileLock<T>(file: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const key = nodeCrypto().randomUUID()
  await makeFolders(dirname(file))
  while (!(await tryLock(file, key))) {
    if (signal?.aborted === true) throw new GabionError('ABORTED', `waiting for ${file} was aborted`, { cause: signal.reason })
    if (await isAbandoned(file)) await rename(file, `${file}.${key}`).then(() => rm(`${file}.${key}`, { force: true }), ignoreMissing)
    else await sleep(LOOK_AGAIN_MS)
  }
  const touch = setInterval(() => {
    utimes(file, new Date(), new Date()).catch(() => undefined)
  }, TOUCH_MS)
  touch.unref()
  try {
    return await work()
  } finally {
    clearInterval(touch)
    if ((await readOwner(file))?.key === key) await rm(file, { force: true })
  }
}

async function tryLock(file: string, key: string): Promise<boolean> {
  try {
    await using handle = await open(file, 'wx')
    await handle.writeFile(JSON.stringify({ host: hostname(), pid: process.pid, key } satisfies Owner)).catch(async (error: unknown) => {
      // A full disk has room for an empty file: left behind, it would keep everybody waiting until it counts as forgotten.
      await rm(file, { force: true })
      throw error
    })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function readOwner(file: string): Promise<Owner | null> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Owner
  } catch {
    return null
  }
}

async function isAbandoned(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => null)
  if (found === null) return false
  if (Date.now() - found.mtimeMs > FORGOTTEN_MS) return true
  const owner = await readOwner(file)
  return owner !== null && owner.host === hostname() && !isAlive(owner.pid)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
