// The one table of error codes. A code is API and never changes its meaning; a message may.

/**
 * Every code a {@link GabionError} can carry, with the CLI's exit code:
 * 2 for errors that the caller can fix (wrong usage, bad input), 1 for the rest.
 */
export const ERROR_CODES = {
  /** An argument, option or flag has the wrong type, range or name. */
  INVALID_ARGUMENT: { exitCode: 2 },
  /** A model folder or a file that a model needs does not exist. */
  MODEL_NOT_FOUND: { exitCode: 2 },
  /** A model file exists but is malformed. */
  MODEL_INVALID: { exitCode: 2 },
  /** The model needs a feature that gabion does not support (the message names it). */
  MODEL_UNSUPPORTED: { exitCode: 2 },
  /** A file's SHA-256 differs from the one in the manifest. */
  CHECKSUM_MISMATCH: { exitCode: 2 },
  /** The model hub did not respond, or is disabled. */
  HUB_UNREACHABLE: { exitCode: 1 },
  /** The model hub refused the request: no permission, or too many requests. */
  HUB_REFUSED: { exitCode: 1 },
  /** A cloud's embedding service did not respond. */
  CLOUD_UNREACHABLE: { exitCode: 1 },
  /** A cloud's embedding service responded without a vector: no permission, too many requests, a wrong model. */
  CLOUD_REFUSED: { exitCode: 1 },
  /** A folder or file cannot be written: no permission, a read-only or full file system (the message says which). */
  STORAGE_FAILED: { exitCode: 1 },
  /** The native addon or the ONNX Runtime library next to it is missing. */
  RUNTIME_MISSING: { exitCode: 1 },
  /** The addon cannot use this version of the ONNX Runtime library. */
  RUNTIME_INCOMPATIBLE: { exitCode: 1 },
  /** None of the requested execution providers can run here. */
  PROVIDER_UNAVAILABLE: { exitCode: 1 },
  /** The bounded queue in front of the encoder is full. */
  OVERLOADED: { exitCode: 1 },
  /** The process cannot get more memory, or more threads. */
  OUT_OF_MEMORY: { exitCode: 1 },
  /** The caller's AbortSignal fired. */
  ABORTED: { exitCode: 1 },
  /** The object was disposed before or during the call. */
  DISPOSED: { exitCode: 1 },
  /** The tokenizer refused the text or its own definition. */
  TOKENIZER_FAILED: { exitCode: 1 },
  /** ONNX Runtime failed while running the graph, or the self-test gave a wrong vector. */
  INFERENCE_FAILED: { exitCode: 1 },
  /** A projection does not fit the vectors it is applied to (dimensions or model). */
  PROJECTION_MISMATCH: { exitCode: 2 },
  /** A transcript cannot be read (the message names file, line and field). */
  TRANSCRIPT_INVALID: { exitCode: 2 },
  /** A saved projection, detector or threshold file cannot be read. */
  ARTIFACT_INVALID: { exitCode: 2 },
  /** A conversation, projection or route that a request names does not exist. */
  NOT_FOUND: { exitCode: 2 },
  /** A request's body, number of texts or length of a text exceeds the service's limit. */
  TOO_LARGE: { exitCode: 2 },
  /** A request has no valid API key, or a `Host` that is not served. */
  UNAUTHENTICATED: { exitCode: 2 },
  /** An exchange contradicts its conversation's stored state: another exchange is due, or of concurrent writers others won. */
  CONFLICT: { exitCode: 1 },
  /** The service judges no conversations: it has no detector, or none that fits its model. */
  NO_DETECTOR: { exitCode: 2 },
  /** A request's deadline passed. */
  DEADLINE_EXCEEDED: { exitCode: 1 },
  /** The service is temporarily unavailable: it is shutting down, or its Redis does not respond. */
  UNAVAILABLE: { exitCode: 1 },
  /** The proxy's upstream could not be reached, or aborted its response. */
  UPSTREAM_FAILED: { exitCode: 1 },
  /** The proxy could not read the upstream's reply, or not all of it, so it was not judged. */
  REPLY_UNREADABLE: { exitCode: 1 },
  /** A conversation was ended by the proxy's policy after an alert. */
  CONVERSATION_ENDED: { exitCode: 1 },
  /** The proxy forwards requests that it watches only (`--only-watched`), and this is none. */
  PATH_REFUSED: { exitCode: 2 },
  /** A fault of gabion itself. */
  INTERNAL: { exitCode: 1 },
} as const

/** A stable error code; {@link ERROR_CODES} lists the meanings. */
export type GabionErrorCode = keyof typeof ERROR_CODES

/** Marks gabion's errors, those of another copy of the package and of another realm (node:vm, Jest) too. */
const MARK = Symbol.for('gabion.error')

/**
 * What gabion throws or rejects with: an error with a stable code. `instanceof GabionError` is true for all of them.
 *
 * A wrong argument (`INVALID_ARGUMENT`) is a `TypeError` or a `RangeError` as well, as of the language's own functions. The `name` of an
 * abort (`ABORTED`) is `AbortError` as in the web platform and Node, because libraries recognize an abort by that name; its `cause` is the
 * signal's reason.
 */
export class GabionError extends Error {
  /** `GabionError`, `AbortError`, `TypeError` or `RangeError`. */
  override readonly name: string
  /** Stable, for programs; see {@link ERROR_CODES}. */
  readonly code: GabionErrorCode

  constructor(code: GabionErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = code === 'ABORTED' ? 'AbortError' : 'GabionError'
    this.code = code
  }
}

class ArgumentTypeError extends TypeError implements GabionError {
  override readonly name = 'TypeError'
  readonly code = 'INVALID_ARGUMENT'
}

class ArgumentRangeError extends RangeError implements GabionError {
  override readonly name = 'RangeError'
  readonly code = 'INVALID_ARGUMENT'
}

for (const { prototype } of [GabionError, ArgumentTypeError, ArgumentRangeError]) Object.defineProperty(prototype, MARK, { value: true })

// Outside the class: one that names itself is renamed by the bundler, and its name is what Node prints of an uncaught error.
Object.defineProperty(GabionError, Symbol.hasInstance, {
  value(this: typeof GabionError, value: unknown): boolean {
    // Subclasses inherit it.
    return this === GabionError ? isGabionError(value) : Function.prototype[Symbol.hasInstance].call(this, value)
  },
})

/** The error for an argument of the wrong kind, name or combination. */
export function wrongType(message: string, options?: { cause?: unknown }): GabionError {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- it has the mark, so it is an instance
  return new ArgumentTypeError(message, options)
}

/** The error for an argument of the right kind whose value is not possible. */
export function wrongRange(message: string, options?: { cause?: unknown }): GabionError {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- as above
  return new ArgumentRangeError(message, options)
}

/** True for an error with one of gabion's codes. */
export function isGabionError(error: unknown): error is GabionError {
  return typeof error === 'object' && error !== null && MARK in error
}

/** The message of whatever was thrown, an error of another realm too. */
export function messageOf(error: unknown): string {
  const message = (error as { message?: unknown } | null | undefined)?.message
  return typeof message === 'string' ? message : String(error)
}

/** The CLI's exit code for an error. */
export function exitCodeOf(error: unknown): number {
  return isGabionError(error) ? ERROR_CODES[error.code].exitCode : 1
}
