// Owns files in the making: written beside their target, renamed when complete, removed when the program ends before that.

import { rmSync } from 'node:fs'
import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { GabionError } from '../errors.js'
import { writeFailure } from '../models/storage.js'

const pending = new Set<string>()

process.once('exit', () => {
  for (const path of pending) rmSync(path, { force: true })
})

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
   * Opens a temporary file beside `target`.
   * @throws GabionError INVALID_ARGUMENT where the folder does not exist or may not be written to
   */
  static async create(target: string): Promise<PendingFile> {
    await refuseSpecial(target)
    const path = join(dirname(target), `.${basename(target)}.${String(process.pid)}.part`)
    try {
      const handle = await open(path, 'w')
      pending.add(path)
      return new PendingFile(handle, path, target)
    } catch (cause) {
      throw new GabionError('INVALID_ARGUMENT', `cannot write ${target}: ${(cause as Error).message}`, { cause })
    }
  }

  /** Appends a chunk. */
  async append(chunk: string | Uint8Array): Promise<void> {
    try {
      await this.#handle.appendFile(chunk)
    } catch (cause) {
      throw writeFailure(cause, this.#target, 'the rest')
    }
  }

  /** Writes bytes at an offset, for a header that is known last. */
  async writeAt(bytes: Uint8Array, offset: number): Promise<void> {
    await this.#handle.write(bytes, 0, bytes.length, offset)
  }

  /** Gives the file its name. */
  async complete(): Promise<void> {
    try {
      await this.#handle.sync()
      await this.#handle.close()
      await rename(this.#path, this.#target)
    } catch (cause) {
      throw writeFailure(cause, this.#target, 'the end')
    }
    pending.delete(this.#path)
  }

  /** Leaves nothing behind; harmless after {@link complete}. */
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

/** Writes a whole file at once, beside its target and then renamed. */
export async function writeWhole(target: string, content: string | Uint8Array): Promise<void> {
  const file = await PendingFile.create(target)
  try {
    await file.append(content)
    await file.complete()
  } finally {
    await file.discard()
  }
}
