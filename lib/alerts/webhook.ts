// Owns delivery to a URL: a signed POST, never redirected, to addresses that the guard allows.

import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { Agent, buildConnector } from 'undici'
import { GabionError, isGabionError } from '../errors.js'
import { checkLiteral, guardedLookup, refusalOf, type Resolver } from './address-guard.js'
import { alertBody, type AlertFormat } from './alert-body.js'
import type { Alert } from './alert.js'
import { DeliveryFailure, type AlertDestination } from './destination.js'
import { deliveryHeaders, type SigningSecret } from './signature.js'

/** Options of a {@link Webhook}. */
export interface WebhookOptions {
  readonly url: string
  readonly format: AlertFormat
  readonly label: string
  /** Null sends unsigned. */
  readonly secret: SigningSecret | null
  /** Allows addresses of this machine and of private networks. */
  readonly allowPrivate: boolean
  /** URL of the dashboard, for links; null for none. */
  readonly dashboard: () => string | null
  /** For tests. */
  readonly resolve?: Resolver
}

// Receivers should take an alert at once and work on it later.
const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 64 * 1024
const MAX_WAIT_MS = 3_600_000

/** A webhook. */
export class Webhook implements AlertDestination {
  readonly label: string
  readonly key: string
  readonly #options: WebhookOptions
  readonly #url: URL
  readonly #agent: Agent

  /** @throws GabionError `INVALID_ARGUMENT` for a URL of another kind, or of an address that may not be reached */
  constructor(options: WebhookOptions) {
    const { url, format, label, allowPrivate, resolve } = options
    this.#url = parseUrl(url)
    if (!allowPrivate) checkLiteral(this.#url.hostname)
    this.#options = options
    this.label = label
    this.key = createHash('sha256').update(`${format} ${this.#url.href}`).digest('hex').slice(0, 16)
    const timeouts = { connectTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS, maxResponseSize: MAX_ANSWER_BYTES }
    this.#agent = new Agent({ ...timeouts, connect: allowPrivate ? { timeout: TIMEOUT_MS } : guardedConnector(resolve) })
  }

  /**
   * Looks at where the name points now, so that a mistake is an error at the start; every connection is checked again.
   *
   * @throws GabionError `INVALID_ARGUMENT` for a name with an address that may not be reached
   */
  async check(): Promise<void> {
    const { allowPrivate, resolve } = this.#options
    const { hostname } = this.#url
    if (allowPrivate || isIP(hostname.replace(/^\[|\]$/g, '')) !== 0) return
    const error = await new Promise((done) => guardedLookup(resolve)(hostname, { all: true }, (found) => done(found)))
    // A name that does not resolve now may do so later.
    if (isGabionError(error)) throw error
  }

  async deliver(alert: Alert, signal: AbortSignal): Promise<void> {
    const { format, secret, dashboard } = this.#options
    const body = alertBody(alert, format, dashboard())
    const now = new Date()
    const headers = secret === null ? deliveryHeaders(alert.id, now) : secret.headers(alert.id, now, body)
    const { origin, pathname, search, username, password } = this.#url
    const credentials = username === '' && password === '' ? {} : { authorization: basic(username, password) }
    let status: number
    let wait: string | string[] | undefined
    try {
      const answer = await this.#agent.request({
        origin,
        path: pathname + search,
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': 'gabion', ...credentials, ...headers },
        body,
        signal: AbortSignal.any([signal, AbortSignal.timeout(2 * TIMEOUT_MS)]),
      })
      status = answer.statusCode
      wait = answer.headers['retry-after']
      // What the receiver says is of no use, but the connection can be used again.
      await answer.body.dump({ limit: MAX_ANSWER_BYTES })
    } catch (cause) {
      throw new DeliveryFailure((cause as Error).message, null, cause)
    }
    if (status < 200 || status > 299) throw new DeliveryFailure(`it answered ${status}`, waitOf(wait))
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    // The URL of a webhook often is its secret.
    throw new GabionError('INVALID_ARGUMENT', 'the URL of a webhook must be one of http or https, such as https://hooks.example/alerts')
  }
  return url
}

function guardedConnector(resolve: Resolver | undefined): buildConnector.connector {
  const connect = buildConnector({ timeout: TIMEOUT_MS, lookup: guardedLookup(resolve) })
  return (options, callback) => {
    connect(options, (...[error, socket]) => {
      if (error !== null) {
        callback(error, null)
        return
      }
      const reason = refusalOf(socket.remoteAddress ?? '')
      if (reason === null) {
        callback(null, socket)
        return
      }
      socket.destroy()
      callback(new GabionError('INVALID_ARGUMENT', `the connection reached an address that ${reason}`), null)
    })
  }
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`
}

/** Milliseconds of a `Retry-After`: seconds or a date. */
function waitOf(header: string | string[] | undefined): number | null {
  const value = [header ?? []].flat()[0]
  if (value === undefined) return null
  const milliseconds = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(milliseconds) ? Math.min(MAX_WAIT_MS, Math.max(0, milliseconds)) : null
}
