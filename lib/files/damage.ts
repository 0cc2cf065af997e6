// Owns the error of damaged third-party files.

import { GabionError } from '../errors.js'

/** The error for a file's content; the caller adds the file's name. */
export function damaged(what: string, cause?: unknown): GabionError {
  return new GabionError('ARTIFACT_INVALID', what, cause === undefined ? undefined : { cause })
}

/** Prefixes the messages of errors inside with the file's name. */
export async function naming<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof GabionError && error.code === 'ARTIFACT_INVALID' && !error.message.startsWith(file))
      throw new GabionError('ARTIFACT_INVALID', `${file}: ${error.message}`, { cause: error.cause })
    throw error
  }
}
