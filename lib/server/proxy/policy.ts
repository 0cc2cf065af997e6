// Owns the proxy's options on what happens to replies.

import { GATE_LIMITS, type GateLimits } from '../../monitor/stream/reply-gate.js'

/**
 * Action on an alert: only report it; cut a streamed reply where it crosses the alert line, and hold others; hold each reply until it is
 * judged and block it; or also end the conversation.
 */
export const POLICIES = ['observe', 'cut', 'hold', 'end'] as const
/** See {@link POLICIES}. */
export type Policy = (typeof POLICIES)[number]

export interface PolicyOptions {
  readonly policy: Policy
  /** Passes replies whose verdict could not be stored; without it, only `observe` does. */
  readonly failOpen: boolean
  /** Also blocks replies that could not be read, or not whole; not with `observe`. */
  readonly failClosed: boolean
  /** Sent instead of a blocked reply. */
  readonly replacementMessage: string
  /** Reports the verdict in a comment of event streams, and keeps held streams open with comments. */
  readonly comments: boolean
  /** Milliseconds after which a reply counts as not judged. */
  readonly judgeTimeoutMs: number
  /** Refuses requests that are not watched. */
  readonly onlyWatched: boolean
  /** Header that names the caller, set by a trusted gateway; null for the credentials of the request. */
  readonly callerHeader: string | null
  /** Milliseconds between the comments that keep a held stream open. */
  readonly keepAliveMs: number
  /** How long the text of a stream waits until it has been read; only with `cut`. */
  readonly lag: Omit<GateLimits, 'failClosed'>
  /** Milliseconds that an observed response waits for its verdict after its last byte. */
  readonly verdictWaitMs: number
}

/**
 * Limits of a proxy that differ from a service's. A text of a million characters is judged whole, which takes a core some seconds;
 * of a longer one, beginning and end are.
 */
export const PROXY_LIMITS = { bodyBytes: 64 * 1024 * 1024, textLength: 1024 * 1024 } as const

/** The options of a proxy that only observes. */
export const DEFAULT_POLICY: PolicyOptions = {
  policy: 'observe',
  failOpen: false,
  failClosed: false,
  replacementMessage: 'This reply was blocked by a safety check.',
  comments: true,
  judgeTimeoutMs: 10_000,
  onlyWatched: false,
  callerHeader: null,
  keepAliveMs: 10_000,
  lag: GATE_LIMITS,
  verdictWaitMs: 500,
}
