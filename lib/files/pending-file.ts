// Owns atomic writing of files: written next to their target, synced, renamed when complete, removed if the process exits before.

import { rmSync } from 'node:fs'
import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { GabionError } from '../errors.js'
import { nodeCrypto } from '../lazy.js'
import { writeFailure } from './storage.js'

const pending = new Set<string>()
let watchesExit = false

/** Unfinished files, which are removed at exit. */
function removeAtExit(path: string): void {
  pending.add(path)
  if (watchesExit) return
  watchesExit = true
  process.once('exit', () => {
    for (const unfinished of pending) rmSync(unfinished, { force: true })
  })
}

/** A file that appears under its name only once it is complete. */
export class PendingFile {
  readonly #handle: FileHandle
  readonly #path: string
  readonly #target: string

  private constructor(handle: FileHandle, path: string, target: string) {
    this.#handle = handle
    this.#path = path
    this.#target = target
  }

  /**
   * Opens a temporary file next to `target`.
   * @throws GabionError `INVALID_ARGUMENT` where the folder does not exist or may not be written to, `STORAGE_FAILED` where it is full
   */
  static async create(target: string): Promise<PendingFile> {
    await refuseSpecial(target)
    const path = join(dirname(target), `.${basename(target)}.${nodeCrypto().randomUUID()}.part`)
    try {
      const handle = await open(path, 'wx')
      removeAtExit(path)
      return new PendingFile(handle, path, target)
    } catch (cause) {
      throw writeFailure(cause, target)
    }
  }

  /** Appends a chunk. */
  async append(chunk: string | Uint8Array): Promise<void> {
    try {
      await this.#handle.appendFile(chunk)
    } catch (cause) {
      throw writeFailure(cause, this.#target)
    }
  }

  /** Writes bytes at an offset, for a header that is written last. */
  async writeAt(bytes: Uint8Array, offset: number): Promise<void> {
    await this.#handle.write(bytes, 0, bytes.length, offset)
  }

  /** Syncs the file and renames it to its target. */
  async complete(): Promise<void> {
    try {
      await this.#handle.sync()
      await this.#handle.close()
      await rename(this.#path, this.#target)
    } catch (cause) {
      throw writeFailure(cause, this.#target)
    }
    pending.delete(this.#path)
  }

  /** Removes the unfinished file; no effect after {@link complete}. */
  async discard(): Promise<void> {
    if (!pending.delete(this.#path)) return
    await this.#handle.close()
    await rm(this.#path, { force: true })
  }
}

/** Renaming onto a device or a folder would replace it or fail late. */
async function refuseSpecial(target: string): Promise<void> {
  const found = await stat(target).catch(() => null)
  if (found !== null && !found.isFile())
    throw new GabionError('INVALID_ARGUMENT', `cannot write ${target}: it exists and is not a regular file`)
}

/**
 * Writes a file atomically: readers see the old content or the new one, never a part.
 *
 * @throws GabionError `INVALID_ARGUMENT` where the file cannot be created, `STORAGE_FAILED` where there is no space
 */
export async function writeWhole(target: string, content: string | Uint8Array): Promise<void> {
  const file = await PendingFile.create(target)
  try {
    await file.append(content)
    await file.complete()
  } finally {
    await file.discard()
  }
}
