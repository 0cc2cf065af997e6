// Owns the outcome of judging a response, and how it is reported to the client: as headers, as trailers, or as a comment of an event stream.

import type { ExchangeVerdict } from '../../detection/verdict.js'
import type { GabionErrorCode } from '../../errors.js'

/** Result of judging a response. */
export interface Outcome {
  /** The verdict on the worst choice. */
  readonly verdict: ExchangeVerdict | null
  /** Why the response was not judged, or not completely. */
  readonly failure: GabionErrorCode | null
  /** There is no verdict on a reply that could be read, or it may not have been stored. */
  readonly missing: boolean
  readonly blocked: boolean
}

/** The names of all headers that {@link headersOf} may return. */
export const VERDICT_HEADERS = [
  'x-gabion-conversation',
  'x-gabion-exchange',
  'x-gabion-level',
  'x-gabion-alert',
  'x-gabion-likelihood',
  'x-gabion-strength',
  'x-gabion-truncated',
  'x-gabion-error',
  'x-gabion-blocked',
] as const

/** An outcome as headers. */
export function headersOf({ verdict, failure, blocked }: Outcome): Record<string, string> {
  return {
    ...(verdict !== null && verdictHeaders(verdict)),
    ...(failure !== null && { 'x-gabion-error': failure }),
    ...(blocked && { 'x-gabion-blocked': 'true' }),
  }
}

/** A verdict as headers. */
export function verdictHeaders(verdict: ExchangeVerdict): Record<string, string> {
  const { conversation, exchange, level, alert, likelihood, strength, truncated } = verdict
  return {
    'x-gabion-conversation': encodeURIComponent(conversation),
    'x-gabion-exchange': String(exchange),
    'x-gabion-level': level,
    'x-gabion-alert': String(alert),
    'x-gabion-likelihood': likelihood.toFixed(6),
    ...(typeof strength === 'number' && { 'x-gabion-strength': strength.toFixed(6) }),
    ...(truncated && { 'x-gabion-truncated': 'true' }),
  }
}

/** An outcome as a comment of an event stream, which clients ignore; empty without any header. */
export function commentOf(outcome: Outcome): string {
  const headers = headersOf(outcome)
  return Object.keys(headers).length === 0 ? '' : `: gabion ${JSON.stringify(headers)}\n\n`
}
