// Owns authentication: API keys from the environment or a file, compared in constant time. Knows no protocol.

import { createHash, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { GabionError } from '../errors.js'

/** Environment variable with keys, separated by commas or whitespace. */
export const KEYS_VARIABLE = 'GABION_API_KEYS'

const MIN_KEY_LENGTH = 16

/** The API keys of a service; without any, every request is accepted. */
export class ApiKeys {
  readonly #hashes: readonly Buffer[]

  /** @throws GabionError `INVALID_ARGUMENT` for a key short enough to be guessed; the message does not contain it */
  constructor(keys: readonly string[]) {
    for (const [index, key] of keys.entries()) {
      if (key.length < MIN_KEY_LENGTH) {
        throw new GabionError(
          'INVALID_ARGUMENT',
          `an API key must have ${MIN_KEY_LENGTH} characters or more, key ${index + 1} has ${key.length}; create one with: openssl rand -hex 32`,
        )
      }
    }
    this.#hashes = keys.map(hashOf)
  }

  /** Keys of a file (one per line, # starts a comment) and of {@link KEYS_VARIABLE}. */
  static async read(file: string | undefined, env: NodeJS.ProcessEnv = process.env): Promise<ApiKeys> {
    const ofFile = file === undefined ? [] : (await readFile(file, 'utf8')).split(/\r?\n/).map((line) => line.replace(/#.*/, '').trim())
    const keys = [...ofFile, ...(env[KEYS_VARIABLE] ?? '').split(/[\s,]+/)].filter((key) => key !== '')
    if (file !== undefined && keys.length === 0) throw new GabionError('INVALID_ARGUMENT', `${file} contains no API key`)
    return new ApiKeys(keys)
  }

  get size(): number {
    return this.#hashes.length
  }

  /** Whether a key is valid: it is compared with all keys, as hashes of equal length, so that timing reveals nothing. */
  accept(key: string): boolean {
    const hash = hashOf(key)
    return this.#hashes.map((known) => timingSafeEqual(known, hash)).includes(true)
  }

  /**
   * Checks the value of an `Authorization` header (`Bearer KEY`) or a bare key.
   *
   * @throws GabionError `UNAUTHENTICATED`
   */
  check(authorization: string | undefined, bare: string | undefined): void {
    if (this.#hashes.length === 0) return
    const key = bare ?? /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (key === undefined) throw new GabionError('UNAUTHENTICATED', 'an API key is needed: send "Authorization: Bearer KEY"')
    if (!this.accept(key)) throw new GabionError('UNAUTHENTICATED', 'the API key is not valid for this service')
  }
}

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1', '[::1]']

/** Whether an address to listen on, or a host name without port, is this machine's loopback. */
export function isLoopback(host: string): boolean {
  return LOOPBACK_NAMES.includes(host.toLowerCase()) || /^127\.\d+\.\d+\.\d+$/.test(host)
}

/**
 * Without keys only this machine is served, and browsers on it only by a loopback name: a foreign page whose own name
 * resolves to this machine (DNS rebinding) is refused.
 *
 * @param host - the request's `Host` header
 * @throws GabionError `UNAUTHENTICATED`
 */
export function checkHost(host: string | undefined): void {
  const name = (host ?? '').replace(/:\d+$/, '')
  if (!isLoopback(name)) {
    throw new GabionError('UNAUTHENTICATED', `host ${JSON.stringify(name.slice(0, 60))} is not served: without API keys only localhost is`)
  }
}

/** @throws GabionError `INVALID_ARGUMENT` for an address that other machines can reach, without API keys */
export function refuseOpenAddress(host: string, keys: ApiKeys): void {
  if (keys.size === 0 && !isLoopback(host)) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `--host ${host} can be reached from other machines and there is no API key; set ${KEYS_VARIABLE} or --api-keys FILE`,
    )
  }
}
