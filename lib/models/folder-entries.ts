// Owns synchronous access to small files of a model folder: each takes some microseconds, a trip through the thread pool ten times
// as long, and a load makes thirty in sequence.

import { readFileSync, statSync, type Stats } from 'node:fs'

/** Bytes of a file; null if there is no ordinary file. */
export function sizeOfFile(file: string): number | null {
  const found = look(file)
  return found?.isFile() === true ? found.size : null
}

export function isFolder(path: string): boolean {
  return look(path)?.isDirectory() === true
}

/**
 * A text of some kilobytes, as a promise for a uniform interface.
 *
 * @throws the file system's own errors
 */
export function readSmallFile(file: string): Promise<string> {
  return new Promise((resolve) => {
    resolve(readFileSync(file, 'utf8'))
  })
}

function look(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}
