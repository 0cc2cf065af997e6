// Owns a connection to Redis or Valkey: it comes back by itself, and what it cannot do now is a coded error at once.

import { createHash } from 'node:crypto'
import { createClient, ErrorReply } from '@redis/client'
import type { Logger } from 'pino'
import { GabionError } from '../../errors.js'

/** A Lua script, run as one atomic step. */
export class Script {
  readonly source: string
  readonly sha1: string

  constructor(source: string) {
    this.source = source
    this.sha1 = createHash('sha1').update(source).digest('hex')
  }
}

// Connecting again: at once, then less and less often.
const MAX_PAUSE_MS = 2000
const CONNECT_MS = 5000

type Client = ReturnType<typeof newClient>

function newClient(url: string) {
  const reconnectStrategy = (tries: number): number => Math.min(MAX_PAUSE_MS, 25 * 2 ** Math.min(tries, 10))
  // Commands given while there is no connection are refused, not kept: their requests have deadlines and other instances.
  return createClient({ url, RESP: 2, disableOfflineQueue: true, socket: { reconnectStrategy, connectTimeout: CONNECT_MS } })
}

/** One connection. */
export class RedisConnection {
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  /** @throws GabionError `INVALID_ARGUMENT` for a wrong URL, `UNAVAILABLE` when nobody answers there */
  static async open(url: string, logger: Logger): Promise<RedisConnection> {
    let client: Client
    try {
      client = newClient(url)
    } catch (cause) {
      throw new GabionError('INVALID_ARGUMENT', 'the Redis URL must be redis://[[user]:password@]host[:port][/database]', { cause })
    }
    let told = false
    client.on('error', (error: Error) => {
      if (!told) logger.warn({ reason: error.message }, 'the connection to Redis broke; connecting again')
      told = true
    })
    client.on('ready', () => {
      if (told) logger.info('connected to Redis again')
      told = false
    })
    const connection = new RedisConnection(client)
    const where = new URL(url).host
    try {
      await Promise.race([client.connect(), timeout(CONNECT_MS)])
    } catch (cause) {
      client.destroy()
      throw new GabionError('UNAVAILABLE', `Redis at ${where} does not answer: ${(cause as Error).message}`, { cause })
    }
    return connection
  }

  /**
   * Runs a command.
   *
   * @throws GabionError `UNAVAILABLE`; whether the command was carried out is then unknown
   */
  async command(...args: readonly string[]): Promise<unknown> {
    try {
      return await this.#client.sendCommand([...args])
    } catch (cause) {
      throw asCoded(cause)
    }
  }

  /** Runs a script; its source is sent only where the server does not know it. */
  async run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args.map(String)]
    try {
      return await this.#client.sendCommand(['EVALSHA', script.sha1, ...rest])
    } catch (cause) {
      if (!(cause instanceof ErrorReply) || !cause.message.startsWith('NOSCRIPT')) throw asCoded(cause)
    }
    return await this.command('EVAL', script.source, ...rest)
  }

  /** Listens to a channel on a connection of its own, which comes back by itself too. */
  async subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    const subscriber = this.#client.duplicate({ disableOfflineQueue: false })
    subscriber.on('error', () => undefined)
    await subscriber.connect()
    await subscriber.subscribe(channel, listener)
    return async () => {
      await subscriber.close().catch(() => subscriber.destroy())
    }
  }

  async close(): Promise<void> {
    if (!this.#client.isReady) this.#client.destroy()
    else await this.#client.close().catch(() => undefined)
  }
}

function timeout(milliseconds: number): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`no answer within ${milliseconds} ms`)), milliseconds).unref()
  })
}

function asCoded(cause: unknown): GabionError {
  if (cause instanceof ErrorReply && !/^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|OOM|MISCONF|NOREPLICAS)/.test(cause.message)) {
    return new GabionError('INTERNAL', `Redis refused a command: ${cause.message}`, { cause })
  }
  return new GabionError('UNAVAILABLE', `Redis does not answer: ${(cause as Error).message}`, { cause })
}
