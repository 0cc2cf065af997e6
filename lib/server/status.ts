// Owns the mapping of error codes to HTTP statuses and gRPC codes, and of any error to its public form.

import { GabionError, isGabionError, type GabionErrorCode } from '../errors.js'
import { status as Grpc } from './grpc/packages.js'

/** Status codes of a failure. */
interface ProtocolStatus {
  readonly http: number
  readonly grpc: Grpc
}

const CLIENT_FAULT: ProtocolStatus = { http: 400, grpc: Grpc.INVALID_ARGUMENT }
const OWN_FAULT: ProtocolStatus = { http: 500, grpc: Grpc.INTERNAL }

/** Every code's status in both protocols. */
export const PROTOCOL_STATUS: Readonly<Record<GabionErrorCode, ProtocolStatus>> = {
  INVALID_ARGUMENT: CLIENT_FAULT,
  TRANSCRIPT_INVALID: CLIENT_FAULT,
  PROJECTION_MISMATCH: CLIENT_FAULT,
  TOKENIZER_FAILED: { http: 422, grpc: Grpc.INVALID_ARGUMENT },
  TOO_LARGE: { http: 413, grpc: Grpc.INVALID_ARGUMENT },
  UNAUTHENTICATED: { http: 401, grpc: Grpc.UNAUTHENTICATED },
  NOT_FOUND: { http: 404, grpc: Grpc.NOT_FOUND },
  CONFLICT: { http: 409, grpc: Grpc.ABORTED },
  NO_DETECTOR: { http: 409, grpc: Grpc.FAILED_PRECONDITION },
  CONVERSATION_ENDED: { http: 403, grpc: Grpc.FAILED_PRECONDITION },
  PATH_REFUSED: { http: 403, grpc: Grpc.PERMISSION_DENIED },
  OVERLOADED: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED },
  OUT_OF_MEMORY: { http: 503, grpc: Grpc.RESOURCE_EXHAUSTED },
  // nginx's status for a client that disconnected; it only reaches logs.
  ABORTED: { http: 499, grpc: Grpc.CANCELLED },
  DEADLINE_EXCEEDED: { http: 504, grpc: Grpc.DEADLINE_EXCEEDED },
  UNAVAILABLE: { http: 503, grpc: Grpc.UNAVAILABLE },
  DISPOSED: { http: 503, grpc: Grpc.UNAVAILABLE },
  UPSTREAM_FAILED: { http: 502, grpc: Grpc.UNAVAILABLE },
  REPLY_UNREADABLE: { http: 502, grpc: Grpc.UNAVAILABLE },
  MODEL_NOT_FOUND: OWN_FAULT,
  MODEL_INVALID: OWN_FAULT,
  MODEL_UNSUPPORTED: OWN_FAULT,
  CHECKSUM_MISMATCH: OWN_FAULT,
  HUB_UNREACHABLE: OWN_FAULT,
  CLOUD_UNREACHABLE: OWN_FAULT,
  CLOUD_REFUSED: OWN_FAULT,
  HUB_REFUSED: OWN_FAULT,
  STORAGE_FAILED: OWN_FAULT,
  RUNTIME_MISSING: OWN_FAULT,
  RUNTIME_INCOMPATIBLE: OWN_FAULT,
  PROVIDER_UNAVAILABLE: OWN_FAULT,
  INFERENCE_FAILED: OWN_FAULT,
  ARTIFACT_INVALID: OWN_FAULT,
  INTERNAL: OWN_FAULT,
}

/** A failure as sent to a client. */
export interface PublicFailure extends ProtocolStatus {
  readonly code: GabionErrorCode
  readonly message: string
}

/** `Retry-After` of an overloaded or unavailable service. */
export const RETRY_AFTER_SECONDS = 1

/** Codes of transient failures. */
export function isWorthRetrying(code: GabionErrorCode): boolean {
  return code === 'OVERLOADED' || code === 'UNAVAILABLE'
}

/** The public form of an error. The message of an error without a code is withheld: it may contain anything. */
export function toPublicFailure(error: unknown): PublicFailure {
  const coded = isGabionError(error) ? error : new GabionError('INTERNAL', 'an unexpected error; see the log for this request id')
  const reason: unknown = coded.code === 'ABORTED' ? coded.cause : undefined
  // An abort with a coded reason (a deadline, a shutdown) is reported as that reason.
  const { code, message } = isGabionError(reason) ? reason : coded
  return { code, message, ...PROTOCOL_STATUS[code] }
}
