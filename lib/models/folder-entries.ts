// Looks at small things of a model folder, on the calling thread: each takes some microseconds, and a way through the thread pool
// ten times that, of which a load would make thirty, one after the other.

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
 * A text of some kilobytes. A promise like that of any other file, so that callers need not know.
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
