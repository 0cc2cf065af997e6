// Stores conversations in Redis or Valkey, so that any instance can take any exchange. An exchange is answered after Redis has saved it.

import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Alert } from '../../alerts/alert.js'
import { RedisConnection } from '../redis/connection.js'
import { Keys } from '../redis/keys.js'
import { ACKNOWLEDGE, FORGET, LIST, LIST_ALERTS, PURGE, SAVE_RECORD } from '../redis/scripts.js'
import { alertMember, changeOf, type ConversationRecord, type Owner } from './record.js'
import type { Acknowledgement, AlertPage, ConversationChange, ConversationStatus, StoredAlert } from './status.js'
import type { ConversationStore, StoredRecord } from './store.js'

export interface RedisStoreOptions {
  readonly url: string
  /** Prefix of all key names. */
  readonly prefix: string
  /** Milliseconds after its last exchange at which a conversation is deleted. */
  readonly ttlMs: number
  readonly logger: Logger
}

// Keys or entries per command: a history may have any number of messages, and a long command blocks Redis for all clients.
const MAX_KEYS = 1000

/** Conversations shared by instances. */
export class RedisStore implements ConversationStore {
  readonly kind = 'redis'
  readonly #redis: RedisConnection
  readonly #keys: Keys
  readonly #ttlMs: number
  readonly #listeners: ((change: ConversationChange) => void)[] = []
  #unsubscribe: () => Promise<void> = () => Promise.resolve()

  private constructor(redis: RedisConnection, keys: Keys, ttlMs: number) {
    this.#redis = redis
    this.#keys = keys
    this.#ttlMs = ttlMs
  }

  /** @throws GabionError `INVALID_ARGUMENT` for a wrong URL, `UNAVAILABLE` when Redis does not respond */
  static async open({ url, prefix, ttlMs, logger }: RedisStoreOptions): Promise<RedisStore> {
    const keys = new Keys(prefix)
    const store = new RedisStore(await RedisConnection.open(url, logger), keys, ttlMs)
    store.#unsubscribe = await store.#redis.subscribe(keys.changes, (message) => {
      const change = JSON.parse(message) as ConversationChange
      for (const listener of store.#listeners) listener(change)
    })
    return store
  }

  async load(id: string): Promise<StoredRecord | null> {
    const [revision, json] = (await this.#redis.command('HMGET', this.#keys.conversation(id), 'revision', 'record')) as (string | null)[]
    if (typeof revision !== 'string' || typeof json !== 'string') return null
    return { record: JSON.parse(json) as ConversationRecord, revision }
  }

  async save(id: string, record: ConversationRecord, revision: string | null, alert: Alert | null): Promise<boolean> {
    const keys = [this.#keys.conversation(id), this.#keys.recent]
    return (await this.#redis.run(SAVE_RECORD, keys, this.saveArguments(id, record, revision, alert))) === 1
  }

  async alerts({ limit, offset, openOnly }: { limit: number; offset: number; openOnly: boolean }): Promise<AlertPage> {
    const { alerts, openAlerts, conversationPrefix } = this.#keys
    const keys = [alerts, openAlerts, openOnly ? openAlerts : alerts]
    const [total, open, found] = (await this.#redis.run(LIST_ALERTS, keys, [limit, offset, conversationPrefix])) as [
      number,
      number,
      string[],
    ]
    const stored: StoredAlert[] = []
    for (let at = 0; at < found.length; at += 2) {
      const [alert = '', acknowledged = ''] = found.slice(at, at + 2)
      stored.push({
        ...(JSON.parse(alert) as Alert),
        acknowledged: acknowledged === '' ? null : (JSON.parse(acknowledged) as Acknowledgement),
      })
    }
    return { alerts: stored, total, open }
  }

  async acknowledge(conversation: string, exchange: number, acknowledged: Acknowledgement): Promise<Acknowledgement | null> {
    const change: ConversationChange = { kind: 'acknowledged', conversation, exchange, acknowledged }
    const keys = [this.#keys.conversation(conversation), this.#keys.openAlerts]
    const args = [exchange, JSON.stringify(acknowledged), alertMember(conversation, exchange), this.#keys.changes, JSON.stringify(change)]
    const inForce = (await this.#redis.run(ACKNOWLEDGE, keys, args)) as string | null
    return inForce === null ? null : (JSON.parse(inForce) as Acknowledgement)
  }

  async owned(owner: Owner, name: string): Promise<string[]> {
    return (await this.#redis.command('ZRANGE', this.#keys.owner(owner, name), '0', '-1')) as string[]
  }

  async saveNote(key: string, value: string): Promise<void> {
    await this.#redis.command('SET', this.#keys.note(key), value, 'PX', String(this.#ttlMs))
  }

  async findNotes(keys: readonly string[]): Promise<(string | null)[]> {
    const found: (string | null)[] = []
    for (let first = 0; first < keys.length; first += MAX_KEYS) {
      const names = keys.slice(first, first + MAX_KEYS).map((key) => this.#keys.note(key))
      found.push(...((await this.#redis.command('MGET', ...names)) as (string | null)[]))
    }
    return found
  }

  /** The arguments of {@link SAVE_RECORD}. */
  saveArguments(id: string, record: ConversationRecord, revision: string | null, alert: Alert | null): (string | number)[] {
    const { status } = record
    const [json, summary, change] = [record, status, changeOf(record, alert)].map((part) => JSON.stringify(part)) as [
      string,
      string,
      string,
    ]
    const { changes, root } = this.#keys
    const saved = [id, revision ?? '', randomUUID(), json, summary, change, this.#ttlMs, Date.now(), changes, root]
    const raised = alert === null ? ['', ''] : [JSON.stringify(alert), alert.exchange]
    return [...saved, ...raised, status.caller ?? '', status.tenant ?? '']
  }

  async delete(id: string): Promise<boolean> {
    const change: ConversationChange = { kind: 'deleted', conversation: id }
    const { changes, root } = this.#keys
    const args = [id, JSON.stringify(change), changes, root]
    return (await this.#redis.run(FORGET, [this.#keys.conversation(id), this.#keys.recent], args)) === 1
  }

  async purge(ids: readonly string[]): Promise<void> {
    const { outbox, verdicts } = this.#keys
    for (const stream of [outbox, verdicts]) {
      for (let first = 0; first < ids.length; first += MAX_KEYS) {
        const wanted = ids.slice(first, first + MAX_KEYS)
        for (let from = '-'; from !== '';) from = (await this.#redis.run(PURGE, [stream], [from, MAX_KEYS, ...wanted])) as string
      }
    }
  }

  async list(limit: number): Promise<ConversationStatus[]> {
    const statuses = (await this.#redis.run(LIST, [this.#keys.recent], [limit, this.#keys.conversationPrefix])) as string[]
    return statuses.map((status) => JSON.parse(status) as ConversationStatus)
  }

  onChange(listener: (change: ConversationChange) => void): void {
    this.#listeners.push(listener)
  }

  async check(): Promise<void> {
    await this.#redis.command('PING')
  }

  async close(): Promise<void> {
    await this.#unsubscribe()
    await this.#redis.close()
  }
}
