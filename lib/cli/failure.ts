// Owns reporting of failures: one coded line on stderr and the exit code; a stack trace only with GABION_DEBUG.

import { CommanderError } from 'commander'
import { ERROR_CODES, exitCodeOf, isGabionError, messageOf, type GabionErrorCode } from '../errors.js'

/** Wrong usage or bad input. */
export const EXIT_USAGE = 2
/** An alert was raised and `--fail-on-alert` was given. */
export const EXIT_ALERT = 3
/** Terminated by SIGINT (Ctrl-C), by the shells' convention. */
export const EXIT_INTERRUPTED = 130
/** stdout was closed before the end of output, by the shells' convention for SIGPIPE. Not 0: the result was not read completely. */
export const EXIT_READER_LEFT = 141

/** Messages for file system errors that the user can fix. */
const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'is a folder, a file was expected',
  ENOTDIR: 'a part of the path is not a folder',
  ENOSPC: 'no space left on the device',
  EROFS: 'the file system is read-only',
  ELOOP: 'too many symbolic links',
}

/** The exit code and the stderr line for any error. */
export function explainFailure(error: unknown): { exitCode: number; message: string } {
  if (error instanceof CommanderError) return { exitCode: error.exitCode === 0 ? 0 : EXIT_USAGE, message: '' }
  if (isGabionError(error)) return coded(error.code, error.message, exitCodeOf(error))
  const { code, path } = error as NodeJS.ErrnoException
  const reason = code === undefined ? undefined : FILE_ERRORS[code]
  if (code === 'ENOSPC' || code === 'EROFS') {
    return coded('STORAGE_FAILED', `${path === undefined ? '' : `${path}: `}${FILE_ERRORS[code]}`, ERROR_CODES.STORAGE_FAILED.exitCode)
  }
  if (reason !== undefined) {
    return path === undefined ? coded('INVALID_ARGUMENT', reason, EXIT_USAGE) : coded('INVALID_ARGUMENT', `${path}: ${reason}`, EXIT_USAGE)
  }
  return coded('INTERNAL', messageOf(error), 1)
}

function coded(code: GabionErrorCode, message: string, exitCode: number): { exitCode: number; message: string } {
  return { exitCode, message: `error: ${code}: ${message}` }
}

/** Reports a failure on stderr; returns the exit code. */
export function reportFailure(error: unknown): number {
  const { exitCode, message } = explainFailure(error)
  if (message !== '') process.stderr.write(`${message}\n`)
  if (process.env.GABION_DEBUG === '1' && !(error instanceof CommanderError)) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    if (error instanceof Error && error.cause instanceof Error)
      process.stderr.write(`caused by ${error.cause.stack ?? error.cause.message}\n`)
  }
  return exitCode
}
