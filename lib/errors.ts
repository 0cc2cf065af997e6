// The one table of error codes. A code is API and never changes its meaning; a message may.

/**
 * Every code a {@link GabionError} can carry, with the exit code the command line ends with:
 * 2 for what the caller can mend (wrong usage, bad input), 1 for the rest.
 */
export const ERROR_CODES = {
  /** An argument, option or flag has the wrong type, range or name. */
  INVALID_ARGUMENT: { exitCode: 2 },
  /** A model folder or a file that a model needs does not exist. */
  MODEL_NOT_FOUND: { exitCode: 2 },
  /** A model file exists but cannot be read as what it should be. */
  MODEL_INVALID: { exitCode: 2 },
  /** The model asks for something that gabion does not do (the message names it). */
  MODEL_UNSUPPORTED: { exitCode: 2 },
  /** A file's SHA-256 differs from the one in the manifest. */
  CHECKSUM_MISMATCH: { exitCode: 2 },
  /** The model hub did not answer, or is switched off. */
  HUB_UNREACHABLE: { exitCode: 1 },
  /** The model hub answered, but does not give what was asked for: no permission, or too many requests. */
  HUB_REFUSED: { exitCode: 1 },
  /** A cloud's embedding service did not answer. */
  CLOUD_UNREACHABLE: { exitCode: 1 },
  /** A cloud's embedding service answered, but without a vector: no permission, too many requests, a wrong model. */
  CLOUD_REFUSED: { exitCode: 1 },
  /** A folder or file cannot be written: no permission, a read-only or full file system (the message says which). */
  STORAGE_FAILED: { exitCode: 1 },
  /** The native addon or the ONNX Runtime library beside it is missing. */
  RUNTIME_MISSING: { exitCode: 1 },
  /** The ONNX Runtime library is of a version that the addon cannot use. */
  RUNTIME_INCOMPATIBLE: { exitCode: 1 },
  /** No execution provider of the wish list can run here. */
  PROVIDER_UNAVAILABLE: { exitCode: 1 },
  /** The bounded queue in front of the encoder is full. */
  OVERLOADED: { exitCode: 1 },
  /** The process may have no more memory, or no more threads. */
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
  /** What a request names does not exist: a conversation, a projection, a route. */
  NOT_FOUND: { exitCode: 2 },
  /** A request's body, number of texts or length of a text is over the service's limit. */
  TOO_LARGE: { exitCode: 2 },
  /** A request has no valid API key, or comes by a host name that is not served. */
  UNAUTHENTICATED: { exitCode: 2 },
  /** A turn contradicts what is kept of its conversation: another turn is due, or others write at once. */
  CONFLICT: { exitCode: 1 },
  /** A request was not answered within the time that it gave. */
  DEADLINE_EXCEEDED: { exitCode: 1 },
  /** Something that a service needs is not there at the moment: it is shutting down, or its Redis does not answer. */
  UNAVAILABLE: { exitCode: 1 },
  /** The service behind the proxy could not be reached or broke its answer off. */
  UPSTREAM_FAILED: { exitCode: 1 },
  /** The words of an answer behind the proxy could not be read, or not all of them, so that they were not judged. */
  REPLY_UNREADABLE: { exitCode: 1 },
  /** A conversation was ended by the proxy's policy after an alert. */
  CONVERSATION_ENDED: { exitCode: 1 },
  /** A fault of gabion itself. */
  INTERNAL: { exitCode: 1 },
} as const

/** A stable error code; see {@link ERROR_CODES} for what each one means. */
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

/** True for an error that carries one of our codes. */
export function isGabionError(error: unknown): error is GabionError {
  return error instanceof GabionError
}

/** The process exit code that the command line uses for an error. */
export function exitCodeOf(error: unknown): number {
  return isGabionError(error) ? ERROR_CODES[error.code].exitCode : 1
}
