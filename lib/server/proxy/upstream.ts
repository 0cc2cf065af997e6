// Passes requests on to the service behind, and says in one way when that fails.

import type { IncomingHttpHeaders } from 'node:http'
import { Agent, request, type Dispatcher } from 'undici'
import { GabionError } from '../../errors.js'

/** Headers of one connection, and those that are not true any more behind the proxy. */
const NOT_PASSED_ON = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'content-length',
  'accept-encoding',
  'expect',
  'x-gabion-conversation',
  'x-api-key',
])

/** A request as it came in. */
export interface Incoming {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer | null
}

/** The service behind. */
export class Upstream {
  readonly #base: URL
  // Models may think for minutes before they answer, and between two words.
  readonly #agent = new Agent({ headersTimeout: 600_000, bodyTimeout: 600_000 })

  /** @throws GabionError `INVALID_ARGUMENT` */
  constructor(url: string) {
    const base = URL.canParse(url) ? new URL(url) : null
    if (base === null || !/^https?:$/.test(base.protocol)) {
      throw new GabionError(
        'INVALID_ARGUMENT',
        `--upstream must be the URL of a service, such as http://127.0.0.1:8000, got ${JSON.stringify(url)}`,
      )
    }
    this.#base = base
  }

  get host(): string {
    return this.#base.host
  }

  /** @throws GabionError `UPSTREAM_FAILED`, `ABORTED` */
  async send({ method, url, headers, body }: Incoming, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    // An upstream that ends in /v1 is the form in which clients name theirs; paths begin with it already.
    const prefix = this.#base.pathname.replace(/\/(v1\/?)?$/, '')
    try {
      return await request(new URL(prefix + url, this.#base.origin), {
        method,
        headers: passedOn(headers),
        body,
        signal,
        dispatcher: this.#agent,
      })
    } catch (cause) {
      if (signal.aborted) throw new GabionError('ABORTED', 'the client went away', { cause: signal.reason })
      throw new GabionError('UPSTREAM_FAILED', `${this.#base.host} did not answer: ${(cause as Error).message}`, { cause })
    }
  }

  async close(): Promise<void> {
    await this.#agent.close()
  }
}

/** Headers without those of one connection. */
export function passedOn(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const named = new Set((headers.connection ?? '').toLowerCase().split(/\s*,\s*/))
  const kept: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !NOT_PASSED_ON.has(name) && !named.has(name)) kept[name] = value
  }
  return kept
}
