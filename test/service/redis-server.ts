// A real Redis (or Valkey) of a test's own: a free port, a folder of its own, append-only file written at every command.

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@redis/client'
import { startProcess, until, type OwnProcess } from './ending.js'

/** A server that can be killed and started again on its data. */
export class RedisServer {
  readonly url: string
  readonly #folder: string
  readonly #port: number
  #process: OwnProcess | undefined

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.#port = port
    this.url = `redis://127.0.0.1:${port}`
  }

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await mkdtemp(join(tmpdir(), 'gabion-redis-')), await freePort())
    await server.start()
    return server
  }

  async start(): Promise<void> {
    const options = ['--dir', this.#folder, '--bind', '127.0.0.1', '--appendonly', 'yes', '--appendfsync', 'always', '--save', '']
    const { child, stop } = startProcess('redis-server', ['--port', String(this.#port), ...options], 'ignore')
    this.#process = { child, stop }
    await until('Redis answers', async () => {
      if (child.exitCode !== null) throw new Error(`redis-server on port ${this.#port} ended with ${child.exitCode}`)
      return await this.command('PING').catch(() => null)
    })
  }

  async kill(): Promise<void> {
    await this.#process?.stop('SIGKILL')
  }

  /** One command on a connection of its own. */
  async command(...args: string[]): Promise<unknown> {
    const client = createClient({ url: this.url, RESP: 2, socket: { reconnectStrategy: false } })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return await client.sendCommand(args)
    } finally {
      client.destroy()
    }
  }

  async remove(): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}
