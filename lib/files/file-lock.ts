// Keeps two processes from doing the same work at once: a file that exists while one is at it.
//
// A process that dies leaves its file behind, so a file counts only while its process lives (on this machine) and while it is
// touched. Taking over a dead one's file leaves a short moment in which two processes may both believe that they took it: what
// is guarded must be right even then (contents checked by hash, put in place by renaming), only done twice.

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
 * Does `work` while no other process does its own under the same file.
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
    const handle = await open(file, 'wx')
    try {
      await handle.writeFile(JSON.stringify({ host: hostname(), pid: process.pid, key } satisfies Owner))
    } finally {
      await handle.close()
    }
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
