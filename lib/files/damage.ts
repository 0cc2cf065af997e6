// Owns the one error of files that come from elsewhere.

import { GabionError } from '../errors.js'

/** The error for a file's content: says what is wrong; the caller adds which file. */
export function damaged(what: string, cause?: unknown): GabionError {
  return new GabionError('ARTIFACT_INVALID', what, cause === undefined ? undefined : { cause })
}

/** Puts the file's name before the messages of what fails inside. */
export async function naming<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof GabionError && error.code === 'ARTIFACT_INVALID' && !error.message.startsWith(file))
      throw new GabionError('ARTIFACT_INVALID', `${file}: ${error.message}`, { cause: error.cause })
    throw error
  }
}
