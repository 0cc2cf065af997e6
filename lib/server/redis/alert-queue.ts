// The queue of alerts in Redis: a stream that the script which saves a verdict writes to, and a consumer group per destination. Instances
// with the same destination share its alerts; those of an instance that died are claimed.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Alert } from '../../alerts/alert.js'
import type { AlertQueue, QueuedAlert } from '../../alerts/queue.js'
import type { RedisConnection } from './connection.js'
import type { Keys } from './keys.js'
import { ACKNOWLEDGE_ENTRY } from './scripts.js'

const POLL_MS = 250
/** Longer than the interval at which a living instance says that it still tries. */
const CLAIM_AFTER_MS = 30_000

type Entry = [string, string[] | null]

/** Alerts in Redis. */
export class RedisAlertQueue implements AlertQueue {
  readonly #redis: RedisConnection
  readonly #stream: string
  readonly #consumer = randomUUID()
  readonly #claimAfterMs: number
  readonly #claimedAt = new Map<string, number>()
  #lost = 0

  /** @param redis - closed with the queue */
  constructor(redis: RedisConnection, keys: Keys, claimAfterMs = CLAIM_AFTER_MS) {
    this.#redis = redis
    this.#stream = keys.outbox
    this.#claimAfterMs = claimAfterMs
  }

  get lost(): number {
    return this.#lost
  }

  async open(destination: string): Promise<void> {
    await this.#createGroup(destination, '$')
  }

  async take(destination: string, limit: number, waitMs: number, signal: AbortSignal): Promise<QueuedAlert[]> {
    const last = performance.now() + waitMs
    for (;;) {
      const entries = [...(await this.#claim(destination, limit)), ...(await this.#read(destination, limit))]
      const found = entries.flatMap(([key, fields]) => {
        const at = fields?.indexOf('alert') ?? -1
        return fields === null || at < 0 ? [] : [{ key, alert: JSON.parse(fields[at + 1]!) as Alert }]
      })
      if (found.length > 0 || signal.aborted || performance.now() >= last) return found
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  async has(_: string, key: string): Promise<boolean> {
    return ((await this.#redis.command('XRANGE', this.#stream, key, key)) as unknown[]).length > 0
  }

  async done(destination: string, key: string): Promise<void> {
    await this.#redis.run(ACKNOWLEDGE_ENTRY, [this.#stream], [destination, key])
  }

  async keep(destination: string, keys: readonly string[]): Promise<void> {
    await this.#redis.command('XCLAIM', this.#stream, destination, this.#consumer, '0', ...keys, 'JUSTID')
  }

  async close(): Promise<void> {
    await this.#redis.close()
  }

  async #read(destination: string, limit: number): Promise<Entry[]> {
    const args = ['XREADGROUP', 'GROUP', destination, this.#consumer, 'COUNT', String(limit), 'STREAMS', this.#stream, '>']
    try {
      const reply = (await this.#redis.command(...args)) as [string, Entry[]][] | null
      return reply?.[0]?.[1] ?? []
    } catch (error) {
      // A Redis that restarted empty has lost the group; what is in the stream since then is for everybody.
      if (!(error as Error).message.includes('NOGROUP')) throw error
      await this.#createGroup(destination, '0')
      return []
    }
  }

  /** What an instance had taken and no longer tries; entries that the bound has removed are counted. */
  async #claim(destination: string, limit: number): Promise<Entry[]> {
    const before = this.#claimedAt.get(destination) ?? -Infinity
    if (performance.now() - before < this.#claimAfterMs / 4) return []
    this.#claimedAt.set(destination, performance.now())
    const args = [this.#stream, destination, this.#consumer, String(this.#claimAfterMs), '0', 'COUNT', String(limit)]
    try {
      const [, entries, deleted = []] = (await this.#redis.command('XAUTOCLAIM', ...args)) as [string, (Entry | null)[], string[]?]
      this.#lost += deleted.length
      return entries.filter((entry) => entry !== null)
    } catch (error) {
      if ((error as Error).message.includes('NOGROUP')) return []
      throw error
    }
  }

  async #createGroup(destination: string, from: '$' | '0'): Promise<void> {
    try {
      await this.#redis.command('XGROUP', 'CREATE', this.#stream, destination, from, 'MKSTREAM')
    } catch (error) {
      if (!(error as Error).message.includes('BUSYGROUP')) throw error
    }
  }
}
