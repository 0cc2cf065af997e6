// Owns the stream of exchanges as one consumer of a group: take, await the order, commit, claim from dead consumers.

import type { Alert } from '../../alerts/alert.js'
import type { ExchangeVerdict } from '../../detection/verdict.js'
import { GabionError } from '../../errors.js'
import { checkId, type ConversationRecord } from '../conversations/record.js'
import type { RedisStore } from '../conversations/redis-store.js'
import type { ExchangeRequest } from '../conversations/judge-exchange.js'
import { idOfTenant } from '../tenants.js'
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from '../redis/keys.js'
import { COMMIT_ENTRY, ENTRY_STATE, SETTLE_ENTRY, TAKE } from '../redis/scripts.js'

/** An unvalidated entry of the stream. */
export interface StreamEntry {
  readonly id: string
  readonly fields: Readonly<Record<string, string>>
}

/** State of an entry: due to be judged, waiting for an earlier one of its conversation, or settled. */
export type EntryState = 'DUE' | 'WAIT' | 'GONE'

/** Settings of an {@link ExchangeStream}. */
export interface ExchangeStreamOptions {
  readonly redis: RedisConnection
  /** A separate connection for blocking reads. */
  readonly waiting: RedisConnection
  readonly store: RedisStore
  readonly keys: Keys
  readonly group: string
  readonly consumer: string
  /** Approximate length of the stream of verdicts. */
  readonly maxVerdicts: number
  /** Removes an entry once it is settled, so that its texts are gone. */
  readonly removesEntries: boolean
}

// The recorded order outlives restarts; settled entries are skipped in it.
const ORDER_TTL_MS = 7 * 24 * 3_600_000

/** One consumer of the stream. */
export class ExchangeStream {
  readonly #options: ExchangeStreamOptions
  // XREAD waits for entries after this one.
  #seen = '0'

  constructor(options: ExchangeStreamOptions) {
    this.#options = options
  }

  /** Creates stream and group if needed; exchanges written before are judged too. */
  async prepare(): Promise<void> {
    const { redis, keys, group } = this.#options
    try {
      await redis.command('XGROUP', 'CREATE', keys.exchanges, group, '0', 'MKSTREAM')
    } catch (error) {
      if (!(error as Error).message.includes('BUSYGROUP')) throw error
    }
    this.#seen = (await this.#group())?.['last-delivered-id'] ?? '0'
  }

  /** Takes up to `limit` new entries. */
  async take(limit: number): Promise<StreamEntry[]> {
    const { redis, keys, group, consumer } = this.#options
    const entries = asEntries(await redis.run(TAKE, [keys.exchanges], [group, consumer, limit, keys.orderPrefix, ORDER_TTL_MS]))
    const last = entries.at(-1)
    if (last !== undefined) this.#seen = last.id
    return entries
  }

  /** Resolves when there may be new entries, or after a timeout. */
  async waitForMore(milliseconds: number): Promise<void> {
    const { waiting, keys } = this.#options
    const reply = (await waiting.command('XREAD', 'COUNT', '1', 'BLOCK', String(milliseconds), 'STREAMS', keys.exchanges, this.#seen)) as
      [string, [string, string[]][]][] | null
    // Another consumer may have taken it already; the next call must not wake up for it again.
    const [entry] = reply?.[0]?.[1] ?? []
    if (entry !== undefined) this.#seen = entry[0]
  }

  /** Claims up to `limit` entries whose consumers have been idle for `idleMs`. */
  async claim(idleMs: number, limit: number): Promise<StreamEntry[]> {
    const { redis, keys, group, consumer } = this.#options
    const args = ['XAUTOCLAIM', keys.exchanges, group, consumer, String(idleMs), '0', 'COUNT', String(limit)]
    const [, entries] = (await redis.command(...args)) as [string, unknown]
    return asEntries(entries)
  }

  async state(entry: StreamEntry): Promise<EntryState> {
    const { redis, keys, group } = this.#options
    return (await redis.run(ENTRY_STATE, [keys.exchanges, this.#order(entry)], [group, entry.id])) as EntryState
  }

  /** Saves the record, publishes the verdict and acknowledges the entry, atomically. */
  async commit(
    entry: StreamEntry,
    record: ConversationRecord,
    revision: string | null,
    alert: Alert | null,
  ): Promise<'DONE' | 'STALE' | EntryState> {
    const { redis, store, keys, group, maxVerdicts } = this.#options
    const { conversation } = record.status
    const names = [keys.conversation(conversation), keys.recent, keys.exchanges, this.#order(entry), keys.verdicts]
    const verdict = JSON.stringify(record.verdicts.at(-1))
    const args = [group, entry.id, maxVerdicts, verdict, ...store.saveArguments(conversation, record, revision, alert)]
    const outcome = (await redis.run(COMMIT_ENTRY, names, args)) as 'DONE' | 'STALE' | EntryState
    if (outcome === 'DONE') await this.#remove(entry)
    return outcome
  }

  /** Publishes the outcome of an entry that changes no conversation, and acknowledges it. */
  async settle(entry: StreamEntry, outcome: { verdict: ExchangeVerdict } | { error: GabionError }): Promise<void> {
    const { redis, keys, group, maxVerdicts } = this.#options
    const result =
      'verdict' in outcome
        ? ['verdict', JSON.stringify(outcome.verdict)]
        : ['error', JSON.stringify({ code: outcome.error.code, message: outcome.error.message })]
    const args = [group, entry.id, maxVerdicts, entry.fields.conversation ?? '', ...result]
    await redis.run(SETTLE_ENTRY, [keys.exchanges, this.#order(entry), keys.verdicts], args)
    await this.#remove(entry)
  }

  async #remove({ id }: StreamEntry): Promise<void> {
    const { redis, keys, removesEntries } = this.#options
    if (removesEntries) await redis.command('XDEL', keys.exchanges, id)
  }

  /** Numbers of entries not yet taken, and taken but not yet settled. */
  async lag(): Promise<{ waiting: number; pending: number }> {
    const group = await this.#group()
    return { waiting: Number(group?.lag ?? 0), pending: Number(group?.pending ?? 0) }
  }

  /** Removes the consumer from the group; with pending entries it stays, so that others can claim them. */
  async leave(): Promise<void> {
    const { redis, keys, group, consumer } = this.#options
    const pending = (await redis.command('XPENDING', keys.exchanges, group, '-', '+', '1', consumer)) as unknown[]
    if (pending.length === 0) await redis.command('XGROUP', 'DELCONSUMER', keys.exchanges, group, consumer)
  }

  async #group(): Promise<Record<string, string> | undefined> {
    const { redis, keys, group } = this.#options
    const groups = (await redis.command('XINFO', 'GROUPS', keys.exchanges)) as unknown[][]
    return groups.map(asFields).find(({ name }) => name === group)
  }

  #order({ fields }: StreamEntry): string {
    return `${this.#options.keys.orderPrefix}${fields.conversation ?? ''}`
  }
}

/**
 * The request in an entry; the exchange id defaults to the entry's id.
 *
 * @throws GabionError `INVALID_ARGUMENT` with the field's name
 */
export function readRequest({ id, fields }: StreamEntry): ExchangeRequest {
  const { conversation, user, assistant, system, rules, exchangeId = id, caller, tenant } = fields
  if (conversation === undefined || user === undefined || assistant === undefined) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `an entry must have the fields conversation, user and assistant, got ${Object.keys(fields).join(', ')}`,
    )
  }
  return {
    conversation: checkId('conversation', idOfTenant(tenant ?? null, conversation)),
    user,
    assistant,
    exchangeId: checkId('exchangeId', exchangeId),
    exchange: null,
    system: system ?? null,
    // One rule per line.
    rules: rules?.split('\n').filter((rule) => rule.trim() !== '') ?? null,
    caller: caller === undefined ? null : checkId('caller', caller),
    tenant: tenant === undefined ? null : checkId('tenant', tenant),
  }
}

function asEntries(reply: unknown): StreamEntry[] {
  // A claimed entry that was deleted from the stream has no fields.
  return (reply as ([string, string[] | null] | null)[]).flatMap((entry) => {
    const fields = entry?.[1] ?? null
    return entry === null || fields === null ? [] : [{ id: entry[0], fields: asFields(fields) }]
  })
}

function asFields(list: readonly unknown[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (let i = 0; i + 1 < list.length; i += 2) fields[String(list[i])] = String(list[i + 1])
  return fields
}
