// Owns who sends a request: the keys that the proxy itself asks for, and the identity by which conversations are told apart.

import { createHash, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { GabionError } from '../../errors.js'
import { MAX_ID_LENGTH } from '../conversations/record.js'

/** Headers by which upstreams identify callers. */
const CREDENTIALS = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key'] as const

const KEY_HEADER = 'x-gabion-key'
const MIN_KEY_LENGTH = 16

/** The sender of a request. */
export class Caller {
  /** Hash of tenant and credentials, or of tenant and caller header. Tenants never share a conversation. */
  readonly id: string
  /** Names the caller in alerts without telling its credentials; null for one without any. */
  readonly name: string | null
  /** The conversation that the request names. */
  readonly conversation: string | undefined

  constructor(headers: IncomingHttpHeaders, { tenant, callerHeader }: { tenant: string | null; callerHeader: string | null }) {
    const named = callerHeader === null ? undefined : headers[callerHeader]
    const identity = named === undefined ? CREDENTIALS.map((name) => headers[name] ?? null) : { named }
    this.id = hashOf(JSON.stringify([tenant, identity]))
    const isKnown = named !== undefined || CREDENTIALS.some((name) => headers[name] !== undefined)
    this.name = isKnown ? hashOf(`caller ${JSON.stringify(identity)}`).slice(0, 16) : null
    const conversation = headers['x-gabion-conversation']
    this.conversation = typeof conversation === 'string' && conversation !== '' ? conversation : undefined
  }

  /** A conversation's id, bound to the caller: no other caller can reach or end it. */
  bind(conversation: string): string {
    const owner = hashOf(JSON.stringify([this.id, conversation])).slice(0, 16)
    return `${conversation.slice(0, MAX_ID_LENGTH - owner.length - 1)}@${owner}`
  }
}

/** The keys of the proxy's clients, each with its tenant. */
export class ClientKeys {
  readonly #tenants: readonly { readonly hash: Buffer; readonly tenant: string }[]

  /** @throws GabionError `INVALID_ARGUMENT` for a short key */
  constructor(keys: readonly { readonly key: string; readonly tenant: string }[]) {
    for (const { key, tenant } of keys) {
      if (key.length < MIN_KEY_LENGTH) {
        throw new GabionError(
          'INVALID_ARGUMENT',
          `a client key must have ${MIN_KEY_LENGTH} characters or more, one of ${tenant} has ${key.length}`,
        )
      }
    }
    this.#tenants = keys.map(({ key, tenant }) => ({ hash: digestOf(key), tenant }))
  }

  /**
   * Reads a file with a key and its tenant per line, separated by whitespace; # starts a comment.
   *
   * @throws GabionError `INVALID_ARGUMENT`
   */
  static async read(file: string): Promise<ClientKeys> {
    const lines = (await readFile(file, 'utf8')).split(/\r?\n/).map((line) => line.replace(/#.*/, '').trim())
    const keys = lines.flatMap((line, index) => {
      if (line === '') return []
      const [key = '', tenant, ...more] = line.split(/\s+/)
      if (tenant === undefined || more.length > 0)
        throw new GabionError('INVALID_ARGUMENT', `${file}, line ${index + 1}: expected a key and the name of its tenant`)
      return [{ key, tenant }]
    })
    if (keys.length === 0) throw new GabionError('INVALID_ARGUMENT', `${file} contains no client key`)
    return new ClientKeys(keys)
  }

  /**
   * The tenant of a request, by a key in `X-Gabion-Key` or in the place of a credential, and the headers without that key: it is
   * gabion's own and must not reach the upstream.
   *
   * @throws GabionError `UNAUTHENTICATED`
   */
  admit(headers: IncomingHttpHeaders): { tenant: string; headers: IncomingHttpHeaders } {
    const places = [KEY_HEADER, ...CREDENTIALS].flatMap((name) => {
      const value = headers[name]
      const key = typeof value === 'string' ? (/^Bearer +(\S+)$/i.exec(value)?.[1] ?? value) : undefined
      const tenant = key === undefined ? undefined : this.#tenantOf(key)
      return tenant === undefined ? [] : [{ name, tenant }]
    })
    const [first] = places
    if (first === undefined) throw new GabionError('UNAUTHENTICATED', 'a client key of this proxy is needed: send "X-Gabion-Key: KEY"')
    const own = new Set<string>(places.map(({ name }) => name))
    return { tenant: first.tenant, headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !own.has(name))) }
  }

  /** Compares with all keys, as hashes of equal length, so that timing reveals nothing. */
  #tenantOf(key: string): string | undefined {
    const digest = digestOf(key)
    const found = this.#tenants.map(({ hash }) => timingSafeEqual(hash, digest)).indexOf(true)
    return this.#tenants[found]?.tenant
  }
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
