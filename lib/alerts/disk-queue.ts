// A queue of alerts in a folder: a file per alert and destination, whole or not there, removed when it is delivered. Several processes may
// add; of those that deliver to the same destination, one holds its lock and the others take over when it ends.

import { existsSync } from 'node:fs'
import { open, readdir, readFile, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { withFileLock } from '../files/file-lock.js'
import { writeWhole } from '../files/pending-file.js'
import { makeFolders, storageFailure } from '../files/storage.js'
import type { Alert } from './alert.js'
import { MAX_QUEUED_ALERTS, type AlertQueue, type QueuedAlert } from './queue.js'

// Alerts of other processes are found by looking.
const POLL_MS = 250
const SUFFIX = '.json'

interface OpenDestination {
  readonly folder: string
  /** Files that this process has taken. */
  readonly taken: Set<string>
  /** This process holds the destination's lock. */
  holds: boolean
  readonly lock: Promise<void>
}

/** Where alerts wait unless a caller says otherwise: as the XDG Base Directory Specification says. */
export function defaultQueueFolder(): string {
  const { XDG_STATE_HOME: state = '' } = process.env
  return join(state === '' ? join(homedir(), '.local', 'state') : state, 'gabion', 'alerts')
}

/** Alerts on disk. */
export class DiskQueue implements AlertQueue {
  readonly #folder: string
  readonly #maxAlerts: number
  readonly #destinations = new Map<string, OpenDestination>()
  readonly #closed = new AbortController()
  #added = 0
  #lost = 0

  constructor(folder: string, maxAlerts = MAX_QUEUED_ALERTS) {
    this.#folder = folder
    this.#maxAlerts = maxAlerts
  }

  get lost(): number {
    return this.#lost
  }

  /** @throws GabionError `STORAGE_FAILED` where the folder cannot be written to */
  async open(destination: string): Promise<void> {
    const folder = join(this.#folder, destination)
    try {
      await makeFolders(folder)
    } catch (error) {
      throw storageFailure(error, folder, 'Give the queue of alerts another folder with --alert-queue FOLDER.')
    }
    const { signal } = this.#closed
    const entry: OpenDestination = {
      folder,
      taken: new Set(),
      holds: false,
      lock: withFileLock(
        `${folder}.lock`,
        async () => {
          entry.holds = true
          if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        },
        signal,
      ).catch(() => undefined),
    }
    this.#destinations.set(destination, entry)
  }

  /**
   * Queues an alert for every destination.
   *
   * @throws GabionError `STORAGE_FAILED`, `INVALID_ARGUMENT`
   */
  async add(alert: Alert): Promise<void> {
    for (const { folder } of this.#destinations.values()) {
      await writeWhole(join(folder, this.#nameOf(alert)), JSON.stringify(alert))
      await syncFolder(folder)
      await this.#dropOldest(folder)
    }
    this.#added++
  }

  async take(destination: string, limit: number, waitMs: number, signal: AbortSignal): Promise<QueuedAlert[]> {
    const entry = this.#destinations.get(destination)!
    const last = performance.now() + waitMs
    for (;;) {
      const seen = this.#added
      const found = entry.holds ? await this.#read(entry, limit) : []
      if (found.length > 0 || signal.aborted || performance.now() >= last) return found
      const next = Math.min(last, performance.now() + POLL_MS)
      while (this.#added === seen && performance.now() < next) await sleep(5)
    }
  }

  has(destination: string, key: string): Promise<boolean> {
    return Promise.resolve(existsSync(join(this.#destinations.get(destination)!.folder, key)))
  }

  async done(destination: string, key: string): Promise<void> {
    const entry = this.#destinations.get(destination)!
    await rm(join(entry.folder, key), { force: true })
    entry.taken.delete(key)
  }

  keep(): Promise<void> {
    return Promise.resolve()
  }

  /** Removes what is queued of conversations that are forgotten. */
  async forget(matches: (alert: Alert) => boolean): Promise<void> {
    for (const { folder } of this.#destinations.values()) {
      for (const name of await namesIn(folder)) {
        const alert = await readAlert(join(folder, name))
        if (alert !== null && matches(alert)) await rm(join(folder, name), { force: true })
      }
    }
  }

  async close(): Promise<void> {
    this.#closed.abort()
    await Promise.all([...this.#destinations.values()].map(({ lock }) => lock))
  }

  /** Sorts by the time of the alert. */
  #nameOf({ at, id }: Alert): string {
    return `${String(Date.parse(at)).padStart(15, '0')}-${id}${SUFFIX}`
  }

  async #read({ folder, taken }: OpenDestination, limit: number): Promise<QueuedAlert[]> {
    const found: QueuedAlert[] = []
    for (const key of await namesIn(folder)) {
      if (found.length >= limit) break
      if (taken.has(key)) continue
      const alert = await readAlert(join(folder, key))
      // One that was dropped in the meantime, or is not of this format.
      taken.add(key)
      if (alert !== null) found.push({ key, alert })
    }
    return found
  }

  async #dropOldest(folder: string): Promise<void> {
    const names = await namesIn(folder)
    for (const name of names.slice(0, Math.max(0, names.length - this.#maxAlerts))) {
      await rm(join(folder, name), { force: true })
      this.#lost++
    }
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith(SUFFIX) && !name.startsWith('.')).sort()
}

async function readAlert(file: string): Promise<Alert | null> {
  try {
    const alert = JSON.parse(await readFile(file, 'utf8')) as Partial<Alert> | null
    return typeof alert?.id === 'string' && typeof alert.conversation === 'string' ? (alert as Alert) : null
  } catch {
    return null
  }
}

/** A renamed file survives a power failure once its folder is written. */
async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync().catch(() => undefined)
}
