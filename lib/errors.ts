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

/**
 * The only error class that gabion throws or rejects with. Its `name` is `GabionError`, except for `ABORTED`, where it is
 * `AbortError` as in the web platform and Node, because libraries recognize an abort by that name; `cause` is the signal's reason.
 */
export class GabionError extends Error {
  override readonly name: 'GabionError' | 'AbortError'
  /** Stable, for programs; see {@link ERROR_CODES}. */
  readonly code: GabionErrorCode

  constructor(code: GabionErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = code === 'ABORTED' ? 'AbortError' : 'GabionError'
    this.code = code
  }
}

/** True for an error with one of gabion's codes. */
export function isGabionError(error: unknown): error is GabionError {
  return error instanceof GabionError
}

/** The CLI's exit code for an error. */
export function exitCodeOf(error: unknown): number {
  return isGabionError(error) ? ERROR_CODES[error.code].exitCode : 1
}
