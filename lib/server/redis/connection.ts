// Owns a connection to Redis or Valkey: it reconnects by itself, and commands without a connection fail at once with a coded error.

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

// Reconnects with exponential backoff up to this pause.
const MAX_PAUSE_MS = 2000
const CONNECT_MS = 5000

type Client = ReturnType<typeof newClient>

function newClient(url: string) {
  const reconnectStrategy = (tries: number): number => Math.min(MAX_PAUSE_MS, 25 * 2 ** Math.min(tries, 10))
  // Commands without a connection fail instead of queueing: requests have deadlines, and clients other instances.
  return createClient({ url, RESP: 2, disableOfflineQueue: true, socket: { reconnectStrategy, connectTimeout: CONNECT_MS } })
}

/** One connection. */
export class RedisConnection {
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  /** @throws GabionError `INVALID_ARGUMENT` for a wrong URL, `UNAVAILABLE` when the server does not respond */
  static async open(url: string, logger: Logger): Promise<RedisConnection> {
    let client: Client
    try {
      client = newClient(url)
    } catch (cause) {
      throw new GabionError('INVALID_ARGUMENT', 'the Redis URL must be redis://[[user]:password@]host[:port][/database]', { cause })
    }
    let reported = false
    client.on('error', (error: Error) => {
      if (!reported) logger.warn({ reason: error.message }, 'lost the connection to Redis; reconnecting')
      reported = true
    })
    client.on('ready', () => {
      if (reported) logger.info('reconnected to Redis')
      reported = false
    })
    const connection = new RedisConnection(client)
    const where = new URL(url).host
    try {
      await Promise.race([client.connect(), timeout(CONNECT_MS)])
    } catch (cause) {
      client.destroy()
      throw new GabionError('UNAVAILABLE', `Redis at ${where} does not respond: ${(cause as Error).message}`, { cause })
    }
    return connection
  }

  /**
   * Runs a command.
   *
   * @throws GabionError `UNAVAILABLE`; the command may or may not have been executed
   */
  async command(...args: readonly string[]): Promise<unknown> {
    try {
      return await this.#client.sendCommand([...args])
    } catch (cause) {
      throw asCoded(cause)
    }
  }

  /** Runs a script; its source is sent only if the server has not cached it. */
  async run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args.map(String)]
    try {
      return await this.#client.sendCommand(['EVALSHA', script.sha1, ...rest])
    } catch (cause) {
      if (!(cause instanceof ErrorReply) || !cause.message.startsWith('NOSCRIPT')) throw asCoded(cause)
    }
    return await this.command('EVAL', script.source, ...rest)
  }

  /** Subscribes to a channel on a separate connection, which reconnects by itself too. */
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
    setTimeout(() => reject(new Error(`no response within ${milliseconds} ms`)), milliseconds).unref()
  })
}

function asCoded(cause: unknown): GabionError {
  if (cause instanceof ErrorReply && !/^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|OOM|MISCONF|NOREPLICAS)/.test(cause.message)) {
    return new GabionError('INTERNAL', `Redis refused a command: ${cause.message}`, { cause })
  }
  return new GabionError('UNAVAILABLE', `Redis does not respond: ${(cause as Error).message}`, { cause })
}
