// One set-up at a time per checkout: two would write the same build folders.

import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { root } from './run.mjs'

const lockFile = join(root, 'build', '.setup.lock')

/** Runs `work` while holding the set-up's lock; a lock left by a process that is gone is taken over. */
export async function withSetupLock(work) {
  mkdirSync(join(root, 'build'), { recursive: true })
  let reported = false
  while (!take()) {
    if (!reported) console.log(`Waiting for another set-up of this folder (process ${owner()}) to end`)
    reported = true
    await sleep(200)
  }
  const release = () => rmSync(lockFile, { force: true })
  const stop = (signal) => {
    release()
    process.kill(process.pid, signal)
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    return await work()
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
    release()
  }
}

function take() {
  // Written first and then linked: a lock file never exists without its owner's process id.
  const own = `${lockFile}.${process.pid}`
  writeFileSync(own, String(process.pid))
  try {
    linkSync(own, lockFile)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  } finally {
    rmSync(own)
  }
  if (!isAlive(owner())) rmSync(lockFile, { force: true })
  return false
}

function owner() {
  try {
    return Number(readFileSync(lockFile, 'utf8'))
  } catch {
    return process.pid // just released
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
