// Owns the connection to the upstream: forwards requests, and maps failures to one coded error.

import type { IncomingHttpHeaders } from 'node:http'
import { buildConnector, Pool, type Dispatcher } from 'undici'
import { GabionError } from '../../errors.js'
import { assertOrigin, parseUpstream, targetOf } from './target.js'

// Models may be silent for minutes before their response, and within it.
const TIMEOUT_MS = 600_000

/** An incoming request. */
export interface ProxiedRequest {
  readonly method: string
  /** The request target as in the request line. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer | null
}

/** A response of the upstream. */
export type UpstreamResponse = Dispatcher.ResponseData

export class Upstream {
  readonly #base: URL
  // A pool has one origin, and accepts paths only.
  readonly #pool: Pool

  /** @throws GabionError `INVALID_ARGUMENT` */
  constructor(url: string) {
    const base = parseUpstream(url)
    this.#base = base
    const connect = buildConnector({})
    this.#pool = new Pool(base.origin, {
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
      connect: (options, callback) => {
        try {
          assertOrigin(base, new URL(`${options.protocol}//${options.host ?? options.hostname}`))
        } catch (error) {
          callback(error as Error, null)
          return
        }
        connect(options, callback)
      },
    })
  }

  get host(): string {
    return this.#base.host
  }

  /**
   * The path and query that a request target has at the upstream.
   *
   * @throws GabionError `INVALID_ARGUMENT` for a target other than path and query
   */
  pathOf(target: string): string {
    const { pathname, search } = targetOf(this.#base, target)
    return pathname + search
  }

  /** @throws GabionError `UPSTREAM_FAILED`, `ABORTED`, `INVALID_ARGUMENT` for a target other than path and query */
  async send({ method, url, headers, body }: ProxiedRequest, signal: AbortSignal): Promise<UpstreamResponse> {
    const path = this.pathOf(url)
    try {
      return await this.#pool.request({
        path,
        method,
        headers: endToEnd(headers),
        body,
        signal,
      })
    } catch (cause) {
      if (signal.aborted) throw new GabionError('ABORTED', 'the client disconnected', { cause: signal.reason })
      throw new GabionError('UPSTREAM_FAILED', `${this.#base.host} did not respond: ${(cause as Error).message}`, { cause })
    }
  }

  async close(): Promise<void> {
    await this.#pool.close()
  }
}

/** Hop-by-hop headers (RFC 9110, 7.6.1), and those that both sides of the proxy set themselves. */
const HOP_BY_HOP = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'content-length',
  'expect',
])

/** Headers without hop-by-hop headers and without gabion's own. */
export function endToEnd(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string | string[]> {
  // Node joins a request's repeated headers; undici returns a response's as a list.
  const named = new Set([headers.connection ?? []].flat().flatMap((value) => value.toLowerCase().split(/\s*,\s*/)))
  const forwarded: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name) && !name.startsWith('x-gabion-') && !named.has(name)) forwarded[name] = value
  }
  return forwarded
}
