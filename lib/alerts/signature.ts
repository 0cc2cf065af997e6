// Owns the signature of deliveries, as in the Standard Webhooks specification (standardwebhooks.com), so that receivers can verify it
// with a library that exists for their language.

import { createHmac } from 'node:crypto'
import { GabionError } from '../errors.js'

const PREFIX = 'whsec_'
const MIN_SECRET_BYTES = 24

/** A shared secret. */
export class SigningSecret {
  readonly #key: Buffer

  /**
   * @param secret - `whsec_` and base64, or any other string of 24 characters or more, taken as bytes
   * @throws GabionError `INVALID_ARGUMENT` for a secret short enough to be guessed; the message does not contain it
   */
  constructor(secret: string) {
    this.#key = secret.startsWith(PREFIX) ? Buffer.from(secret.slice(PREFIX.length), 'base64') : Buffer.from(secret)
    if (this.#key.length < MIN_SECRET_BYTES) {
      throw new GabionError(
        'INVALID_ARGUMENT',
        `the secret of alerts must have ${MIN_SECRET_BYTES} bytes or more, it has ${this.#key.length}; create one with: echo whsec_$(openssl rand -base64 32)`,
      )
    }
  }

  /** The headers of a delivery: id, time, and the HMAC-SHA256 over both and the body. */
  headers(id: string, at: Date, body: string): Record<string, string> {
    const timestamp = String(Math.floor(at.getTime() / 1000))
    const digest = createHmac('sha256', this.#key).update(`${id}.${timestamp}.${body}`).digest('base64')
    return { ...deliveryHeaders(id, at), 'webhook-signature': `v1,${digest}` }
  }
}

/** The headers of a delivery without a secret. */
export function deliveryHeaders(id: string, at: Date): Record<string, string> {
  return { 'webhook-id': id, 'webhook-timestamp': String(Math.floor(at.getTime() / 1000)) }
}
