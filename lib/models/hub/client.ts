// Owns requests to the hub: proxies, redirects, authorization, retries. Knows URLs, not models.

import type * as Undici from 'undici'
import type { Dispatcher, Response } from 'undici'
import { onAbort } from '../../abort.js'
import { GabionError } from '../../errors.js'
import type { HubSettings } from './settings.js'
import { lazily } from '../../lazy.js'

const undici = lazily<typeof Undici>('undici')

/** How failed requests are tried again. */
export interface RetryPolicy {
  /** Maximum number of consecutive failures without progress. */
  attempts: number
  /** Wait before the second attempt; doubles with each further one. */
  initialDelayMs: number
  /** Longest Retry-After that is honored. */
  maxDelayMs: number
}

const RETRY: RetryPolicy = { attempts: 5, initialDelayMs: 500, maxDelayMs: 60_000 }
const MAX_REDIRECTS = 5
const CONNECT_MS = 15_000
const SILENCE_MS = 60_000

/** A broken connection or a busy server, which is retried. */
class Temporary extends Error {
  readonly waitMs: number | null
  readonly failure: GabionError

  constructor(failure: GabionError, waitMs: number | null = null) {
    super(failure.message, { cause: failure })
    this.failure = failure
    this.waitMs = waitMs
  }
}

/** A client of one hub. Close it. */
export class HubClient {
  readonly settings: HubSettings
  readonly #retry: RetryPolicy
  readonly #agent: Dispatcher
  readonly #signal: AbortSignal | undefined

  constructor(settings: HubSettings, signal?: AbortSignal, retry: Partial<RetryPolicy> = {}) {
    this.settings = settings
    this.#signal = signal
    this.#retry = { ...RETRY, ...retry }
    // Takes http_proxy, https_proxy and no_proxy from the environment, in either case.
    this.#agent = new (undici().EnvHttpProxyAgent)({
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
      connect: { timeout: CONNECT_MS },
    })
  }

  /**
   * Runs an operation on the hub, retried after transient failures.
   *
   * @param attempt gets a function that opens a URL and one that reports progress
   * @throws GabionError `HUB_UNREACHABLE`, `HUB_REFUSED`, `MODEL_NOT_FOUND`, `ABORTED`, or what `attempt` throws
   */
  async persist<T>(
    attempt: (open: (path: string, headers?: Record<string, string>) => Promise<Response>, resetAttempts: () => void) => Promise<T>,
  ): Promise<T> {
    let failures = 0
    for (;;) {
      this.#throwIfAborted()
      try {
        return await attempt(
          (path, headers = {}) => this.#open(path, headers),
          () => (failures = 0),
        )
      } catch (error) {
        this.#throwIfAborted()
        const temporary = error instanceof Temporary ? error : this.#asTemporary(error)
        if (temporary === null) throw error
        failures++
        const wait = temporary.waitMs ?? this.#retry.initialDelayMs * 2 ** (failures - 1)
        if (failures >= this.#retry.attempts || wait > this.#retry.maxDelayMs) throw temporary.failure
        await this.#sleep(wait)
      }
    }
  }

  /** Fetches and parses a small JSON answer. Throws as {@link persist}, and `HUB_UNREACHABLE` for an answer that is no JSON. */
  async json(path: string): Promise<unknown> {
    return this.persist(async (open) => {
      const text = await (await open(path)).text()
      try {
        return JSON.parse(text) as unknown
      } catch (cause) {
        throw new GabionError('HUB_UNREACHABLE', `${this.settings.endpoint}${path} did not answer with JSON; is HF_ENDPOINT a hub?`, {
          cause,
        })
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }

  async #open(path: string, headers: Record<string, string>): Promise<Response> {
    const { endpoint, token } = this.settings
    const home = new URL(endpoint)
    let address = new URL(`${endpoint}${path}`)
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      // The token is only for the hub: redirects lead to other storage, whose URLs carry their own authorization.
      const permission: Record<string, string> =
        token !== null && address.origin === home.origin ? { authorization: `Bearer ${token}` } : {}
      const response = await undici().fetch(address.href, {
        dispatcher: this.#agent,
        redirect: 'manual',
        // Ranges refer to the stored bytes, so the response must not be compressed.
        headers: { 'user-agent': 'gabion', 'accept-encoding': 'identity', ...headers, ...permission },
        ...(this.#signal === undefined ? {} : { signal: this.#signal }),
      })
      const location = response.headers.get('location')
      if (response.status < 300 || response.status >= 400 || location === null) {
        await this.#check(response, address)
        return response
      }
      await response.body?.cancel()
      const next = URL.canParse(location, address.href) ? new URL(location, address) : null
      if (next === null || !/^https?:$/.test(next.protocol) || (home.protocol === 'https:' && next.protocol !== 'https:')) {
        throw new GabionError('HUB_REFUSED', `${address.href} sends on to ${location}, which is not followed`)
      }
      address = next
    }
    throw new GabionError('HUB_REFUSED', `${endpoint}${path} sends on more than ${String(MAX_REDIRECTS)} times`)
  }

  async #check(response: Response, address: URL): Promise<void> {
    const { status } = response
    if (status === 200 || status === 206) return
    await response.body?.cancel()
    const said = `${address.origin}${address.pathname} answered ${String(status)}`
    if (status === 401 || status === 403) {
      const what = this.settings.token === null ? 'set HF_TOKEN if it is private or gated' : 'HF_TOKEN does not give access to it'
      throw new GabionError('HUB_REFUSED', `${said}: there is no such repository, or it needs permission; ${what}`)
    }
    if (status === 404) throw new GabionError('MODEL_NOT_FOUND', `${said}: the hub has no such repository, revision or file`)
    if (status === 429) {
      const failure = new GabionError('HUB_REFUSED', `${said}: too many requests; try again later, or set HF_TOKEN for a higher limit`)
      throw new Temporary(failure, waitOf(response.headers.get('retry-after')))
    }
    const failure = new GabionError('HUB_UNREACHABLE', said)
    throw status >= 500 || status === 408 ? new Temporary(failure) : failure
  }

  /** The coded error of a broken connection; null for other errors. */
  #asTemporary(error: unknown): Temporary | null {
    if (error instanceof GabionError || !(error instanceof TypeError)) return null
    const cause = error.cause as (Error & { code?: string }) | undefined
    if (cause === undefined) return null
    const reason = [cause.code, cause.message].filter((part) => part !== undefined && part !== '').join(': ')
    return new Temporary(
      new GabionError(
        'HUB_UNREACHABLE',
        `${this.settings.endpoint} cannot be reached (${reason}). Behind a proxy, set HTTPS_PROXY; for a mirror, HF_ENDPOINT. ` +
          'Without a network, copy the model folder here and give its path',
        { cause: error },
      ),
    )
  }

  #throwIfAborted(): void {
    if (this.#signal?.aborted === true) throw new GabionError('ABORTED', 'the download was aborted', { cause: this.#signal.reason })
  }

  async #sleep(ms: number): Promise<void> {
    await new Promise<void>((wake) => {
      const timer = setTimeout(() => {
        endWait?.()
        wake()
      }, ms)
      const endWait =
        this.#signal &&
        onAbort(this.#signal, () => {
          clearTimeout(timer)
          wake()
        })
    })
  }
}

/** The wait of a Retry-After header, in seconds or until a date; null if there is none. */
function waitOf(header: string | null): number | null {
  if (header === null) return null
  const seconds = Number(header)
  if (Number.isFinite(seconds) && seconds >= 0) return seconds * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now())
}
