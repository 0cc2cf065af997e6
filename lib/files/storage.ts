// Owns the errors of file system failures, with a remedy for each. Knows no model.

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
 * Converts the error of a failed write to a coded one with a remedy; other errors are returned unchanged.
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
 * The error of a write to a path of the user's choice: `STORAGE_FAILED` for a full or read-only file system, `INVALID_ARGUMENT` for
 * an invalid path.
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
 * Creates a folder and its parents. Unlike a recursive mkdir, which reports a read-only file system as a missing path, it fails with
 * the file system's own reason.
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
