// Owns a growing file as a stream of bytes: rotation, truncation, and where in which file a byte is, to continue there. Knows no lines.

import { createReadStream } from 'node:fs'
import { open, readdir, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { GabionError } from '../errors.js'
import { nodeCrypto } from '../lazy.js'

/** A byte of a file that may be renamed, truncated or replaced. */
export interface FilePosition {
  readonly inode: number
  readonly offset: number
  /** Hash of the file's first bytes, and how many: another file may get the same inode. */
  readonly head: string
  readonly headBytes: number
}

/** A part of the stream that is of one file. */
interface FileStart {
  /** The stream's bytes before it. */
  readonly start: number
  /** The offset in the file at that byte. */
  readonly offset: number
  readonly handle: FileHandle
  readonly inode: number
}

/** Interval between checks of a file for growth. */
const POLL_MS = 200
const CHUNK_BYTES = 1 << 16
const HEAD_BYTES = 1024

/** A file's bytes and those appended later. A replaced or truncated file is read from its start. */
export class FollowedFile {
  readonly #file: string
  readonly #from: FilePosition | null
  /** The files of the bytes so far: the one before the last is kept open for {@link positionOf}. */
  #files: FileStart[] = []
  #read = 0

  /** @param from where to begin; that file may have been renamed since */
  constructor(file: string, from: FilePosition | null = null) {
    this.#file = file
    this.#from = from
  }

  /** The bytes, until the signal fires. */
  async *chunks(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      let offset = 0
      if (this.#from !== null) {
        const renamed = await fileOf(this.#from, this.#file)
        if (renamed === this.#file) offset = this.#from.offset
        else if (renamed !== null) yield* this.#rest(renamed, this.#from.offset)
      }
      while (!signal.aborted) {
        yield* this.#follow(offset, signal)
        offset = 0
      }
    } finally {
      for (const { handle } of this.#files) await handle.close()
    }
  }

  /** Where the stream's byte `end` is; null for one of a file that is no longer known. */
  async positionOf(end: number): Promise<FilePosition | null> {
    const found = this.#files.findLast(({ start }) => start <= end)
    if (found === undefined) return null
    const offset = found.offset + end - found.start
    const { head, headBytes } = await headOf(found.handle, Math.min(HEAD_BYTES, offset))
    return { inode: found.inode, offset, head, headBytes }
  }

  /** What is left of a file that was renamed. */
  async *#rest(file: string, offset: number): AsyncGenerator<Uint8Array> {
    await this.#open(file, offset)
    for await (const chunk of createReadStream(file, { start: offset }) as AsyncIterable<Uint8Array>) {
      this.#read += chunk.length
      yield chunk
    }
  }

  /** The file's bytes until it is replaced or truncated. */
  async *#follow(from: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { handle, inode } = await this.#open(this.#file, from)
    const buffer = new Uint8Array(CHUNK_BYTES)
    let offset = from
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, offset)
      if (bytesRead > 0) {
        offset += bytesRead
        this.#read += bytesRead
        yield buffer.slice(0, bytesRead)
        continue
      }
      if (await firesWithin(signal, POLL_MS)) return
      const now = await stat(this.#file).catch(() => null)
      if (now !== null && (now.ino !== inode || now.size < offset)) return
    }
  }

  async #open(file: string, offset: number): Promise<FileStart> {
    const handle = await open(file, 'r')
    const { ino: inode, isFile } = await handle.stat().then((found) => ({ ino: found.ino, isFile: found.isFile() }))
    if (!isFile) {
      await handle.close()
      throw new GabionError('INVALID_ARGUMENT', `${file}: only a regular file or standard input can be followed`)
    }
    const opened = { start: this.#read, offset, handle, inode }
    for (const { handle: old } of this.#files.splice(0, this.#files.length - 1)) await old.close()
    this.#files.push(opened)
    return opened
  }
}

/** The file that a position is in: the one of that name, or another in its folder after a rotation; null if there is none. */
async function fileOf(position: FilePosition, file: string): Promise<string | null> {
  const folder = dirname(file)
  const siblings = (await readdir(folder).catch(() => [])).filter((name) => name !== basename(file) && name.startsWith(basename(file)))
  for (const candidate of [file, ...siblings.map((name) => join(folder, name))]) {
    const found = await stat(candidate).catch(() => null)
    if (found?.isFile() !== true || found.ino !== position.inode || found.size < position.offset) continue
    await using handle = await open(candidate, 'r')
    const { head } = await headOf(handle, position.headBytes)
    if (head === position.head) return candidate
  }
  return null
}

async function headOf(handle: FileHandle, bytes: number): Promise<{ head: string; headBytes: number }> {
  const buffer = Buffer.alloc(bytes)
  const { bytesRead } = await handle.read(buffer, 0, bytes, 0)
  return { head: nodeCrypto().createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('hex').slice(0, 32), headBytes: bytesRead }
}

/** Waits; resolves early, with true, when the signal fires. */
function firesWithin(signal: AbortSignal, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve(signal.aborted)
    }
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
  })
}
