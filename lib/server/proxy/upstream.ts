// Passes requests on to the service behind, and says in one way when that fails.

import type { IncomingHttpHeaders } from 'node:http'
import { buildConnector, Pool, type Dispatcher } from 'undici'
import { GabionError } from '../../errors.js'
import { assertOrigin, parseUpstream, targetOf } from './target.js'

// Models may think for minutes before they answer, and between two words.
const TIMEOUT_MS = 600_000

/** A request as it came in. */
export interface Incoming {
  readonly method: string
  /** The request target as it stands in the request line. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer | null
}

/** An answer of the service behind. */
export type Answer = Dispatcher.ResponseData

/** The service behind. */
export class Upstream {
  readonly #base: URL
  // A pool has one origin, and takes paths only.
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

  /** @throws GabionError `UPSTREAM_FAILED`, `ABORTED`, `INVALID_ARGUMENT` for a target that is not a path and query */
  async send({ method, url, headers, body }: Incoming, signal: AbortSignal): Promise<Answer> {
    const { pathname, search } = targetOf(this.#base, url)
    try {
      return await this.#pool.request({
        path: pathname + search,
        method,
        headers: endToEnd(headers),
        body,
        signal,
      })
    } catch (cause) {
      if (signal.aborted) throw new GabionError('ABORTED', 'the client went away', { cause: signal.reason })
      throw new GabionError('UPSTREAM_FAILED', `${this.#base.host} did not answer: ${(cause as Error).message}`, { cause })
    }
  }

  async close(): Promise<void> {
    await this.#pool.close()
  }
}

/** Headers of one connection (RFC 9110, 7.6.1), and those that both sides of the proxy set themselves. */
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

/** Headers without those of one connection and without gabion's own. */
export function endToEnd(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string | string[]> {
  // Node joins a request's repeated header; undici keeps an answer's as a list.
  const named = new Set([headers.connection ?? []].flat().flatMap((value) => value.toLowerCase().split(/\s*,\s*/)))
  const kept: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name) && !name.startsWith('x-gabion-') && !named.has(name)) kept[name] = value
  }
  return kept
}
