// File system failures in plain words, with what to do about each. Knows no model.

import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { GabionError } from '../errors.js'

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'there is no space left on its file system',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'its file system is read-only',
  EACCES: 'permission is denied',
  EPERM: 'the operation is not permitted',
  ENOTDIR: 'a part of its path is not a folder',
  ENOENT: 'it cannot be made there',
}

/**
 * Gives a failed write its code and says what to do; other errors come back as they are.
 *
 * @param remedy what the user can set or free
 */
export function storageFailure(error: unknown, path: string, remedy: string): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code
  const reason = code === undefined ? undefined : REASONS[code]
  if (error instanceof GabionError || reason === undefined) return error
  return new GabionError('STORAGE_FAILED', `cannot write ${path}: ${reason}. ${remedy}`, { cause: error })
}

/**
 * The error of a file that was to be written where a user said: a full or read-only file system is `STORAGE_FAILED`, a place that cannot
 * be is `INVALID_ARGUMENT`.
 */
export function writeFailure(cause: unknown, file: string): GabionError {
  const { code = '', message } = cause as NodeJS.ErrnoException
  const isFull = ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'].includes(code)
  return new GabionError(
    isFull ? 'STORAGE_FAILED' : 'INVALID_ARGUMENT',
    `cannot write ${file}: ${isFull ? (REASONS[code] ?? message) : message}`,
    { cause },
  )
}

/**
 * Makes a folder and those above it. Unlike a recursive mkdir, which calls a read-only file system a missing path, it fails with the
 * file system's own reason.
 */
export async function makeFolders(path: string): Promise<void> {
  const make = (): Promise<void> =>
    mkdir(path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    })
  try {
    await make()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolders(dirname(path))
    await make()
  }
}
